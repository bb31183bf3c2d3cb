"""What pages and the API read of rotations."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from monitoring.models import Rotation

# Versions of one source are comparable in all clusters, others within their class (see MountedVersion). A mount that
# changed again later has been reached too. `at` is by each cluster's own clock.
REACHED = """
WITH told AS (
    SELECT r.id, r.cluster_id, r.namespace, r.name, r.object, r.after,
        r.at - make_interval(secs => coalesce(s.clock_offset_ms, 0) / 1000.0) AS at
    FROM monitoring_rotation r LEFT JOIN monitoring_clusterstate s USING (cluster_id)
    WHERE r.id = ANY(%(ids)s) AND r.source = 'mount'
), classes AS (
    SELECT id, cluster_id, namespace, name FROM told
    UNION
    SELECT t.id, k.cluster_id, k.namespace, k.name FROM told t
    JOIN monitoring_resource o ON (o.cluster_id, o.kind, o.namespace, o.name)
        = (t.cluster_id, 'SecretProviderClass', t.namespace, t.name)
    JOIN monitoring_resource k ON k.kind = o.kind AND k.facts->>'source' = o.facts->>'source'
)
SELECT c.id, count(*) FILTER (WHERE o.version = t.after
    OR o.changed_at - make_interval(secs => coalesce(s.clock_offset_ms, 0) / 1000.0) > t.at), count(*)
FROM classes c JOIN told t ON t.id = c.id
JOIN monitoring_reference f ON (f.cluster_id, f.relation, f.target_kind, f.target_namespace, f.target_name)
    = (c.cluster_id, 'class', 'SecretProviderClass', c.namespace, c.name)
JOIN monitoring_resource m ON m.id = f.resource_id AND m.kind = 'SecretProviderClassPodStatus'
LEFT JOIN monitoring_clusterstate s ON s.cluster_id = m.cluster_id
CROSS JOIN LATERAL jsonb_to_recordset(m.facts->'objects') AS o(id text, version text, changed_at timestamptz)
WHERE o.id = t.object AND NOT m.findings @> '[{"rule": "csi-orphaned-status"}]'
GROUP BY c.id
"""


class Reached(NamedTuple):
    """How many of the mounts that read a secret have a rotation's version by now."""

    mounts: int
    of: int


def reached(rotations: Iterable[Rotation]) -> dict[int, Reached]:
    """By id of a rotation that mounts told of: how far it got, over all clusters that read the same. One statement.

    Others are missing, and so are those of which no mount is left.
    """
    with connection.cursor() as cursor:
        cursor.execute(REACHED, {"ids": [rotation.pk for rotation in rotations]})
        return {rotation_id: Reached(mounts, of) for rotation_id, mounts, of in cursor.fetchall()}
