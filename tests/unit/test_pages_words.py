"""How numbers, times, charts and commands are written."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import charts, commands, words
from monitoring.health import Health
from monitoring.timelines import Run, Stretch, runs, stretches

NOW = datetime(2025, 11, 24, 14, 7, 31, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (48.9, "48 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (17_820, "4 h 57 min"),
        (86_400, "1 d"),
        (100_800, "1 d 4 h"),
        (172_800, "2 d"),
        (86_400 * 4000, "4,000 d"),
        (-720, "12 min"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert words.duration(timedelta(seconds=seconds)).replace(words.NBSP, " ") == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - HOUR, "13:07"),
        (NOW - 24 * HOUR, "23 Nov 14:07"),
        (NOW - 400 * 24 * HOUR, "20 Oct 2024"),
        (NOW.astimezone(tz=None), "14:07"),
    ],
)
def test_moments(at: datetime, expected: str) -> None:
    assert words.moment(at, NOW).replace(words.NBSP, " ") == expected


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (list("abcde"), "a, b, c and 2 more")]
)
def test_lists(names: list[str], expected: str) -> None:
    assert words.listed(names) == expected


MARKS = st.lists(
    st.tuples(st.datetimes(timezones=st.just(UTC)), st.sampled_from([*Health, None])), min_size=1, max_size=9
).map(lambda found: sorted(found, key=lambda mark: mark[0]))


@given(MARKS)
def test_stretches_follow_each_other_without_gaps(marks: list[tuple[datetime, Health | None]]) -> None:
    start, end = NOW - 120 * HOUR, NOW
    found = stretches(marks, start, end)
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(start <= piece.start < piece.end <= end for piece in found)
    begun = [health for at, health in marks if at < end]
    if begun:
        assert found[-1].end == end
        assert found[-1].health == begun[-1]


def test_runs_show_the_worst_of_each_slot() -> None:
    start = NOW - 10 * HOUR
    pieces = [
        Stretch(start + 2 * HOUR, start + 4.5 * HOUR, Health.HEALTHY),
        Stretch(start + 4.5 * HOUR, start + 4.6 * HOUR, Health.FAILING),
        Stretch(start + 4.6 * HOUR, start + 8 * HOUR, Health.HEALTHY),
        Stretch(start + 8 * HOUR, NOW, Health.UNKNOWN),
    ]
    assert runs(pieces, start, NOW, 10) == (
        Run(0, 2, None),
        Run(2, 2, Health.HEALTHY),
        Run(4, 1, Health.FAILING),
        Run(5, 3, Health.HEALTHY),
        Run(8, 2, Health.UNKNOWN),
    )


@given(MARKS)
def test_runs_fill_all_slots(marks: list[tuple[datetime, Health | None]]) -> None:
    start = NOW - 50 * HOUR
    found = runs(stretches(marks, start, NOW), start, NOW, 50)
    assert [run.first for run in found] == [sum(run.length for run in found[:place]) for place in range(len(found))]
    assert sum(run.length for run in found) == 50
    assert all(before.health != after.health for before, after in pairwise(found))


def test_a_figure_is_json_and_names_no_colour() -> None:
    pieces = [Stretch(NOW - 5 * HOUR, NOW - HOUR, Health.HEALTHY), Stretch(NOW - HOUR, NOW, Health.UNKNOWN)]
    figure = charts.timeline(NOW - 5 * HOUR, NOW, pieces, NOW - 3 * HOUR, NOW - 2 * HOUR)
    assert [trace["name"] for trace in figure["data"]] == ["Healthy", "Unknown", "refresh", "late"]
    assert "#" not in json.dumps(figure)


def test_the_installed_plotly_names_its_inline_style_sheets() -> None:
    assert charts.inline_style_ids()


@given(st.text(), st.text(), st.text())
def test_no_name_can_add_a_word_to_a_command(cluster: str, namespace: str, name: str) -> None:
    for command in commands.look(cluster, "ExternalSecret", namespace, name, {}):
        parts = shlex.split(command)
        assert parts[:3] == ["kubectl", "--context", cluster]
    described = shlex.split(commands.look(cluster, "ExternalSecret", namespace, name, {})[0])
    assert described[-1] == f"externalsecret.external-secrets.io/{name}"
