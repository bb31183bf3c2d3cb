"""What happened: transitions, collections, the events of one resource, and one cluster in detail."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum

from clusters.kinds import BY_NAME
from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring.families import ATTACHED_KINDS, JUDGED_KINDS
from monitoring.filters import CollectionFilters, TransitionFilters
from monitoring.health import Health
from monitoring.models import Collection, Cursor, Event, HealthCount, Reference, Resource, Transition
from monitoring.queries.knowledge import Silent, is_overdue, reports, silence
from monitoring.queries.paging import Page, decode_moment, page_of
from monitoring.queries.resources import JudgedResource, cluster_ids, judged
from monitoring.rules.base import Finding

MOST_SHOWN = 50
READINGS: dict[str, str] = {Outcome.FORBIDDEN: "may not be read", Outcome.NOT_INSTALLED: "not installed"}


@dataclass(frozen=True)
class Change:
    """A transition (see `told`). `from_health` is None for an addition, `to_health` for a removal.

    `exists` if it can be opened.
    """

    row: Transition
    exists: bool = False

    @property
    def from_health(self) -> Health | None:
        return None if self.row.from_health is None else Health(self.row.from_health)

    @property
    def to_health(self) -> Health | None:
        return None if self.row.to_health is None else Health(self.row.to_health)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of the state that began, worst first."""
        found = self.row.ended_findings or self.row.lasting_findings or ()  # type: ignore[attr-defined]
        return msgspec.convert(found, tuple[Finding, ...])

    @property
    def worst(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    @property
    def full_name(self) -> str:
        return f"{self.row.namespace}/{self.row.name}" if self.row.namespace else self.row.name


def transitions(
    filters: TransitionFilters, cursor: str = "", limit: int = 50, *, at: datetime | None = None
) -> Page[Change]:
    """Transitions of judged kinds (until `at`), newest first. At most four SQL statements. Raises WrongParameter."""
    rows = told(Transition.objects.filter(_transition_condition(filters))).select_related("cluster")
    if at:
        rows = rows.filter(at__lte=at)
    if cursor:
        last_at, last_id = decode_moment(cursor)
        rows = rows.filter(Q(at__lt=last_at) | Q(at=last_at, id__lt=last_id))
    rows = rows.annotate(exists=Exists(Resource.objects.filter(pk=OuterRef("resource_id"))))
    page = page_of(list(rows.order_by("-at", "-id")[: limit + 1]), limit, lambda row: (row.at, row.id))
    return Page(tuple(Change(row, row.exists) for row in page.rows), page.next)


def told(rows: QuerySet[Transition]) -> QuerySet[Transition]:
    """Changes of health with the findings of the state that began: those of the row that ended it, or the live ones."""
    key = {field: OuterRef(field) for field in ("cluster_id", "kind", "namespace", "name")}
    ended = Transition.objects.filter(
        **key, at__gte=OuterRef("at"), began_at=OuterRef("at"), from_health=OuterRef("to_health")
    )
    lasting = Resource.objects.filter(pk=OuterRef("resource_id"), recorded_at=OuterRef("at"))
    return rows.filter(turned=True).annotate(
        ended_findings=Subquery(ended.order_by("at", "id").values("findings")[:1]),
        lasting_findings=Subquery(lasting.values("findings")),
    )


def _transition_condition(filters: TransitionFilters) -> Q:
    condition = Q(kind__in=filters.kinds or JUDGED_KINDS)
    if filters.healths:
        condition &= Q(to_health__in=[int(health) for health in filters.healths])
    if filters.clusters:
        condition &= Q(cluster_id__in=cluster_ids(filters.clusters))
    if filters.namespaces:
        condition &= Q(namespace__in=filters.namespaces)
    if filters.names:
        condition &= Q(name__in=filters.names)
    if filters.resource is not None:
        condition &= Q(resource_id=filters.resource) & _named_like(filters.resource)
    return condition


def _named_like(resource_id: int) -> Q:
    """Where the transitions of a resource are found by index; of one that is gone its removal tells."""
    rows = (Resource.objects.filter(pk=resource_id), Transition.objects.filter(resource_id=resource_id, to_health=None))
    found = (row.values("cluster_id", "kind", "namespace", "name").first() for row in rows)
    key = next(filter(None, found), None)
    return Q(**key) if key else Q(pk__in=())


def collections(
    filters: CollectionFilters, cursor: str = "", limit: int = 50, *, at: datetime | None = None
) -> Page[Collection]:
    """Collections (begun until `at`), newest first, with their cluster joined. At most two SQL statements.

    Raises WrongParameter.
    """
    rows = Collection.objects.select_related("cluster")
    if filters.clusters:
        rows = rows.filter(cluster_id__in=cluster_ids(filters.clusters))
    if filters.results:
        rows = rows.filter(result__in=filters.results)
    if at:
        rows = rows.filter(started_at__lte=at)
    if cursor:
        last_at, last_id = decode_moment(cursor)
        rows = rows.filter(Q(started_at__lt=last_at) | Q(started_at=last_at, id__lt=last_id))
    found = list(rows.order_by("-started_at", "-id")[: limit + 1])
    return page_of(found, limit, lambda row: (row.started_at, row.id))


def events(resource: JudgedResource, limit: int = MOST_SHOWN, *, until: datetime | None = None) -> tuple[Event, ...]:
    """Kubernetes Events of the resource (until then), of which the newest first.

    Of one that came before and after `until` only its first time is told: when it came in between, it does not tell.
    """
    row = resource.row
    rows = Event.objects.filter(cluster_id=row.cluster_id, kind=row.kind, namespace=row.namespace, name=row.name)
    rows = rows.filter(Q(last_at__lte=until) | Q(first_at__lte=until)) if until else rows
    found = list(rows.order_by("-last_at", "-id")[:limit])
    for event in found:
        if until and event.last_at and event.last_at > until:
            event.last_at, event.count = event.first_at, 1
    return tuple(sorted(found, key=lambda event: event.last_at or event.seen_at, reverse=True))


@dataclass(frozen=True)
class Link:
    """One end of a reference: the other object, and the resource it is, where we know it."""

    relation: str
    kind: str
    namespace: str
    name: str
    resource: JudgedResource | None

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def refers_to(resource: JudgedResource, now: datetime) -> tuple[Link, ...]:
    """What the resource refers to. Two SQL statements."""
    known = Resource.objects.filter(
        cluster_id=OuterRef("cluster_id"),
        kind=OuterRef("target_kind"),
        namespace=OuterRef("target_namespace"),
        name=OuterRef("target_name"),
    )
    # Provider keys are shown with the facts, and may be a hundred.
    rows = (
        Reference.objects.filter(resource_id=resource.row.pk)
        .exclude(relation="key")
        .annotate(known_id=Subquery(known.values("pk")[:1]))
    )
    found = list(rows.order_by("relation", "target_kind", "target_namespace", "target_name")[:MOST_SHOWN])
    by_id = {other.row.pk: other for other in judged(_with_ids(row.known_id for row in found), now)}
    return tuple(
        Link(row.relation, row.target_kind, row.target_namespace, row.target_name, by_id.get(row.known_id))
        for row in found
    )


def referred_by(resource: JudgedResource, now: datetime, limit: int = 20) -> tuple[tuple[JudgedResource, ...], int]:
    """The resources that refer to this one, worst first, at most `limit`, and how many there are. Two statements."""
    row = resource.row
    chosen = Reference.objects.filter(
        cluster_id=row.cluster_id, target_kind=row.kind, target_namespace=row.namespace, target_name=row.name
    )
    rows = Resource.objects.filter(pk__in=chosen.values("resource_id"))
    first = judged(rows.order_by("-health", "-id")[:limit], now)
    return first, rows.count()


def _with_ids(ids: Iterable[int | None]) -> QuerySet[Resource]:
    return Resource.objects.filter(pk__in=[number for number in ids if number is not None])


@dataclass(frozen=True)
class KindRow:
    """How one kind of a cluster is known. `counts` is empty for supporting kinds."""

    cursor: Cursor
    count: int
    overdue: bool
    judged: bool
    now: datetime

    @property
    def age(self) -> timedelta | None:
        return self.now - self.cursor.read_at if self.cursor.read_at else None

    @property
    def installed(self) -> bool:
        return self.cursor.outcome != Outcome.NOT_INSTALLED

    @property
    def troubled(self) -> bool:
        return self.cursor.outcome in (Outcome.FORBIDDEN, Outcome.FAILED)

    @property
    def tier(self) -> str:
        """The tier of rights that opens the kind; "T0" for what every cluster is expected to show."""
        watched = BY_NAME.get(self.cursor.kind)
        return watched.tier if watched else "T0"

    @property
    def not_given(self) -> bool:
        """Whether it is refused as the default rights refuse it: somebody chose so."""
        return self.cursor.outcome == Outcome.FORBIDDEN and self.tier != "T0"

    @property
    def reading(self) -> str:
        """How the newest attempt ended, in words."""
        if self.cursor.outcome == Outcome.FAILED:
            return f"not read: {self.cursor.failure}" if self.cursor.failure else "not read"
        if self.cursor.outcome in READINGS:
            return READINGS[self.cursor.outcome]
        return "overdue" if self.overdue else "read"


@dataclass(frozen=True)
class ClusterDetail:
    """One cluster: how each kind is known, its newest collections, findings about it, and supporting resources."""

    cluster: Cluster
    silent: Silent | None
    kinds: tuple[KindRow, ...]
    collections: tuple[Collection, ...]
    findings: tuple[Finding, ...]
    lints: tuple[Finding, ...]
    supporting: tuple[JudgedResource, ...]


def cluster_detail(name: str, now: datetime) -> ClusterDetail | None:
    """One cluster by name, or None. Five SQL statements."""
    cluster = Cluster.objects.select_related("state", "lease").filter(name=name).first()
    if cluster is None:
        return None
    state = getattr(cluster, "state", None)
    supporting = Resource.objects.filter(cluster=cluster).exclude(kind__in=(*JUDGED_KINDS, *ATTACHED_KINDS))
    return ClusterDetail(
        cluster=cluster,
        silent=None if reports(cluster, now) else silence(cluster),
        kinds=_kind_rows(cluster, now),
        collections=tuple(Collection.objects.filter(cluster=cluster).order_by("-started_at", "-id")[:20]),
        findings=msgspec.convert(state.findings, tuple[Finding, ...]) if state else (),
        lints=msgspec.convert(state.lints, tuple[Finding, ...]) if state else (),
        supporting=judged(supporting.order_by("kind", "namespace", "name")[:MOST_SHOWN], now),
    )


def _kind_rows(cluster: Cluster, now: datetime) -> tuple[KindRow, ...]:
    counted = HealthCount.objects.filter(cluster=cluster).values("kind").annotate(total=Sum("count"))
    counts = {row["kind"]: row["total"] for row in counted.order_by()}
    order = {kind: place for place, kind in enumerate(JUDGED_KINDS)}
    cursors = sorted(Cursor.objects.filter(cluster=cluster), key=lambda known: (order.get(known.kind, 99), known.kind))
    return tuple(
        KindRow(
            cursor=known,
            count=counts.get(known.kind, 0),
            overdue=known.outcome != Outcome.NOT_INSTALLED and is_overdue(cluster, known.read_at, now),
            judged=known.kind in order,
            now=now,
        )
        for known in cursors
    )
