"""Advice about specs, counted by rule. Never mixed into health."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from monitoring.models import ClusterState
from monitoring.rules.registry import RULES

COUNTS = """
SELECT l.value->>'rule', max(l.value->>'hint'), count(*), array_agg(DISTINCT c.name ORDER BY c.name)
FROM monitoring_resource r JOIN clusters_cluster c ON c.id = r.cluster_id
CROSS JOIN LATERAL jsonb_array_elements(r.lints) l
WHERE r.lints <> '[]' AND c.enabled GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Lint:
    """One rule's advice: how many resources it concerns in which clusters, and the clusters that it is about."""

    rule: str
    hint: str
    count: int = 0
    names: tuple[str, ...] = ()
    about: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return RULES[self.rule].title if self.rule in RULES else self.rule


def lints() -> tuple[Lint, ...]:
    """All advice, most resources first. Two SQL statements."""
    states = ClusterState.objects.exclude(lints=[]).filter(cluster__enabled=True).select_related("cluster")
    return counted(COUNTS, {}, states.order_by("cluster__name"))


def counted(sql: str, params: Mapping[str, Any], states: Iterable[ClusterState]) -> tuple[Lint, ...]:
    """`lints` from rule, hint, count and names of clusters as `sql` gives them, and what clusters are advised."""
    about: dict[str, list[str]] = defaultdict(list)
    hints: dict[str, str] = {}
    for state in states:
        for lint in state.lints:
            about[lint["rule"]].append(state.cluster.name)
            hints[lint["rule"]] = lint.get("hint", "")
    counts = {rule: (hint, count, names) for rule, hint, count, names in _fetch(sql, params)}
    found = []
    for rule in counts.keys() | about.keys():
        hint, count, names = counts.get(rule, (hints.get(rule, ""), 0, []))
        everywhere = tuple(sorted({*names, *about[rule]}))
        found.append(Lint(rule=rule, hint=hint or "", count=count, names=everywhere, about=tuple(about[rule])))
    return tuple(sorted(found, key=lambda lint: (-lint.count, -len(lint.names), lint.rule)))


def _fetch(sql: str, params: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
