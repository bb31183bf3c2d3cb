"""Compare what we know of a cluster's kind with what a snapshot brought. Plain Python: no database, no clock."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from clusters.facts import ResourceKey
from clusters.observations import KindResult, Observation, Outcome
from monitoring.health import Health


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded resource before this collection: who it is and what was last said of it."""

    id: int
    key: ResourceKey
    uid: str
    fingerprint: int
    created_at: datetime | None
    first_seen_at: datetime
    health: Health
    since: datetime
    findings: list[dict[str, object]]
    lints: list[dict[str, object]]
    facts: dict[str, object]
    recheck_at: datetime | None
    due_at: datetime | None
    drift_digest: int = 0


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between our knowledge and a snapshot.

    `recreated` resources have the same key but another uid: the old one is gone and a new one was added. `known` are
    the recorded rows that were compared with.
    """

    added: tuple[Observation, ...] = ()
    changed: tuple[Observation, ...] = ()
    recreated: tuple[Observation, ...] = ()
    removed: tuple[Known, ...] = ()
    known: Mapping[ResourceKey, Known] = {}
    unchanged: int = 0

    @property
    def observed(self) -> tuple[Observation, ...]:
        return self.added + self.changed + self.recreated

    @property
    def keys(self) -> frozenset[ResourceKey]:
        """Of everything that changed in any way."""
        return frozenset([o.key for o in self.observed] + [row.key for row in self.removed])


def missing_fingerprints(known: frozenset[int], result: KindResult) -> frozenset[int]:
    """Known fingerprints that a complete list no longer has: their resources changed or are gone.

    Absence counts only in a complete list; any other outcome misses nothing.
    """
    return known - result.unchanged if result.outcome == Outcome.COMPLETE else frozenset()


def compare(known: Mapping[ResourceKey, Known], result: KindResult) -> Changes:
    """Sort a kind's result into added, changed, recreated and removed.

    `known` holds the rows of every observed or removed key, and of every missing fingerprint (see
    `missing_fingerprints`); rows of unchanged resources are not needed. For a complete list each row in `known` that
    was not observed again is removed; for a delta only those it names.
    """
    if result.outcome not in (Outcome.COMPLETE, Outcome.DELTA):
        return Changes()
    added, changed, recreated = [], [], []
    for observation in result.observations:
        row = known.get(observation.key)
        if row is None:
            added.append(observation)
        elif row.uid != observation.uid:
            recreated.append(observation)
        elif row.fingerprint != observation.fingerprint:
            changed.append(observation)
    observed = {observation.key for observation in result.observations}
    if result.outcome == Outcome.COMPLETE:
        gone = [row for key, row in known.items() if key not in observed and row.fingerprint not in result.unchanged]
    else:
        gone = [known[key] for key in result.removed if key in known and key not in observed]
    return Changes(
        added=tuple(added),
        changed=tuple(changed),
        recreated=tuple(recreated),
        removed=tuple(gone),
        known=known,
        unchanged=len(result.unchanged),
    )


def merge(parts: Iterable[Changes]) -> Changes:
    """The changes of several kinds of one cluster as one."""
    parts = list(parts)
    return Changes(
        added=tuple(o for part in parts for o in part.added),
        changed=tuple(o for part in parts for o in part.changed),
        recreated=tuple(o for part in parts for o in part.recreated),
        removed=tuple(row for part in parts for row in part.removed),
        known={key: row for part in parts for key, row in part.known.items()},
        unchanged=sum(part.unchanged for part in parts),
    )
