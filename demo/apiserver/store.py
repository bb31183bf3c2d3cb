"""Objects of one cluster, their versions, and the log that watches read.

One counter numbers all writes of a cluster, as etcd does. Objects are encoded once, at the write; a list joins bytes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import msgspec

from demo.apiserver.kinds import Kind

Object = dict[str, Any]
Key = tuple[str, str]

encode = msgspec.json.Encoder().encode

LOG_SMALLEST = 100
LOG_LARGEST = 102_400
FRESH = timedelta(seconds=75)
"""kube-apiserver's watch cache grows from 100 to 102,400 events to hold the last 75 s, and forgets the rest."""

SNAPSHOTS = 32
"""How many consistent snapshots for `continue` are kept for each kind."""


class Stored:
    """One version of one object. `body` is JSON without apiVersion and kind, so that it fits each served version."""

    __slots__ = ("_metadata", "body", "key", "obj", "revision")

    def __init__(self, key: Key, obj: Object, revision: int):
        self.key = key
        self.obj = obj
        self.revision = revision
        self.body = encode({name: value for name, value in obj.items() if name not in ("apiVersion", "kind")})
        self._metadata: bytes | None = None

    def item(self, prefix: bytes) -> bytes:
        """As it stands in a list or event: `prefix` is the type, or `{` for built-in kinds in lists."""
        return prefix + self.body[1:]

    @property
    def metadata(self) -> bytes:
        if self._metadata is None:
            self._metadata = encode(
                {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": self.obj["metadata"]}
            )
        return self._metadata


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the watch log. `before` is the version it replaced: a selector may have matched that one only."""

    revision: int
    type: str
    stored: Stored
    before: Stored | None
    at: datetime


class Table:
    """All objects of one kind, in etcd's order (namespace/name), with the log of their changes."""

    def __init__(self, kind: Kind, revision: int):
        self.kind = kind
        self.objects: dict[Key, Stored] = {}
        self.log: deque[Change] = deque()
        self.oldest = revision
        self.capacity = LOG_SMALLEST
        self.snapshots: dict[int, list[Stored]] = {}
        self.answers: dict[Hashable, bytes] = {}
        self._keys: list[Key] | None = None
        self._sorted: list[Stored] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def ordered(self) -> list[Stored]:
        if self._keys is None:
            self._keys = sorted(self.objects, key="/".join)
        if self._sorted is None:
            self._sorted = [self.objects[key] for key in self._keys]
        return self._sorted

    def snapshot(self, revision: int) -> list[Stored]:
        """Remember the present order for later pages of a list that began at `revision`."""
        if revision not in self.snapshots:
            self.snapshots[revision] = self.ordered()
            while len(self.snapshots) > SNAPSHOTS:
                del self.snapshots[next(iter(self.snapshots))]
        return self.snapshots[revision]

    def record(self, change: Change) -> None:
        if change.type == "DELETED":
            del self.objects[change.stored.key]
        else:
            self.objects[change.stored.key] = change.stored
        if change.type != "MODIFIED":
            self._keys = None
        self._sorted = None
        self.answers.clear()
        self._append(change)
        self._wake()

    def _append(self, change: Change) -> None:
        if len(self.log) >= self.capacity:
            if abs(change.at - self.log[0].at) < FRESH and self.capacity < LOG_LARGEST:
                self.capacity *= 2
            else:
                self.oldest = self.log.popleft().revision
        self.log.append(change)

    def compact(self, revision: int) -> None:
        """Forget all history up to `revision`, continue tokens too."""
        self.log.clear()
        self.snapshots.clear()
        self.oldest = revision

    def since(self, revision: int) -> Iterable[Change]:
        newer = takewhile(lambda change: change.revision > revision, reversed(self.log))
        return reversed(list(newer))

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self, timeout: float) -> bool:
        """Wait for the next write to this kind; False when `timeout` seconds pass first."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        done, _ = await asyncio.wait([future], timeout=timeout)
        if not done:
            self._waiting = [other for other in self._waiting if other is not future]
        return bool(done)


class Store:
    """Everything one cluster holds. Not thread safe: it belongs to the loop that serves it."""

    def __init__(self, now: Callable[[], datetime], revision: int = 1):
        self.now = now
        self.revision = revision
        self.tables: dict[tuple[str, str], Table] = {}

    def install(self, kind: Kind) -> None:
        table = self.tables.get((kind.group, kind.plural))
        if table is None:
            self.tables[kind.group, kind.plural] = Table(kind, self.revision)
        else:
            table.kind = kind
            table.answers.clear()

    def uninstall(self, kind: Kind) -> None:
        self.tables.pop((kind.group, kind.plural), None)

    def table_of(self, kind: str, group: str | None = None) -> Table:
        for table in self.tables.values():
            if table.kind.kind == kind and group in (None, table.kind.group):
                return table
        raise KeyError(f"kind {kind} is not installed in this cluster")

    def write(self, table: Table, obj: Object) -> Stored:
        """Store `obj` as it stands under the next version. The caller hands over ownership of `obj`."""
        self.revision += 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.revision)
        key = (metadata.get("namespace", ""), metadata["name"])
        before = table.objects.get(key)
        stored = Stored(key, obj, self.revision)
        table.record(Change(self.revision, "MODIFIED" if before else "ADDED", stored, before, self.now()))
        return stored

    def delete(self, table: Table, key: Key) -> Stored:
        """Remove an object; the log shows its last state under the version of the removal."""
        self.revision += 1
        before = table.objects[key]
        gone = before.obj | {"metadata": before.obj["metadata"] | {"resourceVersion": str(self.revision)}}
        stored = Stored(key, gone, self.revision)
        table.record(Change(self.revision, "DELETED", stored, before, self.now()))
        return stored

    def compact(self) -> None:
        for table in self.tables.values():
            table.compact(self.revision)
