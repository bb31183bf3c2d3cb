"""What is not as it was: the difference between the estates of two moments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from monitoring.families import JUDGED_KINDS
from monitoring.filters import DiffFilters
from monitoring.health import Health
from monitoring.known import decoded
from monitoring.queries.paging import Page, decode_moment, page_of
from monitoring.queries.resources import cluster_ids
from monitoring.rules.base import Finding

# The last transition of each resource in the window, where the state that it led to is not the one before the window.
DIFFERENCES = """
SELECT t.at, t.id, t.resource_id, c.name, t.kind, t.namespace, t.name, w.from_health, t.to_health,
    coalesce(w.findings, '[]'), coalesce(e.findings, r.findings, '[]'), l.id IS NOT NULL
FROM monitoring_transition t JOIN clusters_cluster c ON c.id = t.cluster_id
LEFT JOIN LATERAL (
    SELECT f.* FROM (
        SELECT p.from_health, p.findings, p.began_at FROM monitoring_transition p
        WHERE p.cluster_id = t.cluster_id AND p.kind = t.kind AND p.namespace = t.namespace AND p.name = t.name
            AND p.at > %(before)s AND p.at <= %(after)s AND p.from_health IS NOT NULL ORDER BY p.at, p.id LIMIT 1
    ) f WHERE f.began_at <= %(before)s
) w ON true
LEFT JOIN LATERAL (
    SELECT n.findings FROM monitoring_transition n
    WHERE n.cluster_id = t.cluster_id AND n.kind = t.kind AND n.namespace = t.namespace AND n.name = t.name
        AND n.at >= t.at AND n.began_at = t.at AND n.from_health = t.to_health ORDER BY n.at, n.id LIMIT 1
) e ON true
LEFT JOIN monitoring_resource r ON r.id = t.resource_id AND r.recorded_at = t.at AND t.to_health IS NOT NULL
LEFT JOIN monitoring_resource l ON l.id = t.resource_id
WHERE t.at > %(before)s AND t.at <= %(after)s AND t.kind = ANY(%(kinds)s)
    AND (%(clusters)s::bigint[] IS NULL OR t.cluster_id = ANY(%(clusters)s))
    AND (%(namespaces)s::text[] IS NULL OR t.namespace = ANY(%(namespaces)s))
    AND (%(names)s::text[] IS NULL OR t.name = ANY(%(names)s))
    AND (%(last_at)s::timestamptz IS NULL OR (t.at, t.id) < (%(last_at)s, %(last_id)s))
    AND NOT EXISTS (
        SELECT 1 FROM monitoring_transition o
        WHERE o.cluster_id = t.cluster_id AND o.kind = t.kind AND o.namespace = t.namespace AND o.name = t.name
            AND o.at >= t.at AND (o.at, o.id) > (t.at, t.id) AND o.at <= %(after)s)
    AND (w.from_health, coalesce(w.findings, '[]'))
        IS DISTINCT FROM (t.to_health, coalesce(e.findings, r.findings, '[]'))
ORDER BY t.at DESC, t.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A resource that is not as it was: its states at two moments, None where it did not exist.

    `at` is when it became what it was at the later one; `exists` whether it is still there now.
    """

    at: datetime
    id: int
    resource_id: int
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


def differences(filters: DiffFilters, cursor: str = "", limit: int = 50) -> Page[Difference]:
    """What is not the same at the two moments, the latest change first. At most two SQL statements.

    A resource that changed and changed back is none. Raises WrongParameter.
    """
    last_at, last_id = decode_moment(cursor) if cursor else (None, 0)
    params: dict[str, Any] = {
        "before": filters.before,
        "after": filters.after,
        "kinds": list(filters.kinds or JUDGED_KINDS),
        "clusters": cluster_ids(filters.clusters) if filters.clusters else None,
        "namespaces": list(filters.namespaces) or None,
        "names": list(filters.names) or None,
        "last_at": last_at,
        "last_id": last_id,
        "limit": limit + 1,
    }
    with connection.cursor() as sql:
        sql.execute(DIFFERENCES, params)
        rows = [_difference(*row) for row in sql.fetchall()]
    return page_of(rows, limit, lambda row: (row.at, row.id))


def _difference(*row: Any) -> Difference:
    at, number, resource_id, cluster, kind, namespace, name, before, after, found_before, found_after, exists = row
    return Difference(
        at=at,
        id=number,
        resource_id=resource_id,
        cluster=cluster,
        kind=kind,
        namespace=namespace,
        name=name,
        from_health=None if before is None else Health(before),
        to_health=None if after is None else Health(after),
        findings_before=msgspec.convert(decoded(found_before), tuple[Finding, ...]),
        findings_after=msgspec.convert(decoded(found_after), tuple[Finding, ...]),
        exists=exists,
    )
