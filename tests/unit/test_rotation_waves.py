"""Rotations of all readers of one key, put together to waves."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rotation.waves import (
    How,
    Pickup,
    Reader,
    Standing,
    standings,
    waves_of,
    window_of,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WINDOWS = dict.fromkeys(range(1, 10), 70 * MINUTE)
FIRST, VALUE, TIME = How.FIRST, How.VALUE, How.TIME

# Each rotation as reader, minutes after the start, before, after; each wave as its readers and how they belong to it.
Told = tuple[int, int, str, str]
CASES: dict[str, tuple[list[Told], list[dict[int, How]]]] = {
    "an equal value, however late": ([(1, 0, "a", "b"), (2, 9000, "a", "b")], [{1: FIRST, 2: VALUE}]),
    "another value of the same form is another wave": (
        [(1, 0, "a", "b"), (2, 5, "a", "c"), (1, 20, "b", "c")],
        [{1: FIRST}, {2: FIRST, 1: VALUE}],
    ),
    "values of another form belong together by time": (
        [(1, 0, "a", "b"), (2, 5, "x", "y"), (3, 300, "x", "y")],
        [{1: FIRST, 2: TIME, 3: VALUE}],
    ),
    "events within an interval": ([(1, 0, "", ""), (2, 69, "", "")], [{1: FIRST, 2: TIME}]),
    "events after the interval": ([(1, 0, "", ""), (2, 71, "", "")], [{1: FIRST}, {2: FIRST}]),
    "an event first, then values": (
        [(1, 0, "", ""), (2, 10, "a", "b"), (3, 500, "a", "b")],
        [{1: FIRST, 2: TIME, 3: VALUE}],
    ),
    "a value first, then an event": ([(1, 0, "a", "b"), (2, 10, "", "")], [{1: FIRST, 2: TIME}]),
    "one reader twice": ([(1, 0, "", ""), (1, 10, "", "")], [{1: FIRST}, {1: FIRST}]),
    "back to the value before": (
        [(1, 0, "a", "b"), (2, 1, "a", "b"), (1, 100, "b", "a"), (2, 130, "b", "a")],
        [{1: FIRST, 2: VALUE}, {1: FIRST, 2: VALUE}],
    ),
    "a late one goes to the newest wave with its value": (
        [(1, 0, "a", "b"), (1, 100, "b", "c"), (1, 200, "c", "b"), (2, 210, "a", "b")],
        [{1: FIRST}, {1: FIRST}, {1: FIRST, 2: VALUE}],
    ),
    "no reader goes back to a wave from before its last": (
        [(1, 0, "a", "b"), (1, 200, "b", "c"), (2, 201, "a", "c"), (2, 300, "c", "b")],
        [{1: FIRST}, {1: FIRST, 2: VALUE}, {2: FIRST}],
    ),
}


def pickups(told: list[Told]) -> list[Pickup]:
    return [Pickup(START + minutes * MINUTE, reader, after, before) for reader, minutes, before, after in told]


def as_told(found: Any) -> list[dict[int, How]]:
    return [{arrival.pickup.reader: arrival.how for arrival in wave.arrivals} for wave in found]


@pytest.mark.parametrize("case", CASES)
def test_waves(case: str) -> None:
    told, wanted = CASES[case]
    assert as_told(waves_of(pickups(told), WINDOWS)) == wanted


def test_of_mounts_time_tells_nothing() -> None:
    told = pickups([(1, 0, "v1", "v2"), (2, 1, "v0", "v3"), (3, 2, "v1", "v2")])
    assert as_told(waves_of(told, WINDOWS, same_form=True)) == [{1: FIRST, 3: VALUE}, {2: FIRST}]


TAGS = st.sampled_from(["", "a", "b", "c"])
HISTORIES = st.lists(
    st.builds(
        Pickup, st.integers(0, 600).map(lambda n: START + n * MINUTE), st.integers(1, 5), TAGS, TAGS, st.integers(1, 3)
    ),
    max_size=25,
    unique_by=lambda pickup: (pickup.reader, pickup.at),
)


@given(HISTORIES, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_in_which_rotations_are_told_does_not_matter(
    history: list[Pickup], same_form: bool, random: Random
) -> None:
    shuffled = history.copy()
    random.shuffle(shuffled)
    assert waves_of(shuffled, WINDOWS, same_form=same_form) == waves_of(history, WINDOWS, same_form=same_form)


@given(HISTORIES, st.booleans())
def test_every_rotation_is_in_one_wave_and_no_reader_twice_or_backwards(history: list[Pickup], same_form: bool) -> None:
    found = waves_of(history, WINDOWS, same_form=same_form)
    assert sorted(arrival.pickup for wave in found for arrival in wave.arrivals) == sorted(history)
    for wave in found:
        readers = [arrival.pickup.reader for arrival in wave.arrivals]
        assert len(readers) == len(set(readers))
        assert wave.arrivals[0].how is How.FIRST
        assert wave.began_at <= wave.last_at
        assert not (same_form and len(wave.after) > 1)
    for reader in WINDOWS:
        moments = [a.pickup.at for wave in found for a in wave.arrivals if a.pickup.reader == reader]
        assert moments == sorted(moments)


INTERVALS = [
    ("", "", 70),
    ("5m", "Periodic", 15),
    ("24h", "", 1450),
    ("0", "", 10),
    ("-1h", "", 10),
    ("nonsense", "", 10),
    ("1h", "OnChange", 10),
    ("1h", "CreatedOnce", 10),
    ("87600h", "", 31 * 1440 + 10),
]


@pytest.mark.parametrize(("interval", "policy", "minutes"), INTERVALS, ids=str)
def test_how_much_later_the_same_change_may_come(interval: str, policy: str, minutes: int) -> None:
    assert window_of(interval, policy) == minutes * MINUTE


def reader(number: int, tag: str = "", **fields: Any) -> Reader:
    values = {"created_at": START - 9 * HOUR, "seen": True, "window": 70 * MINUTE, **fields}
    return Reader(id=number, tag=f"sha3.k.{tag}" if tag else "", **values)


STANDINGS: dict[str, tuple[Reader, Standing]] = {
    "arrived": (reader(1, "b"), Standing.ARRIVED),
    "older": (reader(2, "a"), Standing.LAGS),
    "from two waves before": (reader(2, "o"), Standing.LAGS),
    "equal": (reader(2, "b"), Standing.HAS),
    "of another form": (reader(2, "x"), Standing.UNKNOWN),
    "no tag": (reader(2), Standing.UNKNOWN),
    "not seen": (reader(2, "a", seen=False), Standing.UNKNOWN),
    "in time": (reader(2, window=5 * HOUR), Standing.AWAITED),
    "in time, but known to be older": (reader(2, "a", window=5 * HOUR), Standing.LAGS),
    "younger": (reader(2, created_at=START + MINUTE), Standing.MADE_LATER),
    "its time is not known": (reader(2, created_at=None), Standing.UNKNOWN),
    "an older mount": (reader(2, mounts={"a": 1, "b": 3}), Standing.LAGS),
    "an older mount where others arrived": (reader(1, "b", mounts={"a": 1, "b": 3}), Standing.LAGS),
    "older mounts, not seen": (reader(2, mounts={"a": 1}, seen=False), Standing.UNKNOWN),
    "all mounts": (reader(2, mounts={"b": 3}), Standing.HAS),
    "a mount of a version that nobody told": (reader(2, mounts={"z": 3}), Standing.UNKNOWN),
}


@pytest.mark.parametrize("case", STANDINGS)
def test_where_a_reader_stands(case: str) -> None:
    other, standing = STANDINGS[case]
    earlier, newest = waves_of(pickups([(1, -900, "o", "a"), (1, 0, "a", "b")]), WINDOWS)
    readers = [reader(1, "b"), other] if other.id != 1 else [other]
    found = standings(newest, [earlier], readers, START + 3 * HOUR)
    assert found[other.id] is standing


def test_older_is_not_said_where_nobody_is_known_to_have_the_new_value() -> None:
    (wave,) = waves_of(pickups([(1, 0, "a", "b")]), WINDOWS)
    readers = [reader(1, "c"), reader(2, "a")]
    assert standings(wave, [], readers, START + 3 * HOUR) == {1: Standing.ARRIVED, 2: Standing.UNKNOWN}
