"""The past of one resource as stretches of equal health, and of many as counts. Plain values: no database, no clock."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from monitoring.health import Health

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A gap ends when the collection began that read the kind again; what it read is recorded when it is applied. Until
# then pages still showed unknown. A collection takes at most 180 s (the time limit of its task).
APPLYING = timedelta(seconds=180)
FIVE_MINUTES, DAY = timedelta(minutes=5), timedelta(days=1)
FLAPPING = 4  # turns into at risk or worse within a day: from here on it is a pattern, not bad luck

Gap = tuple[datetime, datetime]


class Stretch(NamedTuple):
    """A time in which the health did not change. `health` is None while the resource did not exist."""

    start: datetime
    end: datetime
    health: Health | None


def stretches(marks: Sequence[tuple[datetime, Health | None]], start: datetime, end: datetime) -> tuple[Stretch, ...]:
    """Stretches between `start` and `end` from what began when, oldest first. Empty ones are left out."""
    ends = [at for at, _ in marks[1:]] + [end]
    pieces = [Stretch(max(at, start), min(until, end), health) for (at, health), until in zip(marks, ends, strict=True)]
    return tuple(piece for piece in pieces if piece.end > piece.start)


def covered(pieces: Sequence[Stretch], gaps: Iterable[Gap]) -> tuple[Stretch, ...]:
    """The stretches with the time inside `gaps` unknown. What did not exist stays so.

    A stretch that ends soon after a gap is unknown to its end: its health was told before the gap, and what came
    instead was found by the reading that ended it.
    """
    closed = _disjoint(gaps)
    ends = [end for _, end in closed]
    found: list[Stretch] = []
    for piece in pieces:
        if piece.health is None:
            found.append(piece)
        else:
            last = piece.end == pieces[-1].end
            found += _cut(piece, closed[bisect_right(ends, piece.start) :], timedelta(0) if last else APPLYING)
    return tuple(_joined(found))


def _disjoint(gaps: Iterable[Gap]) -> list[Gap]:
    found: list[Gap] = []
    for start, end in sorted(gaps):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start < end:
            found.append((start, end))
    return found


def _cut(piece: Stretch, gaps: Iterable[Gap], applying: timedelta) -> Iterable[Stretch]:
    at = piece.start
    for start, end in gaps:
        if start >= piece.end or at == piece.end:
            break
        if start > at:
            yield Stretch(at, start, piece.health)
        unknown_until = piece.end if piece.end - end <= applying else end
        yield Stretch(max(at, start), min(unknown_until, piece.end), Health.UNKNOWN)
        at = min(unknown_until, piece.end)
    if at < piece.end:
        yield Stretch(at, piece.end, piece.health)


def _joined(pieces: Iterable[Stretch]) -> Iterable[Stretch]:
    """Neighbours of one health as one stretch."""
    for health, group in groupby(pieces, key=lambda piece: piece.health):
        same = list(group)
        yield Stretch(same[0].start, same[-1].end, health)


class Run(NamedTuple):
    """Neighbouring slots of one health: `first` counts from the left, `length` are slots."""

    first: int
    length: int
    health: Health | None


def runs(pieces: Sequence[Stretch], start: datetime, end: datetime, slots: int) -> tuple[Run, ...]:
    """The time from `start` to `end` cut into equal slots, each with the worst health that it saw, as runs."""
    width = (end - start) / slots
    shown: list[Health | None] = [None] * slots
    for piece in pieces:
        if piece.health is not None:
            last = -((start - piece.end) // width)  # rounded up: the slot in which it ends belongs to it
            for slot in range(max((piece.start - start) // width, 0), min(last, slots)):
                shown[slot] = max(piece.health, shown[slot] or Health.HEALTHY)
    found = [(health, len(list(group))) for health, group in groupby(shown)]
    firsts = [sum(length for _, length in found[:place]) for place in range(len(found))]
    return tuple(Run(first, length, health) for first, (health, length) in zip(firsts, found, strict=True))


class Turn(NamedTuple):
    """A change of health at a moment; None stands for not existing."""

    at: datetime
    before: Health | None
    after: Health | None

    @property
    def for_the_worse(self) -> bool:
        """It turned to at risk or worse from what was better, or appeared so."""
        before = Health.HEALTHY if self.before is None else self.before
        return self.after is not None and self.after >= Health.AT_RISK > before


def flapping(turns: Iterable[Turn], now: datetime) -> int:
    """How many times it turned to at risk or worse within 24 hours; 0 below FLAPPING."""
    number = sum(1 for turn in turns if turn.for_the_worse and now - DAY < turn.at <= now)
    return number if number >= FLAPPING else 0


class Moment(NamedTuple):
    """How many resources had each health from `at` on, zeros included; `counts` is None where nobody counted at all.

    `uncounted` is how much of the time nobody counted: all of it where `counts` is None.
    """

    at: datetime
    counts: Mapping[Health, int] | None
    uncounted: timedelta = timedelta(0)


def uncounted(start: datetime, end: datetime, samples: int) -> timedelta:
    """How much of the time from `start` to `end` no one of so many samples of five minutes tells of."""
    return max(end - start - samples * FIVE_MINUTES, timedelta(0))


def floored(moment: datetime, step: timedelta) -> datetime:
    """The newest multiple of `step` (a divisor of a day) since midnight UTC."""
    return moment - (moment - EPOCH) % step
