"""The estate as it was at a moment: resources, causes, advice and clusters, from intervals and not by replay.

Who asks for the past gets what we know now of what was then: a time in which we could not see is unknown, although the
pages of that time still showed what was last known. Every function makes a constant number of SQL statements.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import cast

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum

from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring.families import FAMILIES, FAMILY_OF, JUDGED_KINDS, OPTIONAL_KINDS, Family
from monitoring.filters import CauseFilters, ResourceFilters, WrongParameter
from monitoring.health import WORST_FIRST, Health
from monitoring.known import decoded
from monitoring.models import ClusterState, Cursor, Gap, HealthCount, PastResource, Resource, Transition
from monitoring.queries.causes import Cause, Estate, led, ranked
from monitoring.queries.fleet import ClusterRow, FamilyRow, cell
from monitoring.queries.knowledge import NOT_GIVEN, Coverage, Overdue, Silent, is_overdue
from monitoring.queries.lints import Lint, counted
from monitoring.queries.paging import Page, decode_numbers, decode_ranked, page_of
from monitoring.queries.past_rows import page_rows
from monitoring.queries.resources import JudgedResource, Unseen

REQUIRED_KINDS = frozenset(JUDGED_KINDS) - frozenset(OPTIONAL_KINDS)

Pair = tuple[int, str]  # a cluster and a kind
Gaps = Mapping[Pair, datetime]  # since when each pair was not seen

LINTS = """
WITH advised AS (
    SELECT cluster_id, lints FROM monitoring_resource
    WHERE lints <> '[]' AND recorded_at <= %(at)s AND kind = ANY(%(kinds)s)
    UNION ALL
    SELECT cluster_id, lints FROM monitoring_transition
    WHERE lints <> '[]' AND from_health IS NOT NULL AND kind <> 'Cluster' AND at > %(at)s
        AND tstzrange(began_at, at) @> %(at)s::timestamptz
)
SELECT l.value->>'rule', max(l.value->>'hint'), count(*), array_agg(DISTINCT c.name ORDER BY c.name)
FROM advised a JOIN clusters_cluster c ON c.id = a.cluster_id
CROSS JOIN LATERAL jsonb_array_elements(a.lints) l GROUP BY 1
"""

# The verdict on each cluster that ended first after the moment, if it had begun before.
CLUSTER_STATES = """
SELECT p.cluster_id, p.from_health, p.findings, p.lints FROM clusters_cluster c CROSS JOIN LATERAL (
    SELECT * FROM monitoring_transition t WHERE t.cluster_id = c.id AND t.kind = 'Cluster' AND t.namespace = ''
        AND t.name = '' AND t.at > %(at)s ORDER BY t.at, t.id LIMIT 1
) p WHERE p.began_at <= %(at)s
"""


def first_record() -> datetime | None:
    """The first moment of which anything is known. One SQL statement."""
    return Transition.objects.filter(turned=True).order_by("at", "id").values_list("at", flat=True).first()


def check(at: datetime, name: str = "at") -> None:
    """Raises WrongParameter for a moment before the first of which anything is known. One SQL statement."""
    first = first_record()
    if first is None:
        raise WrongParameter(name, "lies before our first record: nothing was recorded yet")
    if at < first:
        raise WrongParameter(name, f"lies before our first record, of {first:%Y-%m-%d %H:%M} UTC")


def gaps(at: datetime, now: datetime) -> Gaps:
    """The (cluster, kind) pairs that nobody had seen at `at`, and since when. Four SQL statements.

    The gap that is open at `now` begins with the newest complete reading, or with the cluster's registration; of a kind
    that is not installed any more while its resources are still known, when it ceased to be. What nobody was given the
    rights to see is no gap.
    """
    ended = Gap.objects.filter(kind__in=JUDGED_KINDS, began_at__lt=at, ended_at__gt=at)
    found = {(gap.cluster_id, gap.kind): gap.began_at for gap in ended}
    cursors = Cursor.objects.filter(kind__in=JUDGED_KINDS)
    orphaned = Resource.objects.filter(cluster=OuterRef("cluster"), kind=OuterRef("kind"))
    for known in cursors.filter(Exists(orphaned), outcome=Outcome.NOT_INSTALLED, since__lt=at):
        found[known.cluster_id, known.kind] = known.since
    cursors = cursors.exclude(outcome=Outcome.NOT_INSTALLED).exclude(NOT_GIVEN, read_at=None)
    for known in cursors.filter(Q(read_at__lt=at) | Q(read_at=None)).select_related("cluster"):
        since = known.read_at or known.cluster.created_at
        if since < at and is_overdue(known.cluster, known.read_at, now):
            found[known.cluster_id, known.kind] = since
    unread = Cluster.objects.filter(created_at__lt=at).exclude(pk__in=Cursor.objects.values("cluster_id"))
    found.update(((cluster.pk, kind), cluster.created_at) for cluster in unread for kind in JUDGED_KINDS)
    return found


def _overdue(pairs: Gaps) -> Overdue:
    kinds: dict[int, list[str]] = defaultdict(list)
    for cluster_id, kind in sorted(pairs):
        kinds[cluster_id].append(kind)
    clusters: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for cluster_id, names in kinds.items():
        clusters[tuple(names)].append(cluster_id)
    return Overdue(tuple((names, tuple(ids)) for names, ids in clusters.items()))


@dataclass(frozen=True)
class PastJudged(JudgedResource):
    """A resource in the state that it had at `now`, which lies in the past. `unseen_since`: not seen then."""

    unseen_since: datetime | None = None

    @property
    def read_at(self) -> datetime | None:
        return self.unseen_since or self.now

    @cached_property
    def unseen(self) -> Unseen | None:
        return Unseen(f"{self.row.kind} not read", self.unseen_since) if self.unseen_since else None


def resources(
    filters: ResourceFilters, at: datetime, now: datetime, cursor: str = "", limit: int = 50
) -> Page[PastJudged]:
    """As `queries.resources`, at `at`. Raises WrongParameter, also for what only the present can answer."""
    if filters.stores:
        raise WrongParameter("store", "cannot be asked of the past: what refers to what is known of the present only")
    unseen = gaps(at, now)
    overdue = _overdue(unseen)
    found = page_rows(filters, overdue, at, decode_numbers(cursor) if cursor else None, limit + 1)
    page = page_of(found, limit, lambda row: (row.health, row.id))
    return Page(tuple(_judged(row, at, unseen) for row in page.rows), page.next)


def _judged(row: PastResource, at: datetime, unseen: Gaps) -> PastJudged:
    # A PastResource has what a Resource has, as far as the past knows it.
    return PastJudged(cast(Resource, row), at, unseen.get((row.cluster_id, row.kind)))


def resource(resource_id: int, at: datetime, now: datetime) -> PastJudged | None:
    """One resource as it was, or None if it did not exist then."""
    unseen = gaps(at, now)
    row = PastResource.at(at).select_related("cluster").filter(pk=resource_id).first()
    return _judged(row, at, unseen) if row else None


def causes(filters: CauseFilters, at: datetime, now: datetime, cursor: str = "", limit: int = 50) -> Page[Cause]:
    """As `queries.causes`, at `at`. Raises WrongParameter."""
    unseen = gaps(at, now)
    silent = _silent(unseen)
    told = [
        state
        for state in cluster_states(at).values()
        if state.health >= Health.AT_RISK and state.cluster_id not in silent
    ]
    return ranked(Estate(PastResource.at(at), _overdue(unseen), told), filters, cursor, limit)


def needs_someone(at: datetime, now: datetime, *, seen: Coverage, limit: int = 10) -> tuple[tuple[Cause, ...], bool]:
    """As `queries.needs_someone`, at `at`."""
    return led(causes(CauseFilters(), at, now, limit=limit), seen, limit)


def lints(at: datetime) -> tuple[Lint, ...]:
    """As `queries.lints`, at `at`, but for generators: what was advised of them is not kept."""
    return counted(
        LINTS, {"at": at, "kinds": list(JUDGED_KINDS)}, [state for state in cluster_states(at).values() if state.lints]
    )


def cluster_states(at: datetime) -> dict[int, ClusterState]:
    """By cluster: what its own rules said of it at `at`, as unsaved rows with their cluster. Two SQL statements."""
    lasting = ClusterState.objects.filter(recorded_at__lte=at).select_related("cluster")
    found = {
        state.cluster_id: ClusterState(
            cluster=state.cluster, health=state.health, findings=state.findings, lints=state.lints
        )
        for state in lasting
    }
    with connection.cursor() as sql:
        sql.execute(CLUSTER_STATES, {"at": at})
        ended = sql.fetchall()
    clusters = Cluster.objects.in_bulk([row[0] for row in ended])
    for cluster_id, health, findings, advice in ended:
        cluster = clusters[cluster_id]
        found[cluster_id] = ClusterState(
            cluster=cluster, health=health, findings=decoded(findings), lints=decoded(advice)
        )
    return dict(sorted(found.items(), key=lambda item: item[1].cluster.name))


Counts = Mapping[int, Mapping[str, Mapping[Health, int]]]  # resources by cluster, kind and last known health


def counts(at: datetime) -> Counts:
    """Resources by cluster, kind and last known health at `at`. Four SQL statements.

    How many there were follows from how many there are, and what was added and removed since; how many were unhealthy
    is counted; the others were healthy.
    """
    totals: dict[Pair, int] = defaultdict(int)
    rows = HealthCount.objects.filter(kind__in=JUDGED_KINDS).values_list("cluster_id", "kind")
    for cluster_id, kind, number in rows.annotate(total=Sum("count")).order_by():
        totals[cluster_id, kind] += number
    since = Transition.objects.filter(kind__in=JUDGED_KINDS, at__gt=at).values_list("cluster_id", "kind")
    for sign, ends in ((-1, {"from_health": None}), (1, {"to_health": None})):
        for cluster_id, kind, number in since.filter(**ends).annotate(total=Count("id")).order_by():
            totals[cluster_id, kind] += sign * number
    found: dict[int, dict[str, dict[Health, int]]] = defaultdict(lambda: defaultdict(dict))
    unwell = PastResource.at(at).filter(kind__in=JUDGED_KINDS, health__gt=Health.HEALTHY)
    counted = unwell.values_list("cluster_id", "kind", "health").annotate(total=Count("id")).order_by()
    for cluster_id, kind, health, number in counted:
        found[cluster_id][kind][Health(health)] = number
        totals[cluster_id, kind] -= number
    for (cluster_id, kind), number in totals.items():
        if number > 0:
            found[cluster_id][kind][Health.HEALTHY] = number
    return found


def family_totals(at: datetime, now: datetime, held: Counts) -> tuple[FamilyRow, ...]:
    """As `queries.family_totals`, at `at`, from the counts of then."""
    unseen = gaps(at, now)
    totals: dict[Family, dict[Health, int]] = {family: dict.fromkeys(WORST_FIRST, 0) for family in FAMILIES}
    for cluster_id, kinds in held.items():
        for kind, found in kinds.items():
            for health, number in found.items():
                totals[FAMILY_OF[kind]][Health.UNKNOWN if (cluster_id, kind) in unseen else health] += number
    return tuple(FamilyRow(family, found) for family, found in totals.items())


def cluster_rows(
    at: datetime,
    now: datetime,
    *,
    ids: Collection[int] | None = None,
    held: Counts | None = None,
    cursor: str = "",
    limit: int = 100,
) -> Page[ClusterRow]:
    """As `queries.cluster_rows`, at `at`: clusters that had something then, or were registered. `held`: `counts`."""
    unseen, held, states = gaps(at, now), counts(at) if held is None else held, cluster_states(at)
    silent = _silent(unseen)
    rows = [
        _cluster_row(cluster, held.get(cluster.pk, {}), unseen, silent.get(cluster.pk), states.get(cluster.pk), at)
        for cluster in _clusters(at, ids)
    ]
    rows.sort(key=lambda row: (-row.worst, row.cluster.name))
    if cursor:
        last = decode_ranked(cursor)
        rows = [row for row in rows if (-row.worst, row.cluster.name) > (-last[0], last[1])]
    return page_of(rows[: limit + 1], limit, lambda row: (int(row.worst), row.cluster.name))


def _cluster_row(
    cluster: Cluster,
    stored: Mapping[str, Mapping[Health, int]],
    unseen: Gaps,
    silent_since: datetime | None,
    state: ClusterState | None,
    at: datetime,
) -> ClusterRow:
    hidden = frozenset(kind for kind in JUDGED_KINDS if (cluster.pk, kind) in unseen)
    kinds = {kind: {Health.UNKNOWN: sum(found.values())} if kind in hidden else found for kind, found in stored.items()}
    cursors = {kind: Cursor(kind=kind, outcome=Outcome.COMPLETE, read_at=at) for kind in JUDGED_KINDS}
    totals = {health: sum(found.get(health, 0) for found in kinds.values()) for health in WORST_FIRST}
    silent = Silent(cluster.name, silent_since, "not read") if silent_since else None
    own = Health(state.health) if state and not silent else Health.HEALTHY
    cluster.state = state or ClusterState(cluster=cluster)
    least = Health.UNKNOWN if hidden.intersection(REQUIRED_KINDS) else Health.HEALTHY
    return ClusterRow(
        cluster=cluster,
        worst=max([own, least, *(health for health, number in totals.items() if number)]),
        cells=tuple(cell(family, kinds, cursors, hidden) for family in FAMILIES),
        read_at=None,
        silent=silent,
        counts=totals,
        now=at,
    )


def coverage(at: datetime, now: datetime, ids: Collection[int] | None = None) -> Coverage:
    """How many of the clusters of then were seen then. Seven SQL statements."""
    unseen, clusters = gaps(at, now), list(_clusters(at, ids))
    hidden = _silent(unseen)
    silent = tuple(Silent(cluster.name, hidden[cluster.pk], "not read") for cluster in clusters if cluster.pk in hidden)
    return Coverage(
        as_of=at,
        clusters=len(clusters),
        reporting=len(clusters) - len(silent),
        oldest_at=None,
        silent=silent,
        unreadable=(),
    )


def registered_after(at: datetime) -> list[int]:
    """Clusters of which nothing was known yet at `at`. One SQL statement."""
    return list(Cluster.objects.exclude(pk__in=_clusters(at, None)).values_list("pk", flat=True))


def _clusters(at: datetime, ids: Collection[int] | None) -> QuerySet[Cluster]:
    """Those that were registered at `at`, or have a transition from before (a back story is older than its cluster)."""
    told = Transition.objects.filter(cluster_id=OuterRef("pk"), turned=True, at__lte=at)
    known = Cluster.objects.filter(Q(created_at__lte=at) | Exists(told))
    return known if ids is None else known.filter(pk__in=ids)


def _silent(unseen: Gaps) -> dict[int, datetime]:
    """Clusters of which nothing was seen, and since when: all kinds that they serve were in a gap, or never read."""
    served: dict[int, set[str]] = defaultdict(set)
    cursors = Cursor.objects.filter(kind__in=REQUIRED_KINDS).exclude(outcome=Outcome.NOT_INSTALLED)
    for cluster_id, kind in cursors.values_list("cluster_id", "kind"):
        served[cluster_id].add(kind)
    hidden: dict[int, dict[str, datetime]] = defaultdict(dict)
    for (cluster_id, kind), since in unseen.items():
        hidden[cluster_id][kind] = since
    known = set(Cursor.objects.values_list("cluster_id", flat=True))
    return {
        cluster_id: min(kinds.values())
        for cluster_id, kinds in hidden.items()
        if (served[cluster_id] or cluster_id not in known) and served[cluster_id] <= kinds.keys()
    }
