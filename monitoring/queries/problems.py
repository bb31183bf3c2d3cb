"""What needs someone: one line per cause, however many resources share it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Min
from django.db.models.fields.json import KT

from monitoring import words
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import ClusterState, Resource
from monitoring.queries.knowledge import Coverage, Overdue, Silent, overdue_pairs, reports
from monitoring.queries.resources import SILENT_STALE, problem_code, text_of, with_shared_cause
from monitoring.rules.base import Finding
from monitoring.rules.registry import RULES


@dataclass(frozen=True, kw_only=True)
class ProblemLine:
    """One cause with everything that shares it. `query` are the filters that list exactly these resources.

    `headline` says what is wrong, after `subject`, the resource's name, where there is only one (then `resource_id`
    leads to it). `about_cluster`: the line counts clusters, not resources. `names` are the clusters.
    """

    health: Health
    rule: str
    headline: str
    cause: str
    count: int
    names: tuple[str, ...]
    since: datetime | None
    query: Mapping[str, str]
    subject: str = ""
    store: str = ""
    kinds: tuple[str, ...] = ()
    resource_id: int | None = None
    about_cluster: bool = False

    @property
    def silent(self) -> bool:
        """No controller reports it."""
        return self.rule == SILENT_STALE

    @property
    def about_silence(self) -> bool:
        """The line is about clusters that do not report."""
        return self.about_cluster and not self.rule

    @property
    def where(self) -> str:
        return words.listed(self.names)

    @property
    def what(self) -> str:
        return words.counted(self.count, self.kinds[0] if len(self.kinds) == 1 else "resource")


def needs_someone(
    now: datetime, overdue: Overdue | None = None, *, seen: Coverage, limit: int = 10
) -> tuple[tuple[ProblemLine, ...], bool]:
    """One line per cause, what we cannot see first, then worst first, and whether there are more than `limit`.

    Resources at risk or worse are grouped in SQL by health, worst finding's rule, shared cause and store. Findings
    about clusters join by rule; clusters that do not report (from `seen`) join by reason and always have their lines.
    Two SQL statements, and one for `overdue`.
    """
    overdue = overdue_pairs(now) if overdue is None else overdue
    silent = _silent_lines(seen.silent)
    lines = [*_resource_lines(overdue, limit + 1), *_cluster_lines(now)]
    lines.sort(key=lambda line: (-line.health, -line.count, line.rule, line.cause))
    room = max(limit - len(silent), 0)
    return (*silent[:limit], *lines[:room]), len(lines) > room


def _resource_lines(overdue: Overdue, limit: int) -> list[ProblemLine]:
    rows = Resource.objects.filter(~overdue.condition(), kind__in=JUDGED_KINDS, health__gte=Health.AT_RISK)
    grouped = (
        with_shared_cause(rows)
        .values(
            "health",
            rule=text_of("findings__0__rule"),
            common=F("shared"),
            of_store=text_of("facts__store"),
        )
        .annotate(
            summary=Min(KT("findings__0__summary")),
            example=Min("cause"),
            number=Count("id"),
            began=Min("since"),
            kinds=ArrayAgg("kind", distinct=True),
            names=ArrayAgg("cluster__name", distinct=True),
            one=Min("id"),
            subject=Min("search"),
        )
    )
    return [_resource_line(row) for row in grouped.order_by("-health", "-number", "rule")[:limit]]


def _resource_line(row: Mapping[str, Any]) -> ProblemLine:
    health, single = Health(row["health"]), row["number"] == 1
    query = {"health": health.code}
    if row["rule"]:
        query["problem"] = problem_code(row["rule"], row["common"], row["of_store"])
    return ProblemLine(
        health=health,
        rule=row["rule"],
        headline=_headline(row["rule"], row["summary"], single, health),
        cause=row["example"] if single else row["common"],
        count=row["number"],
        names=tuple(row["names"]),
        since=row["began"],
        query=query,
        subject=row["subject"].removeprefix("/") if single else "",
        store="" if single else row["of_store"].partition(" ")[2],
        kinds=tuple(row["kinds"]),
        resource_id=row["one"] if single else None,
    )


def _headline(rule: str, summary: str | None, single: bool, health: Health) -> str:
    """The sentence of the only finding, or what all findings of a rule have in common."""
    if rule in RULES and not single:
        return RULES[rule].title
    return summary or f"{health.word}, without a finding that says why"


def _cluster_lines(now: datetime) -> list[ProblemLine]:
    unwell = ClusterState.objects.filter(health__gte=Health.AT_RISK, cluster__enabled=True)
    states = unwell.select_related("cluster").order_by("cluster__name")
    found: dict[tuple[str, Health], list[tuple[str, Finding]]] = defaultdict(list)
    for state in states:
        state.cluster.state = state
        if reports(state.cluster, now):
            for finding in msgspec.convert(state.findings, tuple[Finding, ...]):
                if finding.health >= Health.AT_RISK:
                    found[finding.rule, finding.health].append((state.cluster.name, finding))
    return [_cluster_line(rule, health, pairs) for (rule, health), pairs in found.items()]


def _cluster_line(rule: str, health: Health, pairs: list[tuple[str, Finding]]) -> ProblemLine:
    first = pairs[0][1]
    since = [finding.since for _, finding in pairs if finding.since]
    headline = _headline(rule, first.summary, len(pairs) == 1, health)
    return _about_clusters(health, rule, headline, first.cause, [name for name, _ in pairs], since)


def _silent_lines(silent: Iterable[Silent]) -> list[ProblemLine]:
    by_reason: dict[str, list[Silent]] = defaultdict(list)
    for cluster in silent:
        if cluster.since is not None:
            by_reason[cluster.reason].append(cluster)
    lines = []
    for reason, found in by_reason.items():
        who = "One cluster is" if len(found) == 1 else f"{words.number(len(found))} clusters are"
        since = [cluster.since for cluster in found if cluster.since]
        names = [cluster.name for cluster in found]
        lines.append(_about_clusters(Health.UNKNOWN, "", f"{who} {reason}", found[0].message, names, since))
    return lines


def _about_clusters(
    health: Health, rule: str, headline: str, cause: str, names: list[str], since: list[datetime]
) -> ProblemLine:
    return ProblemLine(
        health=health,
        rule=rule,
        headline=headline,
        cause=cause,
        count=len(names),
        names=tuple(names),
        since=min(since, default=None),
        query={"cluster": ",".join(names)},
        about_cluster=True,
    )
