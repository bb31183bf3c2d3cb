"""Plotly figures as plain data. Colours are names of health that static/js/charts.js turns into the page's own."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from monitoring import words
from monitoring.health import WORST_FIRST, Health
from monitoring.timelines import Moment, Stretch

Figure = dict[str, Any]
VISIBLE = 250  # a stretch shorter than this part of the window would be a line nobody sees
LANES = ("refresh", "health")  # from the bottom to the top
MOST_TICKS = 6
LINE = 14  # pixels that a second line of tick labels takes
HATCHED = {"fillmode": "overlay", "shape": "/", "size": 5, "solidity": 0.35}
# What a trend stacks, from the bottom to the top. Healthy is left out: it would flatten the rest.
STACKED = (Health.FAILING, Health.STALE, Health.AT_RISK, Health.PROGRESSING, Health.UNKNOWN)


@cache
def inline_style_ids() -> tuple[str, ...]:
    """Ids of the inline style sheets that plotly.min.js adds as it loads, unless there is an element of that id.

    Our Content-Security-Policy forbids them (they dress maps, which we do not draw), so a page puts empty elements
    with these ids before the script. An id is a hash of the sheet and changes with the version of Plotly.
    """
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        return ()
    script = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return tuple(sorted(set(re.findall(r'document\.getElementById\("([0-9a-f]{64})"\)', script))))


def timeline(
    start: datetime,
    end: datetime,
    stretches: Sequence[Stretch],
    refreshed_at: datetime | None,
    due_at: datetime | None,
) -> Figure:
    """The health of a resource as a band, its newest refresh as a dot, and how late a refresh is."""
    # The worst comes last and is drawn on top, because short stretches are drawn a little longer than they were.
    shortest = (end - start) / VISIBLE
    traces = [
        _band(health, [piece for piece in stretches if piece.health is health], shortest)
        for health in reversed(WORST_FIRST)
    ]
    traces = [trace for trace in traces if trace["x"]]
    if refreshed_at and start <= refreshed_at:
        traces.append(_refresh(refreshed_at))
    if refreshed_at and due_at and start <= due_at < end:
        traces.append(_lateness(due_at, end))
    return {"data": traces, "layout": _layout(start, end, LANES if refreshed_at else LANES[-1:])}


def _band(health: Health, pieces: Sequence[Stretch], shortest: timedelta) -> Figure:
    marker: Figure = {"color": health.css, "line": {"width": 0}}
    if health is Health.UNKNOWN:
        marker["pattern"] = HATCHED
    return {
        "type": "bar",
        "orientation": "h",
        "name": health.word,
        "base": [piece.start.isoformat() for piece in pieces],
        "x": [max(piece.end - piece.start, shortest) / timedelta(milliseconds=1) for piece in pieces],
        "y": ["health"] * len(pieces),
        "width": 0.42,
        "marker": marker,
        "customdata": [_said(piece) for piece in pieces],
        "hovertemplate": f"{health.word}<br>%{{customdata}}<extra></extra>",
    }


def _said(piece: Stretch) -> str:
    start, end = words.full_moment(piece.start), words.full_moment(piece.end)
    return f"{start} to {end}<br>{words.duration(piece.end - piece.start)}"


def _refresh(at: datetime) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "refresh",
        "x": [at.isoformat()],
        "y": ["refresh"],
        "marker": {"color": Health.HEALTHY.css, "size": 8},
        "hovertemplate": f"Newest refresh<br>{words.full_moment(at)}<extra></extra>",
    }


def _lateness(due: datetime, end: datetime) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "late",
        "x": [due.isoformat(), end.isoformat()],
        "y": ["refresh", "refresh"],
        "line": {"color": Health.STALE.css, "width": 1.5, "dash": "dot"},
        "hovertemplate": f"Due {words.full_moment(due)}<br>{words.duration(end - due)} late<extra></extra>",
    }


def _layout(start: datetime, end: datetime, lanes: Sequence[str]) -> Figure:
    more = LINE * _is_dated(start, end)
    return {
        "showlegend": False,
        "barmode": "overlay",
        "height": 44 + 44 * len(lanes) + more,
        "margin": {"l": 56, "r": 12, "t": 4, "b": 28 + more},
        "xaxis": _time_axis(start, end),
        "yaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": list(lanes),
            "range": [-0.5, len(lanes) - 0.5],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
            "ticklabelstandoff": 6,
        },
        "hovermode": "closest",
        "dragmode": False,
    }


def trend(moments: Sequence[Moment], step: timedelta) -> Figure:
    """What was not healthy over time, stacked; each count is drawn until the next one would be.

    Time that nobody counted is a hatched band: over the full height, with nothing else, where nobody counted at all,
    or over that part of the height which nobody counted of an hour or a day. `moments` must not be empty.
    """
    layers = [layer for health in STACKED if any((layer := _layer(health, moments, step))["y"])]
    holes = list(_holes(moments, step))
    traces = [*layers, _told(moments, step), *([_unseen(holes, step)] if holes else [])]
    return {"data": traces, "layout": _trend_layout(moments, step)}


def _layer(health: Health, moments: Sequence[Moment], step: timedelta) -> Figure:
    counted = [moment.counts[health] if moment.counts is not None else 0 for moment in moments]
    layer: Figure = {
        "type": "scatter",
        "mode": "lines",
        "stackgroup": "unwell",
        "name": health.word,
        **_spaced(moments, step),
        "y": [*counted, counted[-1]],  # the newest count again where its step ends, or it would have no width
        "line": {"color": health.css, "width": 0, "shape": "hv"},
        "fillcolor": health.css,
        "hoverinfo": "skip",
    }
    if health is Health.UNKNOWN:
        layer["fillpattern"] = HATCHED
    return layer


def _spaced(moments: Sequence[Moment], step: timedelta) -> Figure:
    """Where equally spaced points begin and how far apart they are, in milliseconds."""
    return {"x0": moments[0].at.isoformat(), "dx": step / timedelta(milliseconds=1)}


def _told(moments: Sequence[Moment], step: timedelta) -> Figure:
    """The words of each moment, on points that are not seen."""
    rows = [None if counts is None else [counts[health] for health in STACKED] for _, counts, _ in moments]
    lines = [f"%{{customdata[{place}]}} {health.word.lower()}" for place, health in enumerate(STACKED)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "counts",
        **_spaced(moments, step),
        "y": [None if row is None else sum(row) for row in rows],
        "customdata": rows,
        "marker": {"color": "soft", "opacity": 0, "size": 1},
        "hovertemplate": f"%{{x|%-d %b %Y %H:%M}} UTC<br>{'<br>'.join(lines)}<extra></extra>",
    }


class Hole(NamedTuple):
    """Neighbouring moments of each of which nobody counted equally long."""

    start: datetime
    end: datetime
    uncounted: timedelta


def _holes(moments: Sequence[Moment], step: timedelta) -> Iterable[Hole]:
    for (uncounted, _), group in groupby(moments, key=lambda moment: (moment.uncounted, moment.counts is None)):
        if uncounted:
            hole = list(group)
            yield Hole(hole[0].at, hole[-1].at + step, uncounted)


def _unseen(holes: Sequence[Hole], step: timedelta) -> Figure:
    return {
        "type": "bar",
        "name": "nobody counted",
        "x": [(hole.start + (hole.end - hole.start) / 2).isoformat() for hole in holes],
        "width": [(hole.end - hole.start) / timedelta(milliseconds=1) for hole in holes],
        "y": [hole.uncounted / step for hole in holes],
        "yaxis": "y2",
        "marker": {"color": Health.UNKNOWN.css, "line": {"width": 0}, "opacity": 0.45, "pattern": HATCHED},
        "customdata": [_missed(hole, step) for hole in holes],
        "hovertemplate": "Unknown: nobody counted<br>%{customdata}<extra></extra>",
    }


def _missed(hole: Hole, step: timedelta) -> str:
    said = _said(Stretch(hole.start, hole.end, Health.UNKNOWN))
    if hole.uncounted == step:
        return said
    return f"{words.duration(hole.uncounted)} of each {words.duration(step)}<br>{said}"


def _trend_layout(moments: Sequence[Moment], step: timedelta) -> Figure:
    most = max((sum(counts[health] for health in STACKED) for _, counts, _ in moments if counts is not None), default=0)
    start, end = moments[0].at, moments[-1].at + step
    more = LINE * _is_dated(start, end)
    return {
        "showlegend": False,
        "height": 160 + more,
        "margin": {"l": 44, "r": 12, "t": 8, "b": 28 + more},
        "xaxis": _time_axis(start, end),
        "yaxis": {
            "rangemode": "tozero",
            "fixedrange": True,
            "tickformat": ",d",
            "zeroline": False,
            "ticks": "",
            **({"nticks": 4} if most > 4 else {"dtick": 1}),  # no 0, 0.5, 1: it counts things
        },
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        "hovermode": "x",
        "dragmode": False,
    }


class Dot(NamedTuple):
    """Something that happened in a cluster, in words."""

    cluster: str
    at: datetime
    told: str


def arrivals(
    clusters: Sequence[str], dots: Sequence[Dot], waiting: Sequence[str], start: datetime, end: datetime
) -> Figure:
    """A line for each cluster, the first on top, with its dots, and for those that wait a dotted line to the end."""
    shown = [dot for dot in dots if dot.cluster in clusters]
    said = [f"{dot.cluster}<br>{words.full_moment(dot.at)}<br>{dot.told}" for dot in shown]
    points: Figure = {
        "type": "scatter",
        "mode": "markers",
        "name": "arrivals",
        "x": [dot.at.isoformat() for dot in shown],
        "y": [dot.cluster for dot in shown],
        "customdata": said,
        "marker": {"color": "ink", "size": 9},
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [*(_waiting(name, start, end) for name in waiting), points], "layout": _lanes(clusters, start, end)}


def _waiting(cluster: str, start: datetime, end: datetime) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "not there yet",
        "x": [start.isoformat(), end.isoformat()],
        "y": [cluster, cluster],
        "line": {"color": "soft", "width": 1.5, "dash": "dot"},
        "hovertemplate": "Not there yet<extra></extra>",
    }


def _lanes(clusters: Sequence[str], start: datetime, end: datetime) -> Figure:
    layout = _layout(start, end, list(clusters)[::-1])
    longest = max((len(name) for name in clusters), default=0)
    axis = {**layout["yaxis"], "showgrid": True}
    margin = {**layout["margin"], "l": min(24 + 7 * longest, 160)}
    return {**layout, "height": layout["height"] - 18 * len(clusters), "margin": margin, "yaxis": axis}


def _time_axis(start: datetime, end: datetime) -> Figure:
    shown_end = _shown_end(start, end)
    return {
        "type": "date",
        "range": [start.isoformat(), shown_end.isoformat()],
        "fixedrange": True,
        # Labels with seconds are wide: more of them would be tilted and cut on a phone.
        "nticks": MOST_TICKS if shown_end - start > timedelta(minutes=3) else 3,
        "tickformatstops": _tick_forms(dated=_is_dated(start, end)),
        "zeroline": False,
    }


def _shown_end(start: datetime, end: datetime) -> datetime:
    return end + (end - start) / 80


def _is_dated(start: datetime, end: datetime) -> bool:
    """Whether a time of day can come twice among the ticks; in more than three days they are a day apart or more."""
    shown = _shown_end(start, end) - start
    return timedelta(days=1) <= shown <= timedelta(days=MOST_TICKS / 2)


def _tick_forms(*, dated: bool) -> list[Figure]:
    """Labels by the distance of two ticks, which Plotly chooses by the room that there is; the first that fits holds.

    No two ticks of one axis have equal labels: a form that leaves out the date or the second is for ticks that differ
    in what it says.
    """
    second, minute, day, month = 1000, 60_000, 86_400_000, "M1"
    date = "<br>%-d %b" if dated else ""
    return [
        {"dtickrange": [month, None], "value": "%b %Y"},
        {"dtickrange": [day, month], "value": "%-d %b"},
        {"dtickrange": [minute, day], "value": f"%H:%M{date}"},
        {"dtickrange": [second, minute], "value": f"%H:%M:%S{date}"},
    ]
