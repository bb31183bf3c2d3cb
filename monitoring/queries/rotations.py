"""How far rotations that mounts told of got by now."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from monitoring.queries.knowledge import READ_BEFORE
from monitoring.queries.rows import fetch

# Versions of one source are comparable in all clusters, others within their class (see MountedVersion). A mount that
# changed again later has been reached too. `at` is by each cluster's own clock.
REACHED = f"""
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
    JOIN monitoring_resource k ON k.kind = o.kind AND k.source = o.source AND k.source > ''
), mounts AS (
    SELECT c.id, coalesce(known.read_at >= {READ_BEFORE % "%(now)s"}, false) AS seen, o.version = t.after
        OR o.changed_at - make_interval(secs => coalesce(s.clock_offset_ms, 0) / 1000.0) > t.at AS reached
    FROM classes c JOIN told t ON t.id = c.id
    JOIN clusters_cluster cluster ON cluster.id = c.cluster_id
    JOIN monitoring_reference f ON (f.cluster_id, f.relation, f.target_kind, f.target_namespace, f.target_name)
        = (c.cluster_id, 'class', 'SecretProviderClass', c.namespace, c.name)
    JOIN monitoring_resource m ON m.id = f.resource_id AND m.kind = 'SecretProviderClassPodStatus'
    LEFT JOIN monitoring_clusterstate s ON s.cluster_id = m.cluster_id
    LEFT JOIN monitoring_cursor known ON known.cluster_id = m.cluster_id AND known.kind = m.kind
    CROSS JOIN LATERAL jsonb_to_recordset(m.facts->'objects') AS o(id text, version text, changed_at timestamptz)
    WHERE o.id = t.object AND NOT m.findings @> '[{{"rule": "csi-orphaned-status"}}]'
)
SELECT id, count(*) FILTER (WHERE reached), count(*), count(*) FILTER (WHERE reached IS NOT TRUE AND NOT seen)
FROM mounts GROUP BY id
"""  # noqa: S608 - no value is put into the text


class Reached(NamedTuple):
    """How many of the mounts that read a secret have a rotation's version by now.

    Of `unknown` ones we do not see now what they hold, and last they held another one.
    """

    mounts: int
    of: int
    unknown: int


def reached(rotation_ids: Collection[int], now: datetime) -> dict[int, Reached]:
    """By id of a rotation that mounts told of: how far it got, over all clusters that read the same. One statement.

    Others are missing, and so are those of which no mount is left.
    """
    rows = fetch(REACHED, {"ids": list(rotation_ids), "now": now})
    return {rotation_id: Reached(*counts) for rotation_id, *counts in rows}
