"""Gaps in what we know, flapping, and the slots of samples."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.health import Health
from monitoring.timelines import APPLYING, Gap, Stretch, Turn, covered, flapping, floored, runs, stretches, uncounted

NOW = datetime(2025, 11, 24, 14, 7, 31, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
START = NOW - 50 * HOUR
MOMENTS = st.integers(0, 60 * 3600).map(lambda seconds: NOW - seconds * SECOND)
MARKS = st.lists(st.tuples(MOMENTS, st.sampled_from([*Health, None])), min_size=1, max_size=9).map(
    lambda found: sorted(found, key=lambda mark: mark[0])
)
GAPS = st.lists(st.tuples(MOMENTS, MOMENTS).map(lambda pair: (min(pair), max(pair))), max_size=5)


def health_at(pieces: tuple[Stretch, ...], moment: datetime) -> Health | None:
    return next((piece.health for piece in pieces if piece.start <= moment < piece.end), None)


def inside(moment: datetime, gaps: list[Gap]) -> bool:
    return any(start <= moment < end for start, end in gaps)


@given(MARKS, GAPS, st.lists(MOMENTS, min_size=1))
def test_inside_a_gap_nothing_is_known_and_what_did_not_exist_stays_so(
    marks: list[tuple[datetime, Health | None]], gaps: list[Gap], moments: list[datetime]
) -> None:
    pieces = stretches(marks, START, NOW)
    found = covered(pieces, gaps)
    for moment in moments:
        before, after = health_at(pieces, moment), health_at(found, moment)
        if before is None:
            assert after is None
        elif inside(moment, gaps):
            assert after is Health.UNKNOWN
        else:
            just_after = any(timedelta(0) <= moment - end < APPLYING for _, end in gaps)
            assert after is before or (just_after and after is Health.UNKNOWN)


@given(MARKS, GAPS)
def test_gaps_leave_no_holes_and_no_overlaps(marks: list[tuple[datetime, Health | None]], gaps: list[Gap]) -> None:
    pieces = stretches(marks, START, NOW)
    found = covered(pieces, gaps)
    assert [piece.start for piece in found][:1] == [piece.start for piece in pieces][:1]
    assert [piece.end for piece in found][-1:] == [piece.end for piece in pieces][-1:]
    assert all(before.end == after.start and before.health is not after.health for before, after in pairwise(found))
    assert all(piece.start < piece.end for piece in found)


@given(MARKS, GAPS)
def test_a_strip_never_shows_a_health_inside_a_gap(
    marks: list[tuple[datetime, Health | None]], gaps: list[Gap]
) -> None:
    for run in runs(covered(stretches(marks, START, NOW), gaps), START, NOW, 50):
        for slot in range(run.first, run.first + run.length):
            start = START + slot * HOUR
            if any(gap_start <= start and gap_end >= start + HOUR for gap_start, gap_end in gaps):
                assert run.health in (None, Health.UNKNOWN)


def test_the_old_health_does_not_flash_up_between_a_gap_and_what_ended_it() -> None:
    gap = (NOW - 5 * HOUR, NOW - 3 * HOUR)
    marks = [(START, Health.HEALTHY), (NOW - 3 * HOUR + 2 * SECOND, Health.FAILING)]
    assert covered(stretches(marks, START, NOW), [gap]) == (
        Stretch(START, NOW - 5 * HOUR, Health.HEALTHY),
        Stretch(NOW - 5 * HOUR, NOW - 3 * HOUR + 2 * SECOND, Health.UNKNOWN),
        Stretch(NOW - 3 * HOUR + 2 * SECOND, NOW, Health.FAILING),
    )


def test_a_gap_that_just_ended_shows_what_was_found_again() -> None:
    pieces = covered(stretches([(START, Health.HEALTHY)], START, NOW), [(NOW - HOUR, NOW - MINUTE)])
    assert pieces[-1] == Stretch(NOW - MINUTE, NOW, Health.HEALTHY)


DOWN, UP = (Health.HEALTHY, Health.FAILING), (Health.FAILING, Health.HEALTHY)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([DOWN, UP] * 6, 6),
        ([DOWN, UP] * 3, 0),
        ([(Health.FAILING, Health.STALE), (Health.STALE, Health.FAILING)] * 9, 0),
        ([(None, Health.FAILING), (Health.FAILING, None)] * 4, 4),
        ([(Health.PROGRESSING, Health.AT_RISK), (Health.AT_RISK, Health.PROGRESSING)] * 4, 4),
        ([(Health.HEALTHY, Health.PROGRESSING), (Health.PROGRESSING, Health.HEALTHY)] * 9, 0),
    ],
)
def test_flapping(turns: list[tuple[Health | None, Health | None]], expected: int) -> None:
    found = [Turn(NOW - place * MINUTE, before, after) for place, (before, after) in enumerate(turns)]
    assert flapping(found, NOW) == expected
    assert flapping(found, NOW + 25 * HOUR) == 0
    assert flapping(found, NOW - HOUR) == 0


@pytest.mark.parametrize(
    ("step", "expected"),
    [(5 * MINUTE, "2025-11-24 14:05"), (HOUR, "2025-11-24 14:00"), (24 * HOUR, "2025-11-24 00:00")],
)
def test_slots_begin_at_midnight_utc(step: timedelta, expected: str) -> None:
    assert f"{floored(NOW, step):%Y-%m-%d %H:%M}" == expected
    assert floored(floored(NOW, step), step) == floored(NOW, step)


@pytest.mark.parametrize(
    ("length", "samples", "minutes"),
    [(HOUR, 12, 0), (HOUR, 1, 55), (24 * HOUR, 1, 1435), (24 * HOUR, 288, 0), (0 * HOUR, 1, 0), (10 * MINUTE, 0, 10)],
)
def test_every_sample_tells_of_five_minutes(length: timedelta, samples: int, minutes: int) -> None:
    assert uncounted(NOW, NOW + length, samples) == minutes * MINUTE
