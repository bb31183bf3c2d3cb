"""Lists and details of resources, with the health that is to be shown at a moment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Sum

from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring.families import JUDGED_KINDS, SHORT_NAMES
from monitoring.filters import ResourceFilters, WrongParameter
from monitoring.health import Health
from monitoring.models import HealthCount, PastResource, Reference, Resource
from monitoring.queries.knowledge import Overdue, is_overdue, overdue_pairs, reports, silence
from monitoring.queries.paging import Page, decode_numbers, page_of
from monitoring.rules.base import Finding

Row = TypeVar("Row", Resource, PastResource)

# Counting stops here: a number that nobody reads to the end is not worth a scan of a million rows.
MOST_COUNTED = 1000
ADVISED_KINDS = ("Password",)
SILENT_STALE = "es-silent-stale"
UNSEEN_KINDS: dict[str, str] = {Outcome.FORBIDDEN: "may not be read", Outcome.NOT_INSTALLED: "not served any more"}


@dataclass(frozen=True)
class Unseen:
    """Why a resource is unknown though it has a last known health: `reason`, since when, if we know."""

    reason: str
    since: datetime | None


@dataclass(frozen=True)
class JudgedResource:
    """A resource with the health to show at `now`. `row` is the stored state, with cluster and its state joined.

    `read_at` is the start of the newest complete reading of its kind in its cluster.
    """

    row: Resource
    now: datetime

    @property
    def read_at(self) -> datetime | None:
        read_at: datetime | None = self.row.read_at  # type: ignore[attr-defined]
        return read_at

    @property
    def age(self) -> timedelta | None:
        """Freshness: the age of our knowledge."""
        return self.now - self.read_at if self.read_at else None

    @property
    def last_known(self) -> Health:
        return Health(self.row.health)

    @property
    def health(self) -> Health:
        return Health.UNKNOWN if self.unseen else self.last_known

    @property
    def since(self) -> datetime | None:
        """When the health that is shown began."""
        return self.unseen.since if self.unseen else self.row.since

    @cached_property
    def unseen(self) -> Unseen | None:
        cluster = self.row.cluster
        if not is_overdue(cluster, self.read_at, self.now):
            return None
        if not reports(cluster, self.now):
            silent = silence(cluster)
            return Unseen(f"cluster {silent.reason}", silent.since)
        outcome: str | None = self.row.outcome  # type: ignore[attr-defined]
        words = UNSEEN_KINDS.get(outcome, "not read") if outcome else "never read"
        since = self.row.outcome_since if outcome in UNSEEN_KINDS else self.read_at  # type: ignore[attr-defined]
        return Unseen(f"{self.row.kind} {words}", since)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Worst first, of the last known verdict."""
        return msgspec.convert(self.row.findings, tuple[Finding, ...])

    @cached_property
    def lints(self) -> tuple[Finding, ...]:
        """Advice about its spec."""
        return msgspec.convert(self.row.lints, tuple[Finding, ...])

    @property
    def worst(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    @property
    def silent(self) -> bool:
        """Stale while its controller reports Ready=True."""
        return any(finding.rule == SILENT_STALE for finding in self.findings)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The allowlisted facts as stored (see clusters.facts.*Facts); times are ISO texts."""
        facts: Mapping[str, Any] = self.row.facts
        return facts

    @property
    def store(self) -> str:
        """Name of the secret store, for kinds that have one."""
        return str(self.facts.get("store", "")).partition(" ")[2]

    @property
    def full_name(self) -> str:
        return f"{self.row.namespace}/{self.row.name}" if self.row.namespace else self.row.name

    @property
    def short_kind(self) -> str:
        return SHORT_NAMES.get(self.row.kind, self.row.kind)


@dataclass(frozen=True)
class Count:
    """How many rows a filter has; `exact` is False where counting stopped at `number`."""

    number: int
    exact: bool = True


def resources(filters: ResourceFilters, now: datetime, cursor: str = "", limit: int = 50) -> Page[JudgedResource]:
    """Judged resources, by stored health and id, both descending. At most three SQL statements.

    Raises WrongParameter for a cursor of another list and for a cluster that does not exist.
    """
    overdue = overdue_pairs(now) if filters.healths else Overdue()
    rows = filtered(filters, overdue, Resource.objects.all())
    if cursor:
        health, last_id = decode_numbers(cursor)
        rows = rows.filter(Q(health__lt=health) | Q(health=health, id__lt=last_id))
    found = list(with_knowledge(rows).order_by("-health", "-id")[: limit + 1])
    page = page_of(found, limit, lambda row: (row.health, row.id))
    return Page(tuple(JudgedResource(row, now) for row in page.rows), page.next)


def count_resources(filters: ResourceFilters, now: datetime) -> Count:
    """How many resources `resources` would list in all its pages. At most three SQL statements."""
    overdue = overdue_pairs(now) if filters.healths else Overdue()
    if filters.countable:
        counts = HealthCount.objects.filter(_common(filters), _health_condition(filters.healths, overdue))
        return Count(counts.aggregate(total=Sum("count", default=0))["total"])
    number = filtered(filters, overdue, Resource.objects.all()).order_by()[: MOST_COUNTED + 1].count()
    return Count(min(number, MOST_COUNTED), exact=number <= MOST_COUNTED)


def resource(resource_id: int, now: datetime) -> JudgedResource | None:
    """One resource of any kind, or None."""
    row = with_knowledge(Resource.objects.filter(pk=resource_id)).first()
    return JudgedResource(row, now) if row else None


def judged(rows: QuerySet[Resource], now: datetime) -> tuple[JudgedResource, ...]:
    """The rows with the health to show; one SQL statement."""
    return tuple(JudgedResource(row, now) for row in with_knowledge(rows))


def with_knowledge(rows: QuerySet[Resource]) -> QuerySet[Resource]:
    """Joins what `JudgedResource` needs: the cluster, its state, and the cursor of the resource's kind."""
    return rows.select_related("cluster", "cluster__state").annotate(
        known=FilteredRelation("cluster__cursors", condition=Q(cluster__cursors__kind=F("kind"))),
        read_at=F("known__read_at"),
        outcome=F("known__outcome"),
        outcome_since=F("known__since"),
    )


def cluster_ids(patterns: tuple[str, ...]) -> list[int]:
    """Ids of the clusters whose name equals one of `patterns` or fits it, where it has * or ?.

    Raises WrongParameter for a plain name that no cluster has: an empty list would look like good news.
    """
    known = dict(Cluster.objects.values_list("name", "id"))
    chosen: set[int] = set()
    for pattern in patterns:
        glob = "*" in pattern or "?" in pattern
        if not glob and pattern not in known:
            raise WrongParameter("cluster", f"there is no cluster {pattern[:63]!r}", sorted(known)[:20])
        # Square brackets mean something to fnmatch only; no name has them.
        escaped = pattern.replace("[", "[[]")
        chosen |= {number for name, number in known.items() if fnmatchcase(name, escaped if glob else pattern)}
    return sorted(chosen)


def ids_of(patterns: tuple[str, ...]) -> list[int] | None:
    """`cluster_ids`, or None where no pattern restricts the clusters."""
    return cluster_ids(patterns) if patterns else None


def filtered(filters: ResourceFilters, overdue: Overdue, estate: QuerySet[Row]) -> QuerySet[Row]:
    """The rows of `estate` that fit. Conditions repeat those of the partial indexes, or Postgres could not use them."""
    rows = named(filters, estate.filter(_health_condition(filters.healths, overdue)))
    if filters.stores:
        rows = rows.filter(_store_condition(filters.stores))
    if filters.findings:
        chosen = Q()
        for rule in filters.findings:
            chosen |= Q(findings__contains=[{"rule": rule}])
        rows = rows.filter(chosen).exclude(findings=[])
    if filters.signatures:
        rows = rows.filter(signature__in=filters.signatures).exclude(signature="")
    if filters.cause_classes:
        rows = rows.exclude(signature="").filter(findings__0__cause_class__in=filters.cause_classes)
    if filters.lints:
        advised = Q()
        for rule in filters.lints:
            advised |= Q(lints__contains=[{"rule": rule}])
        rows = rows.filter(advised).exclude(lints=[])
    return rows


def named(filters: ResourceFilters, estate: QuerySet[Any]) -> QuerySet[Any]:
    """The rows that fit by what never changes of a resource. They have its fields, and with `q` a `search`."""
    rows = estate.filter(_common(filters))
    if filters.namespaces:
        rows = rows.filter(namespace__in=filters.namespaces)
    if filters.names:
        rows = rows.filter(name__in=filters.names)
    if filters.q:
        # A regular expression without any operator, because ~* uses the trigram index and Django's icontains,
        # which compares UPPER(search), does not.
        rows = rows.filter(search__iregex=re.escape(filters.q))
    return rows


def _common(filters: ResourceFilters) -> Q:
    # Generators have no health, so they are listed for advice about them only.
    listed = (*JUDGED_KINDS, *ADVISED_KINDS) if filters.lints else JUDGED_KINDS
    condition = Q(kind__in=filters.kinds or listed)
    if filters.clusters:
        condition &= Q(cluster_id__in=cluster_ids(filters.clusters))
    return condition


def _health_condition(healths: frozenset[Health], overdue: Overdue) -> Q:
    if not healths or healths == frozenset(Health):
        return Q()
    condition = Q(health__in=[int(health) for health in sorted(healths)])
    if Health.UNKNOWN in healths:
        return condition | overdue.condition()
    return condition & ~overdue.condition()


def _store_condition(stores: tuple[str, ...]) -> Exists:
    chosen = Q()
    for store in stores:
        kind, slash, name = store.rpartition("/")
        chosen |= Q(target_kind=kind, target_name=name) if slash else Q(target_name=store)
    return Exists(Reference.objects.filter(chosen, resource=OuterRef("pk"), relation="store"))
