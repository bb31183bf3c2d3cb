"""What is not as it was: the difference between the estates of two moments."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from clusters.models import Cluster
from monitoring.families import JUDGED_KINDS
from monitoring.filters import DiffFilters
from monitoring.health import Health
from monitoring.known import decoded
from monitoring.queries.paging import Page, decode_moment, page_of
from monitoring.queries.past import Gaps, Pair, gaps, registered_after
from monitoring.queries.resources import cluster_ids
from monitoring.queries.rows import fetch
from monitoring.rules.base import Finding

# Most states of a long window began and ended in it, and most resources were plainly healthy at both of its ends:
# neither is a difference. So both states are looked up of what was anything else at one end (and not all the time), and
# of what was there at one end only. What it costs follows from what differs and from what was unhealthy, not from the
# length of the window.
DIFFERENCES = """
WITH keys AS (
    SELECT cluster_id, kind, namespace, name FROM monitoring_estate(%(before)s)
    WHERE (health > 0 OR findings <> '[]') AND ended_at <= %(after)s AND {chosen}
    UNION
    SELECT cluster_id, kind, namespace, name FROM monitoring_estate(%(after)s)
    WHERE (health > 0 OR findings <> '[]') AND recorded_at > %(before)s AND {chosen}
    UNION
    SELECT cluster_id, kind, namespace, name FROM monitoring_transition
    WHERE to_health IS NULL AND tstzrange(first_seen_at, at) @> %(before)s::timestamptz AND at <= %(after)s
        AND at >= date_trunc('month', %(before)s::timestamptz, 'UTC') AND {chosen}
    UNION
    SELECT cluster_id, kind, namespace, name FROM monitoring_transition
    WHERE to_health IS NULL AND tstzrange(first_seen_at, at) @> %(after)s::timestamptz AND first_seen_at > %(before)s
        AND at >= date_trunc('month', %(after)s::timestamptz, 'UTC') AND {chosen}
    UNION
    SELECT cluster_id, kind, namespace, name FROM monitoring_resource
    WHERE first_seen_at > %(before)s AND first_seen_at <= %(after)s AND {chosen}
), compared AS (
    SELECT coalesce(a.began_at, g.at) AS at, coalesce(a.id, b.id) AS id, k.cluster_id, k.kind, k.namespace, k.name,
        b.health AS health_before, b.findings AS before, a.health AS health_after, a.findings AS after
    FROM keys k
    LEFT JOIN LATERAL ({state_before}) b ON true
    LEFT JOIN LATERAL ({state_after}) a ON true
    LEFT JOIN LATERAL (
        SELECT t.at FROM monitoring_transition t WHERE {same} AND t.to_health IS NULL AND a.id IS NULL
            AND t.at > %(before)s AND t.at <= %(after)s ORDER BY t.at DESC LIMIT 1
    ) g ON true
    WHERE (b.health, b.findings) IS DISTINCT FROM (a.health, a.findings)
        AND (b.health IS NULL OR a.health IS NULL OR (k.cluster_id, k.kind) NOT IN (
            SELECT * FROM unnest(%(unseen_clusters)s::bigint[], %(unseen_kinds)s::text[])))
)
SELECT d.at, d.id, c.id, c.name, d.kind, d.namespace, d.name, d.health_before, d.health_after,
    coalesce(d.before, '[]'), coalesce(d.after, '[]'), EXISTS (SELECT FROM monitoring_resource r WHERE r.id = d.id)
FROM compared d JOIN clusters_cluster c ON c.id = d.cluster_id
WHERE %(last_at)s::timestamptz IS NULL OR (d.at, d.id) < (%(last_at)s, %(last_id)s)
ORDER BY d.at DESC, d.id DESC LIMIT %(limit)s
"""
CHOSEN = """kind = ANY(%(kinds)s) AND cluster_id <> ALL(%(later)s)
        AND (%(clusters)s::bigint[] IS NULL OR cluster_id = ANY(%(clusters)s))
        AND (%(namespaces)s::text[] IS NULL OR namespace = ANY(%(namespaces)s))
        AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s))"""
SAME = "t.cluster_id = k.cluster_id AND t.kind = k.kind AND t.namespace = k.namespace AND t.name = k.name"
# At most one row: if a state ended after the moment, the one that lasts began later.
STATE = """
        SELECT s.* FROM (
            (SELECT t.resource_id AS id, t.began_at, t.from_health AS health, t.findings FROM monitoring_transition t
            WHERE {same} AND t.at > {moment} AND t.from_health IS NOT NULL ORDER BY t.at, t.id LIMIT 1)
            UNION ALL
            SELECT t.id, t.recorded_at, t.health, t.findings FROM monitoring_resource t WHERE {same}
        ) s WHERE s.began_at <= {moment}
    """
SQL = DIFFERENCES.format(
    chosen=CHOSEN,
    same=SAME,
    state_before=STATE.format(same=SAME, moment="%(before)s"),
    state_after=STATE.format(same=SAME, moment="%(after)s"),
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A resource that is not as it was: its states at two moments, None where it did not exist.

    `at` is when it became what it was at the later one, or was removed; `exists` whether it is still there now.
    """

    at: datetime
    id: int
    cluster: str
    kind: str
    namespace: str
    name: str
    from_health: Health | None
    to_health: Health | None
    findings_before: tuple[Finding, ...]
    findings_after: tuple[Finding, ...]
    exists: bool

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def worst(self) -> Finding | None:
        """Of the later moment; of the earlier one where it is gone or well again."""
        findings = self.findings_after or self.findings_before
        return findings[0] if findings else None


