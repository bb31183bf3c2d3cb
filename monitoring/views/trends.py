"""The panel that shows counts over time, on the overview and on the page of a cluster."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from django.http import QueryDict
from django.urls import reverse

from monitoring import charts, queries
from monitoring.filters import TREND_WINDOWS, Parameter, parse_trend_window
from monitoring.queries import Trend
from monitoring.queries.trends import DAY, HOUR, WINDOWS
from monitoring.templatetags.pages import with_query
from monitoring.timelines import Moment

PARAMETER = Parameter("trend", "How far the trend looks back.", TREND_WINDOWS, False)
ROWS = 50
MERGED = {HOUR: "hour", DAY: "day"}


class Row(NamedTuple):
    """Neighbouring moments with equal counts of what is not healthy; None where nobody counted. `link` leads there.

    `uncounted` is how much of all that time nobody counted.
    """

    start: datetime
    end: datetime
    counts: tuple[int, ...] | None
    uncounted: timedelta
    link: str


def panel(
    query: QueryDict, now: datetime, ids: Collection[int] | None = None, *, cluster: str = ""
) -> Mapping[str, Any]:
    """What templates/monitoring/_trend.html needs. One SQL statement. Raises WrongParameter."""
    code = parse_trend_window(query, PARAMETER.name)
    found = queries.trend(now, code, ids)
    rows = list(_rows(found, cluster))[::-1]
    return {
        "known": found.known,
        "figure": charts.trend(found.moments, found.window.step) if found.known else None,
        "windows": [(window.code, window.word, window.code == code) for window in WINDOWS.values()],
        "window": found.window,
        "merged": MERGED.get(found.window.step, ""),
        "healths": charts.STACKED,
        "rows": rows[:ROWS],
        "left_out": max(len(rows) - ROWS, 0),
        "at": _then(cluster),
        "api_path": with_query("/api/v1/trend/", {"window": code, **({"cluster": cluster} if cluster else {})}),
    }


def _then(cluster: str, **more: str) -> str:
    """The address of what was not healthy, to which the moment is added."""
    chosen = {"cluster": cluster} if cluster else {}
    return with_query(reverse("resources"), {**chosen, "health": "not_healthy", **more})


def _rows(found: Trend, cluster: str) -> Iterator[Row]:
    for (counts, uncounted), group in groupby(found.moments, key=_unwell):
        same = list(group)
        start, link = same[0].at, _then(cluster, at=f"{same[0].at:%Y-%m-%dT%H:%M:%SZ}")
        yield Row(start, same[-1].at + found.window.step, counts, len(same) * uncounted, link)


def _unwell(moment: Moment) -> tuple[tuple[int, ...] | None, timedelta]:
    counts = None if moment.counts is None else tuple(moment.counts[health] for health in charts.STACKED)
    return counts, moment.uncounted
