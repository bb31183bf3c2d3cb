"""The panel that shows counts over time, on the overview and on the page of a cluster."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.http import QueryDict
from django.urls import reverse

from monitoring import charts, queries
from monitoring.filters import TREND_WINDOWS, Parameter, parse_trend_window
from monitoring.queries import Trend
from monitoring.queries.trends import WINDOWS
from monitoring.templatetags.pages import with_query
from monitoring.timelines import Moment

PARAMETER = Parameter("trend", "How far the trend looks back.", TREND_WINDOWS, False)
ROWS = 50


class Row(NamedTuple):
    """Neighbouring moments with equal counts of what is not healthy; None where nobody counted. `link` leads there."""

    start: datetime
    end: datetime
    counts: tuple[int, ...] | None
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
    for counts, group in groupby(found.moments, key=_unwell):
        same = list(group)
        start = same[0].at
        yield Row(start, same[-1].at + found.window.step, counts, _then(cluster, at=f"{start:%Y-%m-%dT%H:%M:%SZ}"))


def _unwell(moment: Moment) -> tuple[int, ...] | None:
    return None if moment.counts is None else tuple(moment.counts[health] for health in charts.STACKED)
