"""Counts over all clusters: health by family and by cluster."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from django.db.models import BooleanField, Case, Count, Max, Q, Sum, Value, When

from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring.families import FAMILIES, FAMILY_OF, JUDGED_KINDS, Family
from monitoring.health import WORST_FIRST, Health, worst_of
from monitoring.models import Cursor, HealthCount
from monitoring.queries.knowledge import (
    Overdue,
    Silent,
    Unread,
    is_silent,
    overdue_pairs,
    reports,
    silence,
    unread_condition,
    unread_kinds,
)
from monitoring.queries.paging import Page, decode_ranked, page_of
from monitoring.rules.base import Finding

Counts = Mapping[Health, int]


@dataclass(frozen=True)
class FamilyRow:
    """How many resources of a family have each health, worst first, zeros included."""

    family: Family
    counts: Counts


def family_totals(now: datetime, overdue: Overdue | None = None) -> tuple[FamilyRow, ...]:
    """Resources by family and shown health; every family has a row. One SQL statement, and one for `overdue`."""
    overdue = overdue_pairs(now) if overdue is None else overdue
    counts: dict[Family, dict[Health, int]] = {family: dict.fromkeys(WORST_FIRST, 0) for family in FAMILIES}
    rows = HealthCount.objects.filter(kind__in=JUDGED_KINDS).values("kind", shown=overdue.shown_health())
    for row in rows.annotate(total=Sum("count")).order_by():
        counts[FAMILY_OF[row["kind"]]][Health(row["shown"])] += row["total"]
    return tuple(FamilyRow(family, found) for family, found in counts.items())


def health_totals(now: datetime, families: Iterable[FamilyRow] | None = None) -> dict[Health, int]:
    """Resources by shown health, worst first, zeros included. Adds up `families` where they are at hand."""
    families = family_totals(now) if families is None else families
    rows = tuple(families)
    return {health: sum(row.counts[health] for row in rows) for health in WORST_FIRST}


@dataclass(frozen=True)
class Cell:
    """One family in one cluster: its worst health and how many share it. `note` says why there is no number."""

    family: Family
    health: Health | None
    count: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True)
class ClusterRow:
    """A cluster with its worst health. `read_at` is the oldest datum of what it serves and we may read.

    It is unknown at best where a judged kind is `unread`, and where none is `installed`: nothing seen is not healthy.
    """

    cluster: Cluster
    worst: Health
    cells: tuple[Cell, ...]
    read_at: datetime | None
    silent: Silent | None
    counts: Counts
    now: datetime
    unread: tuple[Unread, ...] = ()
    installed: bool = True

    @property
    def age(self) -> timedelta | None:
        return self.now - self.read_at if self.read_at else None

    @property
    def unknown_because(self) -> str | None:
        """Why it is unknown, in words that fit after its name; None where its health is known."""
        if self.silent:
            return self.silent.reason
        if self.worst != Health.UNKNOWN:
            return None
        if not self.installed:
            return "nothing installed"
        return f"{', '.join(kind.kind for kind in self.unread)} not read" if self.unread else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings about the cluster as a whole: sealing keys, controllers, drivers."""
        state = getattr(self.cluster, "state", None)
        return msgspec.convert(state.findings, tuple[Finding, ...]) if state else ()


def cluster_rows(
    now: datetime,
    overdue: Overdue | None = None,
    *,
    ids: Iterable[int] | None = None,
    cursor: str = "",
    limit: int = 100,
) -> Page[ClusterRow]:
    """Clusters by worst health, then name. Six SQL statements, and one for `overdue`. `ids` restricts them.

    All clusters are ranked here, from three narrow lists: some thousand of them take milliseconds, and a subquery for
    each took ten times as long.
    """
    overdue = overdue_pairs(now) if overdue is None else overdue
    ranked = _ranked(now, overdue, ids)
    if cursor:
        last = decode_ranked(cursor)
        ranked = [row for row in ranked if (-row.worst, row.name) > (-last[0], last[1])]
    page = page_of(ranked[: limit + 1], limit, lambda row: (int(row.worst), row.name))
    return Page(_cluster_rows(page.rows, now, overdue), page.next)


class Rank(NamedTuple):
    worst: Health
    name: str
    id: int


