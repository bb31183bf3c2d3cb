"""The made-up year of the benchmark: states follow one another without a hole, up to those that last."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from benchmarks.history_data import ABSENT, TRANSITION_COLUMNS, Estate, Size
from benchmarks.loading import big, row, small, text

NAMES = TRANSITION_COLUMNS.split(", ")
END = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
Fields = dict[str, bytes | None]


def fields(data: bytes) -> Fields:
    """By column, None for null."""
    found: list[bytes | None] = []
    place = 2
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], signed=True)
        place += 4
        found.append(data[place : place + length] if length >= 0 else None)
        place += max(length, 0)
    assert len(found) == int.from_bytes(data[:2])
    return dict(zip(NAMES, found, strict=True))


def number(value: bytes | None) -> int:
    assert value is not None
    return int.from_bytes(value, signed=True)


@pytest.fixture(scope="module")
def year() -> tuple[Estate, dict[int, list[Fields]]]:
    estate = Estate(Size(resources=5_000, transitions=250_000, rotations=600), END)
    found: dict[int, list[Fields]] = defaultdict(list)
    for data in estate.transitions():
        transition = fields(data)
        found[number(transition["resource_id"])].append(transition)
    return estate, found


def test_a_field_is_its_length_and_its_bytes() -> None:
    assert row(small(-2), big(None), text("é")) == b"\0\3\0\0\0\2\xff\xfe\xff\xff\xff\xff\0\0\0\2\xc3\xa9"


def test_as_many_changes_as_asked_for(year: tuple[Estate, dict[int, list[Fields]]]) -> None:
    assert 225_000 < sum(map(len, year[1].values())) < 275_000


def test_each_state_begins_where_the_one_before_ended(year: tuple[Estate, dict[int, list[Fields]]]) -> None:
    for told in year[1].values():
        for before, after in pairwise(told):
            assert after["began_at"] == before["at"]
            assert after["from_health"] == before["to_health"]
            assert number(after["at"]) > number(before["at"])


def test_the_states_that_last_begin_with_the_last_change(year: tuple[Estate, dict[int, list[Fields]]]) -> None:
    estate, found = year
    for resource_id, told in found.items():
        health = estate.health[resource_id - 1]
        assert told[-1]["to_health"] == (None if health == ABSENT else health.to_bytes(2))
        if health != ABSENT:
            assert number(told[-1]["at"]) == estate.recorded[resource_id - 1]


def test_some_were_added_and_some_removed(year: tuple[Estate, dict[int, list[Fields]]]) -> None:
    estate, found = year
    added = [told for told in found.values() if told[0]["from_health"] is None]
    removed = [told for told in found.values() if told[-1]["to_health"] is None]
    assert added
    assert removed
    assert len(list(estate.living())) == estate.number - len(removed)


def test_about_one_in_a_hundred_is_unhealthy(year: tuple[Estate, dict[int, list[Fields]]]) -> None:
    estate, _ = year
    living = list(estate.living())
    unhealthy = sum(estate.health[number] > 0 for number in living)
    assert 0.003 < unhealthy / len(living) < 0.03
