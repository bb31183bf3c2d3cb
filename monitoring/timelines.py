"""The past of one resource as stretches of equal health. Plain values: no database, no clock."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from monitoring.health import Health


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
