"""The list of a moment that is over, row by row: unhealthy resources, worst first, then healthy ones, newest first.

Of the unhealthy ones an index tells everything that the list is sorted and filtered by, so only the rows of one page
are read themselves (of 11,000 that lie far apart: 200 ms to 40 ms). Nothing indexes what is healthy, since nearly
everything is: so resources are taken in the order of the list, each with the state that it had, until there are enough
(51 of 1,000,000 in some milliseconds).
"""

from datetime import UTC, datetime
from typing import Any

from django.contrib.postgres.fields import DateTimeRangeField
from django.core.exceptions import EmptyResultSet
from django.db.models import Func, Q, QuerySet, Value, prefetch_related_objects
from django.db.models.functions import Concat

from monitoring.families import JUDGED_KINDS
from monitoring.filters import ResourceFilters
from monitoring.health import Health
from monitoring.models import PastResource, Resource, Transition
from monitoring.queries.knowledge import Overdue
from monitoring.queries.resources import filtered, named

UNWELL = """
WITH chosen AS MATERIALIZED ({chosen})
SELECT s.*, s.namespace || '/' || s.name AS search, c.ended_at, c.transition_id FROM chosen c CROSS JOIN LATERAL (
    SELECT t.resource_id AS id, t.cluster_id, t.kind, t.namespace, t.name, t.uid, t.from_health AS health,
        coalesce(t.since, t.began_at) AS since, t.began_at AS recorded_at, t.unwell_since, t.findings, t.lints,
        t.signature
    FROM monitoring_transition t WHERE t.id = c.transition_id AND t.at = c.ended_at AND t.at > %(at)s
    UNION ALL
    SELECT r.id, r.cluster_id, r.kind, r.namespace, r.name, r.uid, r.health, r.since, r.recorded_at, r.unwell_since,
        r.findings, r.lints, r.signature
    FROM monitoring_resource r WHERE r.id = c.id AND c.transition_id IS NULL
) s ORDER BY s.health DESC, s.id DESC
"""

# {there} are resources of now, {gone} removals of what was there at the moment. The state of then is the one that
# lasts, if it had begun, else the one that ended first afterwards.
HEALTHY = """
WITH there AS (
    SELECT r.id, r.cluster_id, r.kind, r.namespace, r.name, r.search, p.*
    FROM ({there}) r CROSS JOIN LATERAL (
        SELECT r.uid, r.since, r.recorded_at, r.findings, r.lints WHERE r.recorded_at <= %(at)s AND r.health = 0
        UNION ALL
        SELECT n.uid, coalesce(n.since, n.began_at), n.began_at, n.findings, n.lints FROM ({ended}) n
        WHERE r.recorded_at > %(at)s AND n.from_health = 0 AND n.began_at <= %(at)s
    ) p ORDER BY r.id DESC LIMIT %(limit)s
), gone AS (
    SELECT r.resource_id, r.cluster_id, r.kind, r.namespace, r.name, r.search, p.uid, coalesce(p.since, p.began_at),
        p.began_at, p.findings, p.lints
    FROM ({gone}) r CROSS JOIN LATERAL ({ended}) p
    WHERE p.from_health = 0 AND p.began_at <= %(at)s ORDER BY r.resource_id DESC LIMIT %(limit)s
)
SELECT *, 0 AS health, NULL AS ended_at, NULL AS transition_id, NULL AS unwell_since, '' AS signature
FROM (SELECT * FROM there UNION ALL SELECT * FROM gone) w ORDER BY id DESC LIMIT %(limit)s
"""
ENDED = """
    SELECT * FROM monitoring_transition t
    WHERE t.cluster_id = r.cluster_id AND t.kind = r.kind AND t.namespace = r.namespace AND t.name = r.name
        AND t.at > %(at)s AND t.from_health IS NOT NULL ORDER BY t.at, t.id LIMIT 1
"""

KEY = ("cluster_id", "kind", "namespace", "name", "search")
STATE = ("uid", "since", "recorded_at", "findings", "lints", "health")


