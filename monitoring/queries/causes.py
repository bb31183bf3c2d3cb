"""What needs someone: one line per cause over all clusters, however many resources share it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Case, Count, IntegerField, Max, Min, Q, QuerySet, Value, When

from monitoring import words
from monitoring.families import JUDGED_KINDS, SHORT_NAMES
from monitoring.filters import CauseFilters
from monitoring.health import Health
from monitoring.models import ClusterState, PastResource, Resource
from monitoring.queries.knowledge import Coverage, Overdue, Silent, overdue_pairs, reports
from monitoring.queries.paging import Page, decode_numbers, encode
from monitoring.queries.resources import SILENT_STALE, cluster_ids
from monitoring.rules.base import Finding
from monitoring.rules.causes import POISON, TITLES
from monitoring.rules.registry import RULES

STORES = ("SecretStore", "ClusterSecretStore")
NEEDS_SOMEONE = ",".join(health.code for health in (Health.FAILING, Health.STALE, Health.AT_RISK))
# Findings of clusters about themselves, with the cluster's name, by signature.
Told = Mapping[str, list[tuple[str, Finding]]]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause with everything that shares it. `count` are resources, `names` all clusters it reaches.

    `headline` says what is wrong, after `subject`: the name of the only resource or of the store behind it, to which
    `resource_id` leads. `about` are the clusters that themselves have the finding. `finding` is the one that speaks
    for all; without one the line is about clusters that do not report. `silent`: no controller reports it.
    """

    signature: str
    health: Health
    headline: str
    count: int
    names: tuple[str, ...]
    since: datetime | None
    finding: Finding | None = None
    unseen: str = ""
    subject: str = ""
    kinds: tuple[str, ...] = ()
    resource_id: int | None = None
    about: tuple[str, ...] = ()
    silent: bool = False

    @property
    def about_silence(self) -> bool:
        """The line is about clusters that do not report."""
        return self.finding is None

    @property
    def rule(self) -> str:
        return self.finding.rule if self.finding else ""

    @property
    def cause(self) -> str:
        """The controller's own words, or why we cannot read a cluster."""
        return self.finding.cause if self.finding else self.unseen

    @property
    def hint(self) -> str:
        return self.finding.hint if self.finding else ""

    @property
    def title(self) -> str:
        """The class of the cause, in words."""
        return TITLES.get(self.finding.cause_class, "") if self.finding else ""

    @property
    def where(self) -> str:
        return words.listed(self.names)

    @property
    def what(self) -> str:
        kind = self.kinds[0] if len(self.kinds) == 1 else "resource"
        return words.counted(self.count, SHORT_NAMES.get(kind, kind))

    @property
    def query(self) -> Mapping[str, str]:
        """The filters that list exactly the resources that are counted."""
        return {"signature": self.signature, "health": NEEDS_SOMEONE}


@dataclass(frozen=True)
class Estate:
    """What causes are told of, now or at a moment: resources, what could not be seen of them, clusters that report.

    `states` have their cluster joined; only those that are at risk or worse count.
    """

    resources: QuerySet[Any]
    overdue: Overdue
    states: Sequence[ClusterState]


def needs_someone(
    now: datetime, overdue: Overdue | None = None, *, seen: Coverage, limit: int = 10
) -> tuple[tuple[Cause, ...], bool]:
    """The worst causes, and whether there are more than `limit`. Statements as for `causes`.

    A poison object leads, because nothing else of its cluster can be believed; then what we cannot see (from `seen`,
    one line per reason), then worst first.
    """
    return led(causes(CauseFilters(), now, limit=limit, overdue=overdue), seen, limit)


def led(found: Page[Cause], seen: Coverage, limit: int) -> tuple[tuple[Cause, ...], bool]:
    """`needs_someone` from the first causes and the coverage of one moment."""
    silent = _silent_lines(seen.silent)[:limit]
    poison = [line for line in found.rows if _is_poison(line.finding)]
    others = [line for line in found.rows if not _is_poison(line.finding)]
    lines = [*poison[: limit - len(silent)], *silent, *others]
    return tuple(lines[:limit]), bool(found.next) or len(poison) + len(silent) + len(others) > limit


def causes(
    filters: CauseFilters, now: datetime, cursor: str = "", limit: int = 50, *, overdue: Overdue | None = None
) -> Page[Cause]:
    """Poison first, then by worst health, clusters and resources. Three SQL statements, and one for `overdue`.

    Resources of overdue kinds and findings of silent clusters do not count. A cursor is a place in the ranking: ranks
    are aggregates, so that every page costs one grouping, wherever it begins. Raises WrongParameter for a cursor of
    another list and for a cluster that does not exist.
    """
    return ranked(_present(now, overdue), filters, cursor, limit)


