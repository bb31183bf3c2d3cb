"""The panel that shows counts over time, on the overview and on the page of a cluster."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from django.http import QueryDict
from django.urls import reverse

from monitoring import charts, queries
from monitoring.filters import TREND_WINDOWS, Parameter, parse_trend_window
from monitoring.queries.trends import DAY, HOUR, WINDOWS
from monitoring.templatetags.pages import with_query
from monitoring.timelines import Moment, floored

PARAMETER = Parameter("trend", "How far the trend looks back.", TREND_WINDOWS, False)
ROWS = 24
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
    query: QueryDict, now: datetime, ids: Collection[int] | None = None, *, cluster: str = "", over: bool = False
) -> Mapping[str, Any]:
    """What templates/monitoring/_trend.html needs. One SQL statement. Raises WrongParameter.

    `over`: `now` is a past moment, so an hour or a day that went on after it tells of what came later, and is left out.
    """
    code = parse_trend_window(query, PARAMETER.name)
    step = WINDOWS[code].step
    end = floored(now, step) - timedelta(microseconds=1) if over and step >= HOUR else now
    found = queries.trend(end, code, ids)
    alike = [list(group) for _, group in groupby(found.moments, key=_unwell)][::-1]
    return {
        "known": found.known,
        "figure": charts.trend(found.moments, found.window.step) if found.known else None,
        "windows": [(window.code, window.word, window.code == code) for window in WINDOWS.values()],
        "window": found.window,
        "merged": MERGED.get(found.window.step, ""),
        "healths": charts.STACKED,
        "rows": [_row(moments, found.window.step, cluster) for moments in alike[:ROWS]],
        "left_out": max(len(alike) - ROWS, 0),
        "at": _then(cluster),
        "api_path": with_query("/api/v1/trend/", {"window": code, **({"cluster": cluster} if cluster else {})}),
    }


def _then(cluster: str, **more: str) -> str:
    """The address of what was not healthy, to which the moment is added."""
    chosen = {"cluster": cluster} if cluster else {}
    return with_query(reverse("resources"), {**chosen, "health": "not_healthy", **more})


def _row(alike: Sequence[Moment], step: timedelta, cluster: str) -> Row:
    start, (counts, uncounted) = alike[0].at, _unwell(alike[0])
    link = _then(cluster, at=f"{start:%Y-%m-%dT%H:%M:%SZ}")
    return Row(start, alike[-1].at + step, counts, len(alike) * uncounted, link)


def _unwell(moment: Moment) -> tuple[tuple[int, ...] | None, timedelta]:
    counts = None if moment.counts is None else tuple(moment.counts[health] for health in charts.STACKED)
    return counts, moment.uncounted