def page_rows(
    filters: ResourceFilters, overdue: Overdue, at: datetime, last: tuple[int, int] | None, limit: int
) -> list[PastResource]:
    """The first `limit` rows after `last` (health and id), with their cluster. Six SQL statements at most.

    Generators, of which only advice is known, are left out: that of then is not kept.
    """
    health, last_id = last or (max(Health) + 1, 0)
    rows = filtered(filters, overdue, PastResource.at(at)).filter(kind__in=JUDGED_KINDS)
    found: list[PastResource] = []
    if health > Health.HEALTHY:
        unwell = rows.filter(Q(health__lt=health) | Q(health=health, id__lt=last_id), health__gt=Health.HEALTHY)
        found = _whole(unwell.order_by("-health", "-id")[:limit], at)
    missing, below = limit - len(found), last_id if health == Health.HEALTHY else None
    if missing and (filters.findings or filters.lints):  # what has any is found by them
        well = rows.filter(health=Health.HEALTHY)
        found += (well if below is None else well.filter(id__lt=below)).order_by("-id")[:missing]
    elif missing and _may_be_healthy(filters, overdue):
        found += _healthy(filters, overdue, at, below=below, limit=missing)
    prefetch_related_objects(found, "cluster")
    return found


def _whole(chosen: QuerySet[PastResource], at: datetime) -> list[PastResource]:
    """The chosen unhealthy states of `at` themselves, in the order of the list."""
    params: dict[str, Any] = {"at": at}
    try:
        sql = UNWELL.format(chosen=_spliced(chosen.values("id", "transition_id", "ended_at"), "chosen", params))
    except EmptyResultSet:  # a pattern of names that no cluster has
        return []
    return list(PastResource.objects.raw(sql, params))


def _healthy(
    filters: ResourceFilters, overdue: Overdue, at: datetime, *, below: int | None, limit: int
) -> list[PastResource]:
    """The first `limit`, of ids below `below` if that is given. One SQL statement."""
    there = _chosen(filters, overdue, Resource.objects.filter(first_seen_at__lte=at)).order_by("-id")
    existed = Func("first_seen_at", "at", function="tstzrange", output_field=DateTimeRangeField())
    removals = Transition.objects.annotate(existed=existed, search=Concat("namespace", Value("/"), "name"))
    removals = removals.filter(
        to_health=None,
        existed__contains=at,  # type: ignore[misc]  # a range may contain a moment as well as a range
        at__gte=_month(at),
    ).exclude(kind="Cluster")
    gone = _chosen(filters, overdue, removals)
    if below is not None:
        there, gone = there.filter(id__lt=below), gone.filter(resource_id__lt=below)
    params: dict[str, Any] = {
        "at": at,
        "limit": limit,
    }
    try:
        sql = HEALTHY.format(
            there=_spliced(there.values("id", *KEY, *STATE), "there", params),
            gone=_spliced(gone.values("resource_id", *KEY), "gone", params),
            ended=ENDED,
        )
    except EmptyResultSet:  # a pattern of names that no cluster has
        return []
    return list(PastResource.objects.raw(sql, params))


def _may_be_healthy(filters: ResourceFilters, overdue: Overdue) -> bool:
    """Whether a healthy state can fit at all: looking for what cannot be there would read everything."""
    if filters.signatures or filters.cause_classes:
        return False
    unseen = Health.UNKNOWN in filters.healths and bool(overdue.groups)
    return not filters.healths or Health.HEALTHY in filters.healths or unseen


def _chosen(filters: ResourceFilters, overdue: Overdue, rows: QuerySet[Any]) -> QuerySet[Any]:
    """What fits by its name, and by how what was healthy is to be shown: as unknown where nobody saw it."""
    return named(filters, rows.filter(_shown(filters.healths, overdue)))


def _shown(healths: frozenset[Health], overdue: Overdue) -> Q:
    wanted = healths or frozenset(Health)
    if Health.HEALTHY in wanted:
        return Q() if Health.UNKNOWN in wanted else ~overdue.condition()
    return overdue.condition()


def _month(at: datetime) -> datetime:
    """Chooses partitions: what was removed after `at` lies in its month or later."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _spliced(rows: QuerySet[Any], name: str, params: dict[str, Any]) -> str:
    """The query as text, its values added to `params` under names of their own."""
    sql, values = rows.query.sql_with_params()
    params.update({f"{name}_{place}": value for place, value in enumerate(values)})
    return sql.replace("%%", "%%%%") % tuple(f"%({name}_{place})s" for place in range(len(values)))
