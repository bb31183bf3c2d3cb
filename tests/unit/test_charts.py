"""What a time axis writes at its ticks."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitoring import charts

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
# Distances of ticks that Plotly chooses from; months are drawn where even two weeks would be too many ticks.
STEPS = [
    *(number * SECOND for number in (1, 2, 5, 10, 15, 30)),
    *(number * MINUTE for number in (1, 2, 5, 10, 15, 30)),
    *(number * HOUR for number in (1, 2, 3, 6, 12)),
    *(number * DAY for number in (1, 2, 3, 7, 14)),
]


def labels(axis: charts.Figure) -> list[str]:
    """As Plotly writes them: the closest ticks that are no more than asked for, in the first form that fits."""
    start, end = map(datetime.fromisoformat, axis["range"])
    step = next(step for step in STEPS if (end - start) / axis["nticks"] <= step)
    milliseconds = step / timedelta(milliseconds=1)
    form = next(
        stop["value"]
        for stop in axis["tickformatstops"]
        for least, most in [stop["dtickrange"]]
        if least != "M1" and least <= milliseconds and (most == "M1" or milliseconds <= most)
    )
    first = EPOCH + -(-(start - EPOCH) // step) * step
    return [f"{first + place * step:{form}}" for place in range((end - first) // step + 1)]


@given(start=st.integers(0, 10**8), length=st.integers(60, 70 * 86400))
def test_no_two_ticks_are_labelled_alike(start: int, length: int) -> None:
    began = EPOCH + start * SECOND
    axis = charts.arrivals(["eu"], [], [], began, began + length * SECOND)["layout"]["xaxis"]
    found = labels(axis)
    assert len(set(found)) == len(found)


def test_seconds_and_dates_are_written_only_where_they_tell_ticks_apart() -> None:
    axes = [charts.arrivals([], [], [], EPOCH, EPOCH + length)["layout"]["xaxis"] for length in (MINUTE, DAY, 5 * DAY)]
    forms = [[stop["value"] for stop in axis["tickformatstops"]] for axis in axes]
    assert [stops[2] for stops in forms] == ["%H:%M", "%H:%M<br>%-d %b", "%H:%M"]
    assert {stops[3].partition("<")[0] for stops in forms} == {"%H:%M:%S"}
