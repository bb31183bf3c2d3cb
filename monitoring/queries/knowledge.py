"""What we still know: which (cluster, kind) pairs are overdue, and how much of the fleet stands behind a number.

Unknown is never stored for what we cannot see: it follows from the age of the newest complete reading, at the moment
somebody looks. A resource of an overdue pair is shown unknown whatever its last known health.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import (
    Case,
    DateTimeField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Min,
    Q,
    QuerySet,
    Value,
    When,
)

from clusters.models import Cluster
from clusters.observations import Failure, Outcome
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import Cursor

# The same limit as Cluster.freshness_limit, which a test compares.
READ_BEFORE = "%s - make_interval(secs => 2.5 * cluster.interval_seconds + 10)"
OVERDUE_SQL = f"""
    SELECT wanted.kind, array_agg(cluster.id ORDER BY cluster.id)
    FROM clusters_cluster cluster
    CROSS JOIN unnest(%s::text[]) AS wanted(kind)
    LEFT JOIN monitoring_cursor known ON known.cluster_id = cluster.id AND known.kind = wanted.kind
    WHERE known.read_at IS NULL OR known.read_at < {READ_BEFORE}
    GROUP BY wanted.kind
"""  # noqa: S608 - no value is put into the text


@dataclass(frozen=True)
class Overdue:
    """The (cluster, kind) pairs of which our knowledge is too old, as groups of kinds that share their clusters."""

    groups: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = ()

    def condition(self) -> Q:
        """True for rows (of a table with `cluster_id` and `kind`) that belong to an overdue pair."""
        result = Q(pk__in=())
        for kinds, cluster_ids in self.groups:
            result |= Q(kind__in=kinds, cluster_id__in=cluster_ids)
        return result

    def shown_health(self) -> Case:
        """The health to show for a row with `cluster_id`, `kind` and `health`."""
        return Case(
            When(self.condition(), then=Value(int(Health.UNKNOWN))), default=F("health"), output_field=IntegerField()
        )


def overdue_pairs(now: datetime) -> Overdue:
    """All overdue pairs of judged kinds, in one SQL statement. A pair that was never read is overdue."""
    with connection.cursor() as sql:
        sql.execute(OVERDUE_SQL, [list(JUDGED_KINDS), now])
        found = sql.fetchall()
    kinds_by_clusters: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for kind, cluster_ids in found:
        kinds_by_clusters[tuple(cluster_ids)].append(kind)
    return Overdue(tuple((tuple(sorted(kinds)), ids) for ids, kinds in kinds_by_clusters.items()))


def is_overdue(cluster: Cluster, read_at: datetime | None, now: datetime) -> bool:
    """Whether knowledge of `read_at` is too old at `now`; the same rule as `overdue_pairs`."""
    return read_at is None or now - read_at > cluster.freshness_limit


@dataclass(frozen=True)
class Silent:
    """A cluster that does not report. `since` is None where it never did; `reason` fits after its name."""

    name: str
    since: datetime | None
    reason: str
    message: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Unreadable:
    """A kind that some reporting clusters do not let us read, or that could not be read there."""

    kind: str
    outcome: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How many clusters stand behind the numbers of a page, and how old the oldest of their data is."""

    as_of: datetime
    clusters: int
    reporting: int
    oldest_at: datetime | None
    silent: tuple[Silent, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def oldest(self) -> timedelta | None:
        return self.as_of - self.oldest_at if self.oldest_at else None

    @property
    def complete(self) -> bool:
        return self.reporting == self.clusters and not self.unreadable


def coverage(now: datetime) -> Coverage:
    """Coverage of all clusters, in four SQL statements. Only clusters that do not report are loaded."""
    silent = list(Cluster.objects.filter(is_silent(now)).select_related("state"))
    number = Cluster.objects.count()
    silent_ids = [cluster.id for cluster in silent]
    read = Cursor.objects.exclude(cluster_id__in=silent_ids).filter(kind__in=JUDGED_KINDS)
    known = read.filter(outcome__in=(Outcome.COMPLETE, Outcome.DELTA))
    return Coverage(
        as_of=now,
        clusters=number,
        reporting=number - len(silent),
        oldest_at=known.aggregate(oldest=Min("read_at"))["oldest"],
        silent=tuple(silence(cluster) for cluster in silent),
        unreadable=_unreadable(read),
    )


def _unreadable(read: QuerySet[Cursor]) -> tuple[Unreadable, ...]:
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = read.filter(outcome__in=(Outcome.FORBIDDEN, Outcome.FAILED))
    for kind, outcome, name in rows.values_list("kind", "outcome", "cluster__name").order_by("kind", "cluster__name"):
        names[kind, outcome].append(name)
    return tuple(Unreadable(kind, outcome, tuple(found)) for (kind, outcome), found in names.items())


def is_silent(now: datetime) -> Q:
    """`not reports(...)` as a condition on Cluster."""
    limit = Func(F("interval_seconds"), template="make_interval(secs => 2.5 * %(expressions)s + 10)")
    oldest = ExpressionWrapper(Value(now) - limit, output_field=DateTimeField())
    return Q(state__answered_at__isnull=True) | Q(state__answered_at__lt=oldest)


def reports(cluster: Cluster, now: datetime) -> bool:
    """Whether the cluster answered lately. `cluster.state` is expected to be joined."""
    state = getattr(cluster, "state", None)
    return state is not None and not is_overdue(cluster, state.answered_at, now)


# Failures at which nobody answered, as opposed to an answer that we could not use.
NO_ANSWER = (Failure.UNREACHABLE, Failure.TIMEOUT, Failure.INTERRUPTED)


def silence(cluster: Cluster) -> Silent:
    """Why and since when a cluster does not report, from what its newest collections said."""
    state = getattr(cluster, "state", None)
    if state is None or (state.answered_at is None and not state.failure):
        return Silent(cluster.name, None, "waiting for its first collection")
    since = state.failing_since or state.answered_at
    if not cluster.enabled:
        return Silent(cluster.name, state.answered_at, "switched off")
    if not state.failing_since:
        return Silent(cluster.name, since, "not read")
    reason = "unreachable" if state.failure in NO_ANSWER else f"not readable ({state.failure})"
    return Silent(cluster.name, since, reason, state.message, state.failure)