@dataclass(frozen=True)
class Unseen:
    """Kinds of one cluster that nobody saw at one of the moments, or at both: what stayed there is not compared."""

    cluster: str
    kinds: tuple[str, ...]
    before: bool
    after: bool


@dataclass(frozen=True)
class Differences(Page[Difference]):
    unseen: tuple[Unseen, ...] = ()


def differences(filters: DiffFilters, now: datetime, cursor: str = "", limit: int = 50) -> Differences:
    """What is not the same at the two moments, the latest change first. At most nine SQL statements.

    A resource that changed and changed back is none. Of a kind that was not seen at a moment, and of a cluster that was
    registered in between, everything was unknown then: that is told once, in `unseen`, and only what came or went of
    such a kind is listed, as unknown. Raises WrongParameter.
    """
    clusters = cluster_ids(filters.clusters) if filters.clusters else None
    kinds = filters.kinds or JUDGED_KINDS
    before, after = (_of(gaps(at, now), kinds, clusters) for at in (filters.before, filters.after))
    later = [number for number in registered_after(filters.before) if clusters is None or number in clusters]
    before.update(((number, kind), filters.before) for number in later for kind in kinds)
    unseen = sorted(before.keys() | after.keys())
    last_at, last_id = decode_moment(cursor) if cursor else (None, 0)
    params: dict[str, Any] = {
        "before": filters.before,
        "after": filters.after,
        "kinds": list(kinds),
        "clusters": clusters,
        "later": later,
        "namespaces": list(filters.namespaces) or None,
        "names": list(filters.names) or None,
        "unseen_clusters": [cluster_id for cluster_id, _ in unseen],
        "unseen_kinds": [kind for _, kind in unseen],
        "last_at": last_at,
        "last_id": last_id,
        "limit": limit + 1,
    }
    rows = [_difference(before, after, *row) for row in fetch(SQL, params)]
    page = page_of(rows, limit, lambda row: (row.at, row.id))
    return Differences(page.rows, page.next, tuple(_unseen(before, after)))


def _of(found: Gaps, kinds: Iterable[str], clusters: list[int] | None) -> dict[Pair, datetime]:
    return {
        (cluster_id, kind): since
        for (cluster_id, kind), since in found.items()
        if kind in kinds and (clusters is None or cluster_id in clusters)
    }


def _unseen(before: Gaps, after: Gaps) -> Iterator[Unseen]:
    """By cluster, the kinds that were not seen at the same moments together."""
    together: dict[tuple[int, bool, bool], list[str]] = defaultdict(list)
    for pair in sorted(before.keys() | after.keys()):
        together[pair[0], pair in before, pair in after].append(pair[1])
    names = dict(Cluster.objects.filter(pk__in={number for number, *_ in together}).values_list("id", "name"))
    found = (Unseen(names[number], tuple(kinds), *when) for (number, *when), kinds in together.items())
    return iter(sorted(found, key=lambda unseen: unseen.cluster))


def _difference(unseen_before: Gaps, unseen_after: Gaps, *row: Any) -> Difference:
    at, number, cluster_id, cluster, kind, namespace, name, before, after, found_before, found_after, exists = row
    return Difference(
        at=at,
        id=number,
        cluster=cluster,
        kind=kind,
        namespace=namespace,
        name=name,
        from_health=_shown(before, seen=(cluster_id, kind) not in unseen_before),
        to_health=_shown(after, seen=(cluster_id, kind) not in unseen_after),
        findings_before=msgspec.convert(decoded(found_before), tuple[Finding, ...]),
        findings_after=msgspec.convert(decoded(found_after), tuple[Finding, ...]),
        exists=exists,
    )


def _shown(health: int | None, *, seen: bool) -> Health | None:
    if health is None:
        return None
    return Health(health) if seen else Health.UNKNOWN