def ranked(estate: Estate, filters: CauseFilters, cursor: str = "", limit: int = 50) -> Page[Cause]:
    """`causes` of one estate."""
    start = min(max(decode_numbers(cursor)[0], 0), 10**6) if cursor else 0
    chosen = cluster_ids(filters.clusters) if filters.clusters else None
    told = _told(filters, chosen, estate.states)
    rows = _rows(filters, chosen, estate, told)
    groups = {group["signature"]: group for group in _groups(rows, filters, told, start + limit + 1)}
    order = sorted({*groups, *told}, key=lambda signature: _rank(signature, groups.get(signature), told))
    lines = _lines(order[start : start + limit], estate, rows, groups, told)
    return Page(lines, encode((start + limit, 0)) if len(order) > start + limit else "")


def _present(now: datetime, overdue: Overdue | None = None) -> Estate:
    unwell = ClusterState.objects.filter(health__gte=Health.AT_RISK, cluster__enabled=True)
    states = list(unwell.select_related("cluster").order_by("cluster__name"))
    for state in states:
        state.cluster.state = state
    return Estate(
        resources=Resource.objects.all(),
        overdue=overdue_pairs(now) if overdue is None else overdue,
        states=[state for state in states if reports(state.cluster, now)],
    )


def cause(signature: str, now: datetime) -> Cause | None:
    """One cause, or None where nothing that we can see shares it now. Statements as for `causes`."""
    found = causes(CauseFilters(signatures=(signature,)), now, limit=1).rows
    return found[0] if found else None


def cause_by_cluster(signature: str, now: datetime) -> list[tuple[str, int]]:
    """How many resources of each cluster share it, most first. Two SQL statements."""
    rows = _rows(CauseFilters(signatures=(signature,)), None, _seen(now), {})
    counted = rows.order_by().values_list("cluster__name").annotate(number=Count("id"))
    return list(counted.order_by("-number", "cluster__name"))


def sharing(signature: str, now: datetime) -> int:
    """How many resources share a cause; 0 for no signature. Two SQL statements."""
    return _rows(CauseFilters(signatures=(signature,)), None, _seen(now), {}).count() if signature else 0


def _seen(now: datetime) -> Estate:
    return Estate(resources=Resource.objects.all(), overdue=overdue_pairs(now), states=())


def _told(filters: CauseFilters, chosen: Sequence[int] | None, states: Sequence[ClusterState]) -> Told:
    found: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    if filters.kinds:
        return found
    for state in states:
        if chosen is None or state.cluster_id in chosen:
            for finding in msgspec.convert(state.findings, tuple[Finding, ...]):
                if finding.health >= Health.AT_RISK and finding.signature and _fits(finding, filters):
                    found[finding.signature].append((state.cluster.name, finding))
    return found


def _fits(finding: Finding, filters: CauseFilters) -> bool:
    return (
        (not filters.healths or finding.health in filters.healths)
        and (not filters.cause_classes or finding.cause_class in filters.cause_classes)
        and (not filters.signatures or finding.signature in filters.signatures)
    )


def _rows(filters: CauseFilters, chosen: Sequence[int] | None, estate: Estate, told: Told) -> QuerySet[Any]:
    """The resources that count. `signature` is excluded as in the partial index, or Postgres could not use it."""
    rows = estate.resources.exclude(signature="").filter(
        ~estate.overdue.condition(), kind__in=filters.kinds or JUDGED_KINDS, health__gte=Health.AT_RISK
    )
    if chosen is not None:
        rows = rows.filter(cluster_id__in=chosen)
    if filters.signatures:
        rows = rows.filter(signature__in=filters.signatures)
    if filters.cause_classes:
        rows = rows.filter(Q(findings__0__cause_class__in=filters.cause_classes) | Q(signature__in=list(told)))
    return rows


