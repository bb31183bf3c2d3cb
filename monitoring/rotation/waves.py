"""Waves: one change of a key at its provider, as it arrives at all that read the key, cluster by cluster.

What one reader writes is comparable with what another writes only where both read the same keys in the same form. So
equal tags of two readers tell of one value, but different ones tell nothing, unless both had equal ones before.
Where no tag is known, Events tell that something arrived, and the time is all that speaks for one wave.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from clusters.facts import RefreshedFacts
from clusters.tagging import comparable, short
from monitoring.rules.durations import go_duration
from monitoring.rules.staleness import is_periodic
from monitoring.rules.thresholds import DEFAULTS

LONGEST: Final = timedelta(days=31)
DEFAULT_INTERVAL: Final = "1h"


class Pickup(msgspec.Struct, frozen=True, order=True):
    """A rotation that one reader of a key had. `at` is by our clock; `before` and `after` as in the table Rotation."""

    at: datetime
    reader: int
    after: str = ""
    before: str = ""
    confidence: int = 0


class How(StrEnum):
    """What tells that an arrival belongs to its wave."""

    FIRST = "first"
    VALUE = "value"  # it brought a value, or a version, that arrived before at another reader
    TIME = "time"  # it came within one interval and its grace


class Arrival(msgspec.Struct, frozen=True):
    pickup: Pickup
    how: How


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals of one change, the first one first. `before` and `after` are all tags or versions that they tell."""

    arrivals: tuple[Arrival, ...]
    before: frozenset[str]
    after: frozenset[str]

    @property
    def began_at(self) -> datetime:
        return self.arrivals[0].pickup.at

    @property
    def last_at(self) -> datetime:
        return self.arrivals[-1].pickup.at

    @property
    def by_value(self) -> bool:
        """Whether values or versions tell that all arrivals are of one change."""
        return all(arrival.how is not How.TIME for arrival in self.arrivals)


def waves_of(
    pickups: Iterable[Pickup], windows: Mapping[int, timedelta], *, same_form: bool = False
) -> tuple[Wave, ...]:
    """The waves that the rotations of all readers of one key make, oldest first. Their order is all the same.

    `windows` tells by reader how much later than another it may pick up the same change. With `same_form` different
    versions always mean different values (mounts of one object), so that time tells nothing.
    """
    found: list[_Forming] = []
    for pickup in sorted(pickups):
        # A reader goes from wave to wave: none joins one from before its last.
        last = next((n for n in reversed(range(len(found))) if pickup.reader in found[n].readers), -1)
        open_waves = found[last + 1 :][::-1]
        wave = next((wave for wave in open_waves if pickup.after in wave.after), None) if pickup.after else None
        how = How.VALUE
        if wave is None:
            window = windows.get(pickup.reader, timedelta(0))
            wave = next((w for w in open_waves if w.may_bring(pickup, window, same_form=same_form)), None)
            how = How.TIME
        if wave is None:
            wave, how = _Forming(), How.FIRST
            found.append(wave)
        wave.take(pickup, how)
    return tuple(wave.formed() for wave in found)


class _Forming:
    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.readers: set[int] = set()
        self.before: set[str] = set()
        self.after: set[str] = set()

    def may_bring(self, pickup: Pickup, window: timedelta, *, same_form: bool) -> bool:
        """Whether it may be of the same change, as far as its time and its tags tell."""
        if pickup.at - self.arrivals[0].pickup.at > window:
            return False
        if not pickup.after or not self.after:
            return True
        return not same_form and pickup.before not in self.before | self.after

    def take(self, pickup: Pickup, how: How) -> None:
        self.arrivals.append(Arrival(pickup, how))
        self.readers.add(pickup.reader)
        self.before |= {pickup.before} - {""}
        self.after |= {pickup.after} - {""}

    def formed(self) -> Wave:
        return Wave(arrivals=tuple(self.arrivals), before=frozenset(self.before), after=frozenset(self.after))


def window_of(interval: str, policy: str) -> timedelta:
    """How much later than another an ExternalSecret may read the same change: its interval and the usual grace."""
    span = go_duration(interval or DEFAULT_INTERVAL)
    if span is None or not is_periodic(RefreshedFacts(policy=policy), span):
        return DEFAULTS.grace_most  # somebody or something else makes it refresh, when a change is known
    return min(span, LONGEST) + DEFAULTS.grace_most


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads a key in one cluster, as it is now.

    `seen`: whether we see it now. `tag` is that of its target's data ("" is not known), `mounts` count the mounts of a
    class by the version that they hold.
    """

    id: int
    created_at: datetime | None
    seen: bool
    window: timedelta
    tag: str = ""
    mounts: Mapping[str, int] = {}


class Standing(StrEnum):
    """Where a reader stands with a wave."""

    LAGS = "lags"  # it has, or some of its mounts have, a value from before
    AWAITED = "awaited"  # its interval and grace are not over
    UNKNOWN = "unknown"
    ARRIVED = "arrived"
    HAS = "has"  # it has the value, though nobody saw it arrive
    MADE_LATER = "made later"  # the object is younger than the change


def standings(wave: Wave, earlier: Sequence[Wave], readers: Sequence[Reader], now: datetime) -> dict[int, Standing]:
    """By reader, where it stands with the newest wave, after the `earlier` ones."""
    arrived = {arrival.pickup.reader for arrival in wave.arrivals}
    old = wave.before.union(*(other.before | other.after for other in earlier)) - wave.after
    told = [reader.tag for reader in readers if reader.id in arrived and short(reader.tag) in wave.after]
    return {reader.id: _standing(wave, reader, reader.id in arrived, old, told, now) for reader in readers}


def _standing(
    wave: Wave, reader: Reader, has_arrived: bool, old: frozenset[str], told: Sequence[str], now: datetime
) -> Standing:
    if reader.seen and old.intersection(reader.mounts):
        return Standing.LAGS
    if has_arrived:
        return Standing.ARRIVED
    if reader.created_at is not None and reader.created_at > wave.began_at:
        return Standing.MADE_LATER
    if not reader.seen:
        return Standing.UNKNOWN
    if (reader.mounts and wave.after.issuperset(reader.mounts)) or (reader.tag and reader.tag in told):
        return Standing.HAS
    if short(reader.tag) in old and any(comparable(reader.tag, tag) for tag in told):
        return Standing.LAGS
    return Standing.AWAITED if now - wave.began_at <= reader.window else Standing.UNKNOWN
