"""The same object in several clusters: which there are, and in what they differ (see monitoring.drift).

A page looks at one stretch of the index over namespace, name and kind (see Budget), so it costs the same whatever there
is beyond. So it may hold few rows, or none, and still have a next one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from django.db import connection

from clusters.facts import ResourceKey
from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring.filters import DRIFT_KINDS, DriftFilters, WrongParameter
from monitoring.health import Health
from monitoring.queries.drift_rows import MOUNT_KIND, Candidate, DriftRow, Scope, drift_rows, fetch
from monitoring.queries.knowledge import READ_BEFORE
from monitoring.queries.paging import Page, decode_names, encode
from monitoring.queries.resources import cluster_ids

MOST_COLUMNS = 12

# The scan stops in the middle of a group where it reached its limit: `is_last` tells where.
CANDIDATES = """
WITH scanned AS (
    SELECT namespace, name, kind, id FROM monitoring_resource
    WHERE kind = ANY(%(kinds)s) AND cluster_id = ANY(%(ids)s)
        AND (namespace, name, kind) >= (%(namespace)s, %(name)s, %(kind)s) {conditions}
    ORDER BY namespace, name, kind LIMIT %(scanned)s
), grouped AS (
    SELECT namespace, name, kind, array_agg(id) AS ids, sum(count(*)) OVER ordered AS seen,
        lead(kind) OVER ordered IS NULL AS is_last
    FROM scanned GROUP BY namespace, name, kind WINDOW ordered AS (ORDER BY namespace, name, kind)
)
SELECT namespace, name, kind, ids, seen FROM grouped
WHERE cardinality(ids) > 1 OR is_last ORDER BY namespace, name, kind
"""
ONE = """
SELECT id FROM monitoring_resource
WHERE (namespace, name, kind) = (%(namespace)s, %(name)s, %(kind)s) AND cluster_id = ANY(%(ids)s)
"""
CONDITIONS = {
    "namespaces": "AND namespace = ANY(%(namespaces)s)",
    "names": "AND name = ANY(%(names)s)",
    "q": "AND search ~* %(q)s",
}

READ = f"""
SELECT known.cluster_id, known.kind, known.outcome = %s
FROM monitoring_cursor known JOIN clusters_cluster cluster ON cluster.id = known.cluster_id
WHERE known.cluster_id = ANY(%s) AND known.kind = ANY(%s) AND (known.outcome = %s OR known.read_at >= {READ_BEFORE})
"""  # noqa: S608 - no value is put into the text


class Budget(NamedTuple):
    """How many rows one page looks at: `scanned` to find what is in several clusters, of those the facts of `loaded`.

    An object costs as much as `per_object` more rows. Measured with a million rows of 100 clusters: 0.8 us a row to
    scan, 10 to load, 5 to compare.
    """

    scanned: int = 15_000
    loaded: int = 3_000
    per_object: int = 4


BUDGET = Budget()


@dataclass(frozen=True)
class Comparison(Page[DriftRow]):
    """One page of drift. `compared` is how many objects that are in several clusters it looked at."""

    compared: int = 0
    clusters: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return drift_columns(self.rows, self.clusters)


def drift_columns(rows: Sequence[DriftRow], clusters: Iterable[str]) -> tuple[str, ...]:
    """The clusters to show beside each other: worst health first, then what is odd most often, then by name."""

    def rank(cluster: str) -> tuple[int, int, int, str]:
        present = [row.cells[cluster] for row in rows if cluster in row.cells]
        worst = max((cell.health for cell in present), default=Health.HEALTHY)
        return -worst, -sum(cluster in row.odd for row in rows), -len(present), cluster

    return tuple(sorted(clusters, key=rank)[:MOST_COLUMNS])


def drift(
    filters: DriftFilters, now: datetime, cursor: str = "", limit: int = 50, budget: Budget = BUDGET
) -> Comparison:
    """Objects that are in at least two of the chosen clusters, by namespace, name and kind. Seven statements at most.

    Raises WrongParameter for a cursor of another list, and for a cluster or label that does not exist.
    """
    scope = _scope(filters, now)
    start = decode_names(cursor) if cursor else ("", "", "")
    found, following = _candidates(filters, scope, start, budget)
    if filters.only == "all" and len(found) > limit:  # then every one of them is a row
        found, following = found[: limit + 1], None
    rows = drift_rows(found, scope)
    chosen = [row for row in rows if _fits(row, filters.only)]
    if len(chosen) > limit:
        following = (chosen[limit].key.namespace, chosen[limit].key.name, chosen[limit].key.kind)
        rows = rows[: rows.index(chosen[limit])]
        chosen = chosen[:limit]
    return Comparison(
        rows=tuple(chosen),
        next=encode(following) if following else "",
        compared=len(rows),
        clusters=tuple(scope.names.values()),
    )


def drift_of(key: ResourceKey, filters: DriftFilters, now: datetime) -> DriftRow | None:
    """One object over the chosen clusters, or None where it is in none of them. Six statements at most."""
    scope = _scope(filters, now)
    ids = [number for (number,) in fetch(ONE, {**key._asdict(), "ids": list(scope.names)})]
    rows = drift_rows([Candidate(key, ids)], scope) if ids else []
    return rows[0] if rows else None


def _fits(row: DriftRow, only: str) -> bool:
    if only == "missing":
        return bool(row.missing)
    return only == "all" or row.differs


def _scope(filters: DriftFilters, now: datetime) -> Scope:
    chosen = Cluster.objects.enabled().order_by("name")
    if filters.clusters:
        chosen = chosen.filter(pk__in=cluster_ids(filters.clusters))
    clusters = list(chosen.only("id", "name", "labels"))
    if filters.agree:
        name, value = filters.agree
        clusters = [cluster for cluster in clusters if cluster.labels.get(name) == value]
        if not clusters:
            raise WrongParameter("agree", f"no cluster has the label {name[:40]}={value[:40]}")
    if filters.differ and not any(cluster.labels.get(filters.differ) for cluster in clusters):
        raise WrongParameter("differ", f"no cluster has the label {filters.differ[:40]}")
    ids = [cluster.pk for cluster in clusters]
    kinds = [*DRIFT_KINDS, "Secret", MOUNT_KIND]
    absent = str(Outcome.NOT_INSTALLED)
    with connection.cursor() as sql:
        sql.execute(READ, [absent, ids, kinds, absent, now])
        read = sql.fetchall()
    return Scope(
        names={cluster.pk: cluster.name for cluster in clusters},
        labels={cluster.name: str(cluster.labels.get(filters.differ, "")) for cluster in clusters},
        fresh=frozenset((cluster_id, kind) for cluster_id, kind, missing in read if not missing),
        not_installed=frozenset((cluster_id, kind) for cluster_id, kind, missing in read if missing),
    )


def _candidates(
    filters: DriftFilters, scope: Scope, start: tuple[str, str, str], budget: Budget
) -> tuple[list[Candidate], tuple[str, str, str] | None]:
    """What is in several clusters from `start` on, and where the next page starts, if there is one."""
    scanned = budget.scanned + len(scope.names)  # so that one object in all clusters never fills it
    params = {
        "kinds": list(filters.kinds or DRIFT_KINDS),
        "ids": list(scope.names),
        "scanned": scanned,
        "namespaces": list(filters.namespaces),
        "names": list(filters.names),
        "q": re.escape(filters.q),
        **dict(zip(("namespace", "name", "kind"), start, strict=True)),
    }
    conditions = " ".join(text for name, text in CONDITIONS.items() if getattr(filters, name))
    groups = fetch(CANDIDATES.format(conditions=conditions), params)
    following = None
    if groups and groups[-1][4] >= scanned:
        following = groups.pop()[:3]
    found: list[Candidate] = []
    loaded = 0
    for namespace, name, kind, ids, _ in groups:
        loaded += len(ids) + budget.per_object
        if found and loaded > budget.loaded:
            return found, (namespace, name, kind)
        if len(ids) > 1:
            found.append(Candidate(ResourceKey(kind, namespace, name), ids))
    return found, following