def _groups(rows: QuerySet[Any], filters: CauseFilters, told: Told, most: int) -> QuerySet[Any, Any]:
    """The worst `most` groups, and all that a cluster's own finding leads, whatever their health."""
    led = Case(When(signature__in=list(told), then=Value(1)), default=Value(0), output_field=IntegerField())
    grouped = (
        rows.order_by()
        .values("signature")
        .annotate(
            led=Max(led),
            worst=Max("health"),
            wide=Count("cluster_id", distinct=True),
            number=Count("id"),
            began=Min("since"),
            names=ArrayAgg("cluster__name", distinct=True),
            kinds=ArrayAgg("kind", distinct=True),
        )
    )
    if filters.healths:
        grouped = grouped.filter(Q(worst__in=[int(health) for health in filters.healths]) | Q(led=1))
    worst: QuerySet[Any, Any] = grouped.order_by("-led", "-worst", "-wide", "-number", "signature")[: most + len(told)]
    return worst


def _rank(signature: str, group: Mapping[str, Any] | None, told: Told) -> tuple[bool, int, int, int, str]:
    findings = [finding for _, finding in told.get(signature, ())]
    wide = max(len(findings), group["wide"] if group else 0)
    poison = any(_is_poison(finding) for finding in findings)
    return not poison, -_worst(group, findings), -wide, -(group["number"] if group else 0), signature


def _worst(group: Mapping[str, Any] | None, findings: Iterable[Finding]) -> Health:
    return Health(max([*([group["worst"]] if group else []), *(finding.health for finding in findings)]))


def _is_poison(finding: Finding | None) -> bool:
    return finding is not None and finding.cause_class == POISON.id


def _lines(
    signatures: Sequence[str],
    estate: Estate,
    rows: QuerySet[Any],
    groups: Mapping[str, Mapping[str, Any]],
    told: Told,
) -> tuple[Cause, ...]:
    shared = rows.filter(signature__in=list(signatures))
    store_first = Case(When(kind__in=STORES, then=Value(0)), default=Value(1), output_field=IntegerField())
    worst = shared.order_by("signature", store_first, "-health", "-id").distinct("signature").values("pk")
    # The condition on health is repeated, or the estate of a moment would be read whole.
    roots = {root.signature: root for root in estate.resources.filter(pk__in=worst, health__gte=Health.AT_RISK)}
    lines = (
        _line(signature, groups.get(signature), told.get(signature, []), roots.get(signature))
        for signature in signatures
    )
    return tuple(line for line in lines if line)


def _line(
    signature: str,
    group: Mapping[str, Any] | None,
    told: Sequence[tuple[str, Finding]],
    root: Resource | PastResource | None,
) -> Cause | None:
    """A cluster's own finding speaks for the line; without one the store behind it, or its worst resource.

    None where the resources were judged again between two statements, so that nobody speaks.
    """
    of_clusters = [finding for _, finding in told]
    of_root = msgspec.convert(root.findings[:1], tuple[Finding, ...]) if root else ()
    loudest = max(of_clusters, key=lambda finding: (_is_poison(finding), finding.health), default=None)
    speakers = (loudest,) if loudest else of_root
    if not speakers:
        return None
    names, kinds = (group["names"], group["kinds"]) if group else ([], [])
    number = group["number"] if group else 0
    named = root if root and not told and (number == 1 or root.kind in STORES) else None
    moments = [finding.since for finding in of_clusters if finding.since] + ([group["began"]] if group else [])
    return Cause(
        signature=signature,
        health=_worst(group, of_clusters),
        headline=_headline(speakers[0], alone=named is not None or len(told) == 1),
        count=number,
        names=tuple(dict.fromkeys([*(name for name, _ in told), *names])),
        since=min(moments, default=None),
        finding=speakers[0],
        subject=named.search.removeprefix("/") if named else "",
        kinds=tuple(kinds),
        resource_id=named.pk if named and number == 1 else None,
        about=tuple(name for name, _ in told),
        silent=speakers[0].rule == SILENT_STALE,
    )


def _headline(finding: Finding, *, alone: bool) -> str:
    """The sentence of the only finding, or what all findings of a rule have in common."""
    return finding.summary if alone or finding.rule not in RULES else RULES[finding.rule].title


def _silent_lines(silent: Iterable[Silent]) -> list[Cause]:
    by_reason: dict[str, list[Silent]] = defaultdict(list)
    for cluster in silent:
        if cluster.since is not None:
            by_reason[cluster.reason].append(cluster)
    return [
        Cause(
            signature="",
            health=Health.UNKNOWN,
            headline=f"{'One cluster is' if len(found) == 1 else f'{words.number(len(found))} clusters are'} {reason}",
            count=0,
            names=tuple(cluster.name for cluster in found),
            since=min(cluster.since for cluster in found if cluster.since),
            unseen=found[0].message,
        )
        for reason, found in by_reason.items()
    ]
