"""Watch streams: what changed since a version, bookmarks, and the ends of history on both sides."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from demo.apiserver import representation, selectors, status
from demo.apiserver.reads import ListRequest, item_prefix
from demo.apiserver.representation import Form
from demo.apiserver.store import Change, Store, Stored, Table, encode

BOOKMARK_BEFORE_END = 2.0
"""kube-apiserver aims its last bookmark at two seconds before the deadline, so timeoutSeconds=1 and 2 bring none."""

BOOKMARK_EVERY = 60.0
DEFAULT_TIMEOUT = 1800.0


@dataclass(slots=True)
class Watch:
    """One stream. `revision` is how far it has come."""

    store: Store
    table: Table
    version: str
    asked: ListRequest
    form: Form
    timeout: float
    bookmarks: bool
    revision: int = 0
    sent: bool = False

    async def lines(self) -> AsyncIterator[bytes]:
        """Every event of the stream as one line. Ends at the timeout; a forgotten version ends it with an ERROR."""
        if self.form.name == "PartialObjectMetadataList":  # accepted and silent, as on a real server
            await asyncio.sleep(self.timeout)
            return
        begin = int(self.asked.version or 0)
        if begin and begin < self.table.oldest:
            refusal = status.too_old(begin, self.table.oldest)
            yield self._line("ERROR", encode(refusal.body()))
            return
        for line in self._first(begin):
            yield line
        async for line in self._follow():
            yield line

    def _first(self, begin: int) -> list[bytes]:
        """Without a version (or with 0) a watch begins with everything there is."""
        self.revision = begin or self.store.revision
        if begin:
            return []
        matches = self._matcher()
        return [self._object("ADDED", stored) for stored in self.table.ordered() if matches(stored)]

    async def _follow(self) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout
        bookmark_at = self._next_bookmark(clock(), deadline)
        matches = self._matcher()
        while True:
            for change in self.table.since(self.revision):
                self.revision = change.revision
                if (line := self._event(change, matches)) is not None:
                    yield line
            if clock() >= bookmark_at:
                if self.store.revision > self.revision:  # a bookmark that brings nothing newer is not sent
                    yield self._bookmark()
                bookmark_at = self._next_bookmark(clock(), deadline)
            if clock() >= deadline:
                return
            await self.table.changed(max(0.001, min(bookmark_at, deadline) - clock()))

    def _next_bookmark(self, now: float, deadline: float) -> float:
        """When the next bookmark is due; after the deadline when none comes any more."""
        last = deadline - BOOKMARK_BEFORE_END
        if not self.bookmarks or now >= last:
            return deadline + 1
        return min(now + BOOKMARK_EVERY, last)

    def _matcher(self) -> selectors.Match:
        match = selectors.parse(self.table.kind, self.asked.labels, self.asked.fields)
        namespace = self.asked.namespace
        return lambda stored: (not namespace or stored.key[0] == namespace) and (match is None or match(stored))

    def _event(self, change: Change, matches: selectors.Match) -> bytes | None:
        """A selector turns changes into arrivals and departures."""
        was = change.before is not None and matches(change.before)
        is_there = change.type != "DELETED" and matches(change.stored)
        if was and not is_there:
            return self._object("DELETED", change.stored)
        if is_there:
            return self._object("MODIFIED" if was else "ADDED", change.stored)
        return None

    def _object(self, kind: str, stored: Stored) -> bytes:
        prefix = item_prefix(self.table.kind, self.version, typed=True)
        if self.form.name == "Table":
            shown = representation.table(
                self.table.kind,
                [stored],
                {"resourceVersion": str(stored.revision)},
                self.form,
                self.store.now(),
                prefix,
                definitions=not self.sent,
            )
        else:
            shown = stored.metadata if self.form.name else stored.item(prefix)
        self.sent = True
        return self._line(kind, shown)

    def _bookmark(self) -> bytes:
        kind = self.table.kind
        named = {"kind": kind.kind, "apiVersion": kind.api_version(self.version)}
        if self.form.name:
            named = {"kind": self.form.name, "apiVersion": "meta.k8s.io/v1"}
        self.revision = self.store.revision
        return self._line("BOOKMARK", encode(named | {"metadata": {"resourceVersion": str(self.revision)}}))

    @staticmethod
    def _line(kind: str, shown: bytes) -> bytes:
        return b'{"type":"' + kind.encode() + b'","object":' + shown + b"}\n"
