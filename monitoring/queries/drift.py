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
from monitoring.families import DRIFT_KINDS
from monitoring.filters import DriftFilters, WrongParameter
from monitoring.health import Health
from monitoring.queries.drift_rows import MOUNT_KIND, Candidate, DriftRow, Scope, drift_rows
from monitoring.queries.knowledge import READ_BEFORE
from monitoring.queries.paging import Page, decode_names, encode
from monitoring.queries.resources import cluster_ids
from monitoring.queries.rows import fetch

MOST_COLUMNS = 12

# The scan stops in the middle of a group where it reached its limit: `is_last` tells where. What mounts of a class hold
# is not in its digest, and that values are equal although they must differ is no difference at all. Of fields that may
# differ a digest knows nothing: what differs in them only is found, loaded and then left out.
CANDIDATES = """
WITH scanned AS (
    SELECT namespace, name, kind, id, drift_digest FROM monitoring_resource
    WHERE kind = ANY(%(kinds)s) AND cluster_id = ANY(%(ids)s)
        AND (namespace, name, kind) >= (%(namespace)s, %(name)s, %(kind)s) {conditions}
    ORDER BY namespace, name, kind LIMIT %(scanned)s
), grouped AS (
    SELECT namespace, name, kind, array_agg(id) AS ids, min(drift_digest) <> max(drift_digest) AS differs,
        sum(count(*)) OVER ordered AS seen, sum((count(*) > 1)::int) OVER ordered AS compared,
        lead(kind) OVER ordered IS NULL AS is_last
    FROM scanned GROUP BY namespace, name, kind WINDOW ordered AS (ORDER BY namespace, name, kind)
)
SELECT namespace, name, kind, ids, seen, compared FROM grouped
WHERE is_last OR cardinality(ids) > 1 AND {wanted} ORDER BY namespace, name, kind
"""
WANTED = {
    "all": "true",
    "missing": "(cardinality(ids) < %(clusters)s OR %(must_differ)s AND kind = 'ExternalSecret')",
    "differences": "(differs OR kind = 'SecretProviderClass' OR %(must_differ)s AND kind = 'ExternalSecret')",
}
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
    """How many rows one page looks at: `scanned` to find what may differ, of those the facts of `loaded`.

    An object costs as much as `per_object` more rows. Measured with a million rows of 100 clusters: 0.8 us a row to
    scan, 10 to load, 5 to compare.
    """

    scanned: int = 100_000
    loaded: int = 3_000
    per_object: int = 4


BUDGET = Budget()


@dataclass(frozen=True)
class Comparison(Page[DriftRow]):
    """One page of drift. `compared` is how many objects that are in several clusters it covers.

    `sharing` are those of them that have one value where values must differ, whether or not they are among the rows;
    `unlabelled`: no cluster has the label by which they must.
    """

    compared: int = 0
    sharing: tuple[DriftRow, ...] = ()
    unlabelled: bool = False
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
    found, following, compared = _candidates(filters, scope, start, budget)
    if filters.only == "all" and len(found) > limit:  # then every one of them is a row
        found = found[: limit + 1]
    candidates = {candidate.key: candidate for candidate in found}
    chosen = [row for row in drift_rows(found, scope) if row.shared or _fits(row, filters.only)]
    if len(chosen) > limit:
        key = chosen[limit].key
        following, compared = (key.namespace, key.name, key.kind), candidates[key].compared - 1
        chosen = chosen[:limit]
    return Comparison(
        rows=tuple(row for row in chosen if _fits(row, filters.only)),
        sharing=tuple(row for row in chosen if row.shared),
        next=encode(following) if following else "",
        compared=compared,
        unlabelled=bool(filters.agreement.differ) and not any(scope.labels.values()),
        clusters=tuple(scope.names.values()),
    )


def drift_of(key: ResourceKey, filters: DriftFilters, now: datetime) -> DriftRow | None:
    """One object over the chosen clusters, or None where it is in none of them. Six statements at most."""
    scope = _scope(filters, now)
    ids = [number for (number,) in fetch(ONE, {**key._asdict(), "ids": list(scope.names)})]
    rows = drift_rows([Candidate(key, ids, 1)], scope) if ids else []
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
    agreement = filters.agreement
    clusters = [cluster for cluster in clusters if agreement.fits(cluster.labels)]
    if filters.agree and not clusters:
        raise WrongParameter("agree", f"no cluster has the label {agreement.selector[:80]}")
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
        labels={cluster.name: str(cluster.labels.get(agreement.differ, "")) for cluster in clusters},
        excepted=agreement.excepted,
        fresh=frozenset((cluster_id, kind) for cluster_id, kind, missing in read if not missing),
        not_installed=frozenset((cluster_id, kind) for cluster_id, kind, missing in read if missing),
    )


def _candidates(
    filters: DriftFilters, scope: Scope, start: tuple[str, str, str], budget: Budget
) -> tuple[list[Candidate], tuple[str, str, str] | None, int]:
    """What may fit from `start` on, where the next page starts, if there is one, and how many objects lie between."""
    scanned = budget.scanned + len(scope.names)  # so that one object in all clusters never fills it
    params = {
        "kinds": list(filters.kinds or DRIFT_KINDS),
        "ids": list(scope.names),
        "scanned": scanned,
        "namespaces": list(filters.namespaces),
        "names": list(filters.names),
        "q": re.escape(filters.q),
        "clusters": len(scope.names),
        "must_differ": bool(filters.agreement.differ),
        **dict(zip(("namespace", "name", "kind"), start, strict=True)),
    }
    conditions = " ".join(text for name, text in CONDITIONS.items() if getattr(filters, name))
    groups = fetch(CANDIDATES.format(conditions=conditions, wanted=WANTED[filters.only]), params)
    following, compared = None, groups[-1][5] if groups else 0
    if groups and groups[-1][4] >= scanned:
        *following, ids, _, compared = groups.pop()
        compared -= len(ids) > 1
    found: list[Candidate] = []
    loaded = 0
    for namespace, name, kind, ids, _, place in groups:
        loaded += len(ids) + budget.per_object
        if found and loaded > budget.loaded:
            return found, (namespace, name, kind), place - (len(ids) > 1)
        if len(ids) > 1:
            found.append(Candidate(ResourceKey(kind, namespace, name), ids, place))
    return found, tuple(following) if following else None, compared