def _ranked(now: datetime, overdue: Overdue, ids: Iterable[int] | None) -> list[Rank]:
    clusters = Cluster.objects.all() if ids is None else Cluster.objects.filter(pk__in=list(ids))
    counts = HealthCount.objects.filter(count__gt=0, kind__in=JUDGED_KINDS)
    shown = dict(counts.order_by().values_list("cluster_id").annotate(worst=Max(overdue.shown_health())))
    silent = Case(When(is_silent(now), then=Value(True)), default=Value(False), output_field=BooleanField())
    known = _fully_known(now)
    ranked = []
    for number, name, own, is_quiet in clusters.values_list("id", "name", "state__health", silent):
        # What rules said of a silent cluster is old; of one that answers it holds whatever else we may not read.
        of_cluster = Health.HEALTHY if is_quiet else Health(own)
        least = Health.HEALTHY if number in known and not is_quiet else Health.UNKNOWN
        ranked.append(Rank(max(Health(shown.get(number, Health.HEALTHY)), of_cluster, least), name, number))
    return sorted(ranked, key=lambda row: (-row.worst, row.name))


def _fully_known(now: datetime) -> frozenset[int]:
    """The clusters that may be green: something is installed, and every judged kind is known."""
    rows = Cursor.objects.filter(kind__in=JUDGED_KINDS).order_by().values_list("cluster_id")
    counted = rows.annotate(
        seen=Count("id"),
        installed=Count("id", filter=~Q(outcome=Outcome.NOT_INSTALLED)),
        unread=Count("id", filter=unread_condition(now)),
    )
    chosen = counted.filter(seen=len(JUDGED_KINDS), installed__gt=0, unread=0)
    return frozenset(number for number, *_ in chosen)


def _cluster_rows(ranks: tuple[Rank, ...], now: datetime, overdue: Overdue) -> tuple[ClusterRow, ...]:
    clusters = Cluster.objects.select_related("state").in_bulk([rank.id for rank in ranks])
    counts: dict[int, dict[str, dict[Health, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    rows = HealthCount.objects.filter(cluster__in=list(clusters), kind__in=JUDGED_KINDS, count__gt=0)
    for row in rows.values("cluster_id", "kind", shown=overdue.shown_health()).annotate(total=Sum("count")).order_by():
        counts[row["cluster_id"]][row["kind"]][Health(row["shown"])] += row["total"]
    cursors: dict[int, dict[str, Cursor]] = defaultdict(dict)
    for known in Cursor.objects.filter(cluster__in=list(clusters), kind__in=JUDGED_KINDS):
        cursors[known.cluster_id][known.kind] = known
    return tuple(
        _cluster_row(clusters[rank.id], rank.worst, counts[rank.id], cursors[rank.id], now)
        for rank in ranks
        if rank.id in clusters
    )


def _cluster_row(
    cluster: Cluster, worst: Health, kinds: Mapping[str, Counts], cursors: Mapping[str, Cursor], now: datetime
) -> ClusterRow:
    installed = [known for known in cursors.values() if known.outcome != Outcome.NOT_INSTALLED]
    unread = unread_kinds(cluster, cursors, now)
    unread_names = frozenset(kind.kind for kind in unread)
    totals = {health: sum(counts.get(health, 0) for counts in kinds.values()) for health in WORST_FIRST}
    return ClusterRow(
        cluster=cluster,
        worst=worst,
        cells=tuple(cell(family, kinds, cursors, unread_names) for family in FAMILIES),
        read_at=min((known.read_at for known in installed if known.read_at), default=None),
        silent=None if reports(cluster, now) else silence(cluster),
        counts=totals,
        now=now,
        unread=unread,
        installed=bool(installed) or not cursors,
    )


def cell(family: Family, kinds: Mapping[str, Counts], cursors: Mapping[str, Cursor], unread: frozenset[str]) -> Cell:
    """One family of one cluster, from the counts of its kinds and the kinds that are not known."""
    counts: dict[Health, int] = defaultdict(int)
    for kind in family.kinds:
        for health, count in kinds.get(kind, {}).items():
            counts[health] += count
    worst = worst_of(list(counts))
    if not counts or (worst == Health.HEALTHY and unread.intersection(family.kinds)):
        return Cell(family, None, note=_note(family, cursors, unread))
    return Cell(family, worst, counts[worst], sum(counts.values()))


def _note(family: Family, cursors: Mapping[str, Cursor], unread: frozenset[str]) -> str:
    outcomes = {kind: cursors[kind].outcome for kind in family.kinds if kind in cursors}
    if not outcomes:
        return "not read yet"
    if any(outcomes.get(kind) == Outcome.FORBIDDEN for kind in unread):
        return "may not read"
    if unread.intersection(family.kinds):
        return "not read"
    return "not installed" if set(outcomes.values()) == {Outcome.NOT_INSTALLED} else "none"
