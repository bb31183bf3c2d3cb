"""The past of resources as it is drawn: the timeline of one, and the strip of fifty hours of each row of a page."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import F

from monitoring import timelines
from monitoring.health import Health
from monitoring.models import Gap, Transition
from monitoring.queries.history import Change, told
from monitoring.queries.resources import JudgedResource
from monitoring.timelines import Run, Stretch, Turn, covered, runs, stretches

MOST_DRAWN, MOST_TOLD = 500, 60
MOST_IN_STRIP = 200  # changes of one resource, and gaps of one kind


@dataclass(frozen=True)
class Timeline:
    """What the chart and its table show. `start` to `end` is the window; `changes` are the newest of it, newest first.

    Time in which the kind could not be read is unknown, past gaps like the one that lasts.
    """

    start: datetime
    end: datetime
    stretches: tuple[Stretch, ...]
    changes: tuple[Change, ...]
    flapping: int
    refreshed_at: datetime | None
    due_at: datetime | None


def timeline(resource: JudgedResource, now: datetime, window: timedelta) -> Timeline:
    """The last `window` of one resource, also across removal and recreation under its name. Three SQL statements.

    The 500 newest changes are drawn, what was before them in the window is unknown; of gaps the 500 longest count.
    `flapping` is how many times it turned to at risk or worse within a day, where that is often; otherwise 0.
    """
    row, start = resource.row, now - window
    rows = Transition.objects.filter(
        cluster_id=row.cluster_id, kind=row.kind, namespace=row.namespace, name=row.name, at__range=(start, now)
    ).order_by("-at", "-id")
    turned = rows.filter(turned=True).values_list("at", "from_health", "to_health", "since", "began_at")[:MOST_DRAWN]
    found = [
        _Change(Turn(at, _health(before), _health(after)), min(since or began, began))
        for at, before, after, since, began in turned
    ]
    gaps = Gap.objects.filter(cluster_id=row.cluster_id, kind=row.kind, ended_at__gt=start, began_at__lt=now)
    longest = gaps.order_by(F("began_at") - F("ended_at")).values_list("began_at", "ended_at")[:MOST_DRAWN]
    return Timeline(
        start=start,
        end=now,
        stretches=covered(_stretches(resource, found[::-1], start, now), [*longest, *_open_gap(resource, now)]),
        changes=tuple(Change(change) for change in told(rows)[:MOST_TOLD]),
        flapping=timelines.flapping((change.turn for change in found), now),
        refreshed_at=row.refreshed_at,
        due_at=row.due_at,
    )


class _Change(NamedTuple):
    """`before` is when the state began that the turn ended."""

    turn: Turn
    before: datetime


def _stretches(
    resource: JudgedResource, oldest_first: Sequence[_Change], start: datetime, now: datetime
) -> tuple[Stretch, ...]:
    row = resource.row
    if not oldest_first:
        return stretches([(min(row.first_seen_at, row.since), resource.last_known)], start, now)
    (oldest, before), *_ = oldest_first
    marks = [(change.turn.at, change.turn.after) for change in oldest_first]
    if oldest.before is not None:
        marks.insert(0, (before, oldest.before))
    if len(oldest_first) == MOST_DRAWN:
        marks.insert(0, (start, Health.UNKNOWN))
    return stretches(marks, start, now)


def _open_gap(resource: JudgedResource, now: datetime) -> tuple[timelines.Gap, ...]:
    """The gap that lasts, if the resource cannot be seen: from the last reading, or what was recorded last."""
    return ((resource.read_at or resource.row.recorded_at, now),) if resource.unseen else ()


# Found by transition_by_resource once per row of the page; there is no index on resource_id.
RECENT_SQL = """
    SELECT place, recent.at, recent.from_health, recent.to_health
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY AS row(cluster_id, kind, namespace, name, place)
    CROSS JOIN LATERAL (
        SELECT at, id, from_health, to_health
        FROM monitoring_transition past
        WHERE past.cluster_id = row.cluster_id AND past.kind = row.kind
            AND past.namespace = row.namespace AND past.name = row.name AND past.at BETWEEN %s AND %s AND past.turned
        ORDER BY at DESC, id DESC
        LIMIT %s
    ) recent
    ORDER BY place, recent.at, recent.id
"""
# The same for gaps, once per cluster and kind of the page.
GAPS_SQL = """
    SELECT pair.cluster_id, pair.kind, past.began_at, past.ended_at
    FROM unnest(%s::bigint[], %s::text[]) AS pair(cluster_id, kind)
    CROSS JOIN LATERAL (
        SELECT began_at, ended_at FROM monitoring_gap gap
        WHERE gap.cluster_id = pair.cluster_id AND gap.kind = pair.kind AND ended_at > %s AND began_at < %s
        ORDER BY ended_at DESC
        LIMIT %s
    ) past
"""
STRIP_SLOTS, STRIP_SLOT = 50, timedelta(hours=1)


def strips(resources: Sequence[JudgedResource], now: datetime) -> tuple[tuple[Run, ...], ...]:
    """For each resource its health in the last 50 hours, hour by hour. Two SQL statements.

    What was before the 200 newest changes of a resource, or gaps of its kind, is unknown.
    """
    start = now - STRIP_SLOTS * STRIP_SLOT
    turns, gaps = _turns(resources, start, now), _gaps(resources, start, now)
    found = []
    for place, resource in enumerate(resources):
        past = [*gaps[resource.row.cluster_id, resource.row.kind], *_open_gap(resource, now)]
        pieces = covered(_recent(resource, turns[place], start, now), past)
        found.append(runs(pieces, start, now, STRIP_SLOTS))
    return tuple(found)


def _turns(resources: Sequence[JudgedResource], start: datetime, now: datetime) -> dict[int, list[Turn]]:
    """By place in `resources`, oldest first."""
    rows = [resource.row for resource in resources]
    keys = [[getattr(row, field) for row in rows] for field in ("cluster_id", "kind", "namespace", "name")]
    found: dict[int, list[Turn]] = defaultdict(list)
    with connection.cursor() as sql:
        sql.execute(RECENT_SQL, [*keys, start, now, MOST_IN_STRIP])
        for place, at, before, after in sql.fetchall():
            found[place - 1].append(Turn(at, _health(before), _health(after)))
    return found


def _health(number: int | None) -> Health | None:
    return None if number is None else Health(number)


def _gaps(
    resources: Sequence[JudgedResource], start: datetime, now: datetime
) -> dict[tuple[int, str], list[timelines.Gap]]:
    pairs = sorted({(resource.row.cluster_id, resource.row.kind) for resource in resources})
    found: dict[tuple[int, str], list[timelines.Gap]] = defaultdict(list)
    with connection.cursor() as sql:
        sql.execute(GAPS_SQL, [[number for number, _ in pairs], [kind for _, kind in pairs], start, now, MOST_IN_STRIP])
        for cluster_id, kind, began_at, ended_at in sql.fetchall():
            found[cluster_id, kind].append((began_at, ended_at))
    for gaps in found.values():
        if len(gaps) == MOST_IN_STRIP:
            gaps.append((start, min(gaps)[0]))
    return found


def _recent(resource: JudgedResource, turns: Sequence[Turn], start: datetime, now: datetime) -> tuple[Stretch, ...]:
    """What was before the first turn is what it turned from; without one it lasts since it was first seen."""
    if turns:
        before = Health.UNKNOWN if len(turns) == MOST_IN_STRIP else turns[0].before
        marks = [(start, before), *((turn.at, turn.after) for turn in turns)]
    else:
        marks = [(min(resource.row.first_seen_at, now), resource.last_known)]
    return stretches(marks, start, now)
