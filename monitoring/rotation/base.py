"""Evidence of a rotation, and when two pieces of it tell of the same one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from clusters.facts import ResourceKey

# A reconcile writes the target, its Event and its status within a second or two; rotations that were recorded lie 30 s
# apart, the shortest interval that External Secrets' documentation shows.
SAME: Final = timedelta(seconds=10)


class Confidence(IntEnum):
    """How sure we are that a value changed and arrived."""

    INFERRED = 1
    LIKELY = 2
    PROVED = 3


class Source(StrEnum):
    """What told of a rotation."""

    TARGET = "target"
    UPDATED = "updated"
    WRITTEN = "written"
    MOUNT = "mount"
    RESEALED = "resealed"
    RENEWED = "renewed"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One rotation, as one source tells of it. Fields as in the table Rotation; `at` is by the cluster's clock."""

    key: ResourceKey
    at: datetime
    confidence: Confidence
    source: Source
    object: str = ""
    before: str = ""
    after: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the ledger; `id` is 0 until it is written."""

    id: int
    evidence: Evidence


def merged(recorded: Iterable[Entry], found: Iterable[Evidence]) -> list[Entry]:
    """What to write: rows that are new, and those that better evidence changes, whatever the order of `found`."""
    rows: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in recorded:
        rows[_place(entry.evidence)].append(entry)
    before = {entry.id: entry for entries in rows.values() for entry in entries}
    for evidence in sorted(found, key=lambda e: (-e.confidence, e.at, e.key, e.object, e.after, e.before)):
        entries = rows[_place(evidence)]
        place = next((n for n, entry in enumerate(entries) if _is_same(entry.evidence, evidence)), None)
        if place is None:
            entries.append(Entry(id=0, evidence=evidence))
        else:
            entries[place] = Entry(id=entries[place].id, evidence=_together(entries[place].evidence, evidence))
    return [entry for entries in rows.values() for entry in entries if entry != before.get(entry.id)]


def _place(evidence: Evidence) -> tuple[str, ...]:
    """Where to look for the same rotation. A certificate that is served does not tell the name of its key."""
    return (evidence.source,) if evidence.source is Source.RENEWED else (*evidence.key, evidence.object)


def _is_same(one: Evidence, other: Evidence) -> bool:
    if abs(one.at - other.at) > SAME:
        return False
    if one.source is Source.RENEWED:
        return one.key.name in ("", other.key.name) or other.key.name == ""
    return one.source is not Source.MOUNT or one.after == other.after


def _together(one: Evidence, other: Evidence) -> Evidence:
    """The better of two tells, and the other what the better does not know. Of equals the earlier moment counts."""
    better, worse = (other, one) if other.confidence > one.confidence else (one, other)
    key = better.key if better.key.name else worse.key
    known = [after for after in (better.after, worse.after) if after]
    return msgspec.structs.replace(
        better,
        key=key,
        at=min(one.at, other.at) if one.confidence == other.confidence else better.at,
        before=better.before or worse.before,
        # The name of a sealing key stands there until its certificate is known.
        after=next((after for after in known if after != key.name), "".join(known[:1])),
    )


def newest(entries: Sequence[Entry], place: str = "") -> Evidence | None:
    """The last rotation of these rows of one resource, of its object `place`."""
    return max((e.evidence for e in entries if e.evidence.object == place), key=lambda e: e.at, default=None)
