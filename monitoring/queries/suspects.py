"""What changed shortly before a resource ceased to be well: in what it depends on, as far as we watch that."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clusters.kinds import BY_NAME, EXTERNAL_SECRETS, SEALED_SECRETS, SECRETS_STORE_CSI, WATCHED_KINDS
from clusters.kinds.workloads import DRIVER_ROLE, EXTERNAL_SECRETS_ROLE, PROVIDER_ROLE, SEALED_SECRETS_ROLE
from monitoring.queries.resources import JudgedResource
from monitoring.queries.rows import fetch

BEFORE, AFTER = timedelta(hours=24), timedelta(minutes=10)  # after: the controller takes its time to notice
MOST_SUSPECTS = 20

# By family of clusters.kinds: the roles of its operators, and the kinds of which any one concerns all of the family.
CONCERNING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    EXTERNAL_SECRETS: ((EXTERNAL_SECRETS_ROLE,), ()),
    SEALED_SECRETS: ((SEALED_SECRETS_ROLE,), ("SealingKey", "SealingCertificate")),
    SECRETS_STORE_CSI: ((DRIVER_ROLE, PROVIDER_ROLE), ("CSIDriver",)),
}

# An operator that is gone has no row any more that tells its role: it is named to all families.
SUSPECTS = """
WITH named AS (
    SELECT %(kind)s AS kind, %(namespace)s AS namespace, %(name)s AS name, 'itself' AS relation
    UNION ALL
    SELECT DISTINCT target_kind, target_namespace, target_name, relation FROM monitoring_reference
    WHERE resource_id = %(id)s AND relation IN ('store', 'class', 'parent')
), found AS (
    SELECT v.*, n.relation FROM monitoring_revision v JOIN named n USING (kind, namespace, name)
    WHERE v.cluster_id = %(cluster_id)s AND v.at BETWEEN %(start)s AND %(end)s
    UNION ALL
    SELECT v.*, CASE WHEN v.kind IN ('Deployment', 'DaemonSet') THEN 'operator' ELSE '' END
    FROM monitoring_revision v LEFT JOIN monitoring_resource w USING (cluster_id, kind, namespace, name)
    WHERE v.cluster_id = %(cluster_id)s AND v.at BETWEEN %(start)s AND %(end)s
        AND (v.kind = ANY(%(kinds)s) OR v.kind IN ('Deployment', 'DaemonSet')
            AND (w.id IS NULL OR w.facts->>'role' = ANY(%(roles)s)))
    UNION ALL
    SELECT v.*, 'cluster' FROM monitoring_revision v
    WHERE v.cluster_id = %(cluster_id)s AND v.kind = 'Cluster' AND v.namespace = '' AND v.name = ANY(%(served)s)
        AND v.at BETWEEN %(start)s AND %(end)s
)
SELECT f.at, f.what, f.kind, f.namespace, f.name, f.before, f.after, f.by, f.relation, r.id
FROM found f LEFT JOIN monitoring_resource r USING (cluster_id, kind, namespace, name)
ORDER BY abs(extract(epoch FROM f.at - %(moment)s)), f.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Suspect:
    """One revision. `relation` says what its object is to the resource; `resource_id` is None where it is gone."""

    at: datetime
    what: str
    kind: str
    namespace: str
    name: str
    before: str
    after: str
    by: str
    relation: str
    resource_id: int | None

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def suspects(resource: JudgedResource) -> tuple[Suspect, ...] | None:
    """What changed in the day before the resource ceased to be well, nearest first. None for one that is well.

    Of what it depends on counts what it refers to now: what it referred to then is not kept. One SQL statement.
    """
    row = resource.row
    if row.unwell_since is None:
        return None
    family = BY_NAME[row.kind].family
    roles, kinds = CONCERNING[family]
    params: dict[str, Any] = {
        "id": row.pk,
        "kind": row.kind,
        "namespace": row.namespace,
        "name": row.name,
        "cluster_id": row.cluster_id,
        "moment": row.unwell_since,
        "start": row.unwell_since - BEFORE,
        "end": min(row.unwell_since + AFTER, resource.now),
        "roles": list(roles),
        "kinds": list(kinds),
        "served": [watched.kind for watched in WATCHED_KINDS if watched.family == family],
        "limit": MOST_SUSPECTS,
    }
    return tuple(Suspect(*found) for found in fetch(SUSPECTS, params))
