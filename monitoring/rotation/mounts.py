"""Rotations of what pods mount: a mount of the Secrets Store CSI Driver changed to another version.

A pod status carries no time per object, and its own time moves with any of its objects, so the moment of each change
is kept from one observation to the next.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from clusters.facts import MountedObject, MountFacts, ResourceKey
from monitoring.rotation.base import Confidence, Entry, Evidence, Source

# These give every reader the same version of the same secret. Vault's provider hashes what it mounts, and with a whole
# secret that holds a request id: each poll of each pod brings another version (vault-csi-provider#474).
SHARED_VERSIONS: Final = frozenset({"aws", "azure", "gcp", "gke"})
NO_VERSIONS: Final = frozenset({"", "0"})  # Vault's provider without its key, and before 1.0
UNSTABLE_GAP: Final = timedelta(hours=1)
FIRST_CHANGE: Final = 2  # metadata.generation of a mount that was made, and written once more


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a class, before this collection (None: not known then) and after it, with moments of change."""

    before: MountFacts | None
    after: MountFacts


class _Change(NamedTuple):
    at: datetime
    version: str
    old: str
    old_since: datetime | None
    generation: int


def with_change_times(previous: MountFacts | None, observed: MountFacts, created_at: datetime | None) -> MountFacts:
    """`observed` with `changed_at` set on every object.

    An object that has the version of `previous` keeps its moment; another version is as old as the driver's write.
    At first sight a mount that was written once got its versions when it was made, since a fresh mount reads the newest
    value then; one that was written again could have changed any object with its last write.
    `previous` must be of the same pod (same object UID): a recreated mount is seen for the first time.
    """
    if previous is None:
        first = observed.written_at if observed.generation > 1 else created_at
        moments = {item.id: first or observed.written_at or created_at for item in observed.objects}
    else:
        known = {item.id: item for item in previous.objects}
        moments = {item.id: _moment(known.get(item.id), item, observed, created_at) for item in observed.objects}
    objects = tuple(msgspec.structs.replace(item, changed_at=moments[item.id]) for item in observed.objects)
    return msgspec.structs.replace(observed, objects=objects)


def _moment(
    known: MountedObject | None, item: MountedObject, observed: MountFacts, created_at: datetime | None
) -> datetime | None:
    if known is not None and known.version == item.version:
        return known.changed_at
    return observed.written_at or created_at


def has_changed(before: MountFacts, after: MountFacts) -> bool:
    """Whether any object has another version than before."""
    return bool(_changed(before, after))


def of_class(
    key: ResourceKey, provider: str, mounts: Sequence[Mounted], entries: Sequence[Entry], now: datetime
) -> list[Evidence]:
    """New rotations of the objects of one SecretProviderClass, of all of whose `mounts` in this cluster.

    `entries` are its rows of the ledger. The first mount that changes to a version makes a rotation, others that
    follow arrive.
    """
    objects: dict[str, _Object] = defaultdict(_Object)
    for mount in mounts:
        for item in mount.before.objects if mount.before else ():
            objects[item.id].before.append(item)
        for item in mount.after.objects:
            objects[item.id].after.append(item)
        for old, new in _changed(mount.before, mount.after) if mount.before else ():
            change = _Change(new.changed_at or now, new.version, old.version, old.changed_at, mount.after.generation)
            objects[new.id].changes.append(change)
    told = defaultdict(list)
    for entry in entries:
        told[entry.evidence.object].append(entry.evidence)
    return [
        evidence
        for name, found in sorted(objects.items(), key=itemgetter(0))
        if found.changes
        for evidence in _Told(key, name, found, told[name]).rotations(is_shared=provider in SHARED_VERSIONS)
    ]


class _Object:
    """One object of a class, in all mounts before and after, and how it changed."""

    def __init__(self) -> None:
        self.before: list[MountedObject] = []
        self.after: list[MountedObject] = []
        self.changes: list[_Change] = []


class _Told:
    """What was told of one object so far, and what its changes tell beyond that."""

    def __init__(self, key: ResourceKey, name: str, found: _Object, told: Sequence[Evidence]) -> None:
        self._key, self._name = key, name
        self._before, self._after, self._changes = (
            found.before,
            found.after,
            sorted(found.changes, key=itemgetter(0, 1, 2)),
        )
        self._last = max(told, key=lambda evidence: evidence.at, default=None)
        self._told = {version for evidence in told for version in (evidence.before, evidence.after)}

    def rotations(self, *, is_shared: bool) -> Iterator[Evidence]:
        for change in self._changes:
            if {change.old, change.version} & NO_VERSIONS or (not is_shared and self._is_unstable(change)):
                continue
            at = self._began(change)
            if at is None:
                continue
            self._last = Evidence(
                key=self._key,
                at=at,
                confidence=Confidence.PROVED,
                source=Source.MOUNT,
                object=self._name,
                before=change.old,
                after=change.version,
            )
            self._told |= {change.old, change.version}
            yield self._last

    def _is_unstable(self, change: _Change) -> bool:
        """Whether no two mounts agree, before as well as after, or a mount alone changes again and again."""
        if _agree(self._before) or _agree(self._after):
            return False
        if len(self._before) > 1:
            return True
        if change.old_since is None or change.generation <= FIRST_CHANGE:
            return False
        return change.at - change.old_since < UNSTABLE_GAP

    def _began(self, change: _Change) -> datetime | None:
        """When the first mount changed to this version; None if that is no rotation, or one that is told already.

        A mount that comes late to a version which is not the newest rotates nothing. Whoever had the newest and has an
        earlier one now tells of a rollback.
        """
        last = self._last
        if last is not None:
            is_old = change.version in self._told and change.old != last.after
            if change.version == last.after or change.at <= last.at or is_old:
                return None
        began = self._first_arrival(change)
        was_there = any(item.version == change.version for item in self._before)
        if last is None and was_there and self._is_newer_elsewhere(change.version, began):
            return None
        return began

    def _first_arrival(self, change: _Change) -> datetime:
        """Of this version in any mount, after the last rotation and after the changed mount got what it had."""
        floors = [moment for moment in (self._last and self._last.at, change.old_since) if moment]
        arrivals = [
            item.changed_at
            for item in self._after
            if item.version == change.version and item.changed_at and all(item.changed_at > floor for floor in floors)
        ]
        return min(arrivals, default=change.at)

    def _is_newer_elsewhere(self, version: str, began: datetime) -> bool:
        return any(item.version != version and item.changed_at and item.changed_at > began for item in self._before)


def _changed(before: MountFacts, after: MountFacts) -> list[tuple[MountedObject, MountedObject]]:
    """The objects that a mount has in another version than before."""
    known = {item.id: item for item in before.objects}
    return [
        (known[item.id], item) for item in after.objects if item.id in known and known[item.id].version != item.version
    ]


def _agree(items: Sequence[MountedObject]) -> bool:
    """Whether at least two mounts have one version."""
    return len({item.version for item in items}) < len(items)
