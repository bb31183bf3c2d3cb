"""Plotly figures as plain data. Colours are names of health that static/js/charts.js turns into the page's own."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from monitoring import words
from monitoring.health import WORST_FIRST, Health
from monitoring.timelines import Stretch

Figure = dict[str, Any]
VISIBLE = 250  # a stretch shorter than this part of the window would be a line nobody sees
LANES = ("refresh", "health")  # from the bottom to the top


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
    """The health of a resource as a band, its newest refresh as a dot, and how long a refresh is overdue."""
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
        marker["pattern"] = {"fillmode": "overlay", "shape": "/", "size": 5, "solidity": 0.35}
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
        "hovertemplate": f"<b>{health.word}</b><br>%{{customdata}}<extra></extra>",
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
        "hovertemplate": f"<b>Newest refresh</b><br>{words.full_moment(at)}<extra></extra>",
    }


def _lateness(due: datetime, end: datetime) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "late",
        "x": [due.isoformat(), end.isoformat()],
        "y": ["refresh", "refresh"],
        "line": {"color": Health.STALE.css, "width": 1.5, "dash": "dot"},
        "hovertemplate": f"<b>Due {words.full_moment(due)}</b><br>{words.duration(end - due)} late<extra></extra>",
    }


def _layout(start: datetime, end: datetime, lanes: Sequence[str]) -> Figure:
    return {
        "showlegend": False,
        "barmode": "overlay",
        "height": 44 + 44 * len(lanes),
        "margin": {"l": 56, "r": 12, "t": 4, "b": 28},
        "xaxis": {
            "type": "date",
            "range": [start.isoformat(), (end + (end - start) / 80).isoformat()],
            "fixedrange": True,
            "nticks": 6,
            "tickformat": "%b %Y" if end - start > timedelta(days=60) else "%-d %b",
            "zeroline": False,
        },
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
