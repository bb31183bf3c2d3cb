"""What we still know: which (cluster, kind) pairs are overdue, and how much of the fleet stands behind a number.

Unknown is never stored for what we cannot see: it follows from the age of the newest complete reading, at the moment
somebody looks. A resource of an overdue pair is shown unknown whatever its last known health.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import (
    Case,
    Count,
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
from monitoring.families import JUDGED_KINDS, OPTIONAL_KINDS
from monitoring.health import Health
from monitoring.models import Cursor

TROUBLED = (Outcome.FORBIDDEN, Outcome.FAILED)
# A condition on Cursor: the tier of rights that shows this kind was not given, which makes nothing unknown.
NOT_GIVEN = Q(outcome=Outcome.FORBIDDEN, kind__in=OPTIONAL_KINDS)
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
class Unread:
    """A kind of one cluster of which we do not know now what there is. `outcome` is "" where it was never tried."""

    kind: str
    outcome: str

    @property
    def forbidden(self) -> bool:
        return self.outcome == Outcome.FORBIDDEN


def unread_kinds(cluster: Cluster, cursors: Mapping[str, Cursor], now: datetime) -> tuple[Unread, ...]:
    """The judged kinds that may be there unseen: forbidden, failed, overdue or never tried. Not: not installed,
    nor an optional kind that is forbidden.

    The same rule as `unread_condition`.
    """
    found = []
    for kind in JUDGED_KINDS:
        known = cursors.get(kind)
        if known is None:
            found.append(Unread(kind, ""))
        elif kind in OPTIONAL_KINDS and known.outcome == Outcome.FORBIDDEN:
            continue
        elif known.outcome in TROUBLED or (
            known.outcome != Outcome.NOT_INSTALLED and is_overdue(cluster, known.read_at, now)
        ):
            found.append(Unread(kind, known.outcome))
    return tuple(found)


def unread_condition(now: datetime) -> Q:
    """`unread_kinds` as a condition on Cursor, but for the kinds that have none."""
    overdue = Q(read_at__isnull=True) | Q(read_at__lt=_oldest_fresh(now, "cluster__interval_seconds"))
    return ~NOT_GIVEN & (Q(outcome__in=TROUBLED) | (~Q(outcome=Outcome.NOT_INSTALLED) & overdue))


@dataclass(frozen=True)
class Unreadable:
    """A kind that some reporting clusters do not let us read, or that could not be read there."""

    kind: str
    outcome: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How many clusters stand behind the numbers of a page, and how old the oldest of their data is.

    `switched_off` clusters are not counted among `clusters`: somebody chose not to see them.
    """

    as_of: datetime
    clusters: int
    reporting: int
    oldest_at: datetime | None
    silent: tuple[Silent, ...]
    unreadable: tuple[Unreadable, ...]
    switched_off: int = 0

    @property
    def registered(self) -> int:
        return self.clusters + self.switched_off

    @property
    def oldest(self) -> timedelta | None:
        return self.as_of - self.oldest_at if self.oldest_at else None

    @property
    def complete(self) -> bool:
        return self.reporting == self.clusters and not self.unreadable


def coverage(now: datetime, ids: Collection[int] | None = None) -> Coverage:
    """Coverage of all clusters that are switched on, in four SQL statements. Only silent ones are loaded.

    `ids` restricts it to the clusters that a list is about: a list of one dead cluster must not look fresh.
    """
    clusters = Cluster.objects.all() if ids is None else Cluster.objects.filter(pk__in=ids)
    silent = list(clusters.filter(is_silent(now), enabled=True).select_related("state"))
    counted = clusters.aggregate(all=Count("id"), on=Count("id", filter=Q(enabled=True)))
    silent_ids = [cluster.id for cluster in silent]
    read = Cursor.objects.filter(kind__in=JUDGED_KINDS, cluster__enabled=True).exclude(cluster_id__in=silent_ids)
    read = read if ids is None else read.filter(cluster_id__in=ids)
    known = read.filter(outcome__in=(Outcome.COMPLETE, Outcome.DELTA))
    return Coverage(
        as_of=now,
        clusters=counted["on"],
        reporting=counted["on"] - len(silent),
        oldest_at=known.aggregate(oldest=Min("read_at"))["oldest"],
        silent=tuple(silence(cluster) for cluster in silent),
        unreadable=_unreadable(read),
        switched_off=counted["all"] - counted["on"],
    )


def _unreadable(read: QuerySet[Cursor]) -> tuple[Unreadable, ...]:
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = read.filter(outcome__in=TROUBLED).exclude(NOT_GIVEN)
    for kind, outcome, name in rows.values_list("kind", "outcome", "cluster__name").order_by("kind", "cluster__name"):
        names[kind, outcome].append(name)
    return tuple(Unreadable(kind, outcome, tuple(found)) for (kind, outcome), found in names.items())


def reads_secrets(cluster_id: int) -> bool:
    """Whether the newest collection read the metadata of Secrets: the tier T2 is granted. One SQL statement."""
    read = Cursor.objects.filter(cluster_id=cluster_id, kind="Secret", outcome__in=(Outcome.COMPLETE, Outcome.DELTA))
    return read.exists()


def is_silent(now: datetime) -> Q:
    """`not reports(...)` as a condition on Cluster."""
    return Q(state__answered_at__isnull=True) | Q(state__answered_at__lt=_oldest_fresh(now, "interval_seconds"))


def _oldest_fresh(now: datetime, interval_field: str) -> ExpressionWrapper:
    """The moment before which knowledge is overdue, as an expression."""
    limit = Func(F(interval_field), template="make_interval(secs => 2.5 * %(expressions)s + 10)")
    return ExpressionWrapper(Value(now) - limit, output_field=DateTimeField())


def reports(cluster: Cluster, now: datetime) -> bool:
    """Whether the cluster answered lately. `cluster.state` is expected to be joined."""
    state = getattr(cluster, "state", None)
    return state is not None and not is_overdue(cluster, state.answered_at, now)


# Failures at which nobody answered, as opposed to an answer that we could not use.
NO_ANSWER = (Failure.UNREACHABLE, Failure.TIMEOUT, Failure.INTERRUPTED)


def silence(cluster: Cluster) -> Silent:
    """Why and since when a cluster does not report, from what its newest collections said."""
    state = getattr(cluster, "state", None)
    if not cluster.enabled:
        return Silent(cluster.name, state.answered_at if state else None, "switched off")
    if state is None or (state.answered_at is None and not state.failure):
        return Silent(cluster.name, None, "waiting for its first collection")
    since = state.failing_since or state.answered_at
    if not state.failing_since:
        return Silent(cluster.name, since, "not read")
    reason = "unreachable" if state.failure in NO_ANSWER else f"not readable ({state.failure})"
    return Silent(cluster.name, since, reason, state.message, state.failure)
