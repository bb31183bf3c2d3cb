"""What we know before a collection: cursors and fingerprints of a shard, and rows that may change."""

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from sys import byteorder
from typing import Any

import msgspec
from django.db import connection

from clusters.facts import ResourceKey
from clusters.observations import ReadCursor
from monitoring.diff import Known
from monitoring.health import Health

NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

# int8send and string_agg hand all fingerprints of a kind over as one byte string, which needs no parsing.
FINGERPRINTS = """
SELECT cluster_id, kind, string_agg(int8send(fingerprint), ''::bytea)
FROM monitoring_resource WHERE cluster_id = ANY(%(cluster_ids)s) GROUP BY cluster_id, kind
UNION ALL
SELECT cluster_id, 'Event', string_agg(int8send(fingerprint), ''::bytea)
FROM monitoring_event WHERE cluster_id = ANY(%(cluster_ids)s) AND seen_at > %(events_from)s GROUP BY cluster_id
"""

# We keep Events for weeks, an API server keeps them for an hour after their last change (--event-ttl): older ones can
# not come again, and loading their fingerprints would cost more with every day.
EVENTS_LIVE = timedelta(hours=6)

VERSIONS = "SELECT cluster_id, kind, resource_version FROM monitoring_cursor WHERE cluster_id = ANY(%(cluster_ids)s)"

ROW = """
    r.id, r.kind, r.namespace, r.name, r.uid, r.fingerprint, r.created_at, r.first_seen_at,
    r.health, r.since, r.findings, r.lints, r.facts, r.recheck_at, r.due_at, r.drift_digest
"""

ROWS = f"""
SELECT {ROW} FROM monitoring_resource r
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text) USING (kind, namespace, name)
WHERE r.cluster_id = %(cluster_id)s
UNION
SELECT {ROW} FROM monitoring_resource r
JOIN json_to_recordset(%(fingerprints)s) AS f(kind text, fingerprint bigint) USING (kind, fingerprint)
WHERE r.cluster_id = %(cluster_id)s
"""  # noqa: S608  (constants only)

# A kind that was not read lately is unknown: it is judged again with the next snapshot that brings it.
DUE = f"""
SELECT {ROW} FROM monitoring_resource r JOIN monitoring_cursor c USING (cluster_id, kind)
WHERE r.cluster_id = %(cluster_id)s AND r.recheck_at <= %(now)s AND c.read_at >= %(fresh_from)s
ORDER BY r.recheck_at LIMIT %(limit)s
"""  # noqa: S608

CLUSTERS_TO_RECHECK = """
SELECT DISTINCT cluster_id FROM monitoring_resource WHERE recheck_at <= %(now)s
UNION
SELECT cluster_id FROM monitoring_clusterstate WHERE recheck_at <= %(now)s
"""

# DISTINCT ON the id: a resource may refer to several of the keys.
DEPENDENTS = f"""
SELECT DISTINCT ON (r.id) {ROW} FROM monitoring_reference f
JOIN monitoring_resource r ON r.id = f.resource_id
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
    ON (f.target_kind, f.target_namespace, f.target_name) = (k.kind, k.namespace, k.name)
WHERE f.cluster_id = %(cluster_id)s AND f.relation IN ('store', 'class', 'pod', 'node', 'target')
"""  # noqa: S608

PARENTS = f"""
SELECT DISTINCT ON (r.id) {ROW} FROM json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
JOIN monitoring_resource c USING (kind, namespace, name)
JOIN monitoring_reference f ON f.resource_id = c.id AND f.relation = 'parent'
JOIN monitoring_resource r ON (r.cluster_id, r.kind, r.namespace, r.name)
    = (f.cluster_id, f.target_kind, f.target_namespace, f.target_name)
WHERE c.cluster_id = %(cluster_id)s
"""  # noqa: S608

OF_KINDS = f"""
SELECT {ROW} FROM monitoring_resource r WHERE r.cluster_id = %(cluster_id)s AND r.kind = ANY(%(kinds)s)
"""  # noqa: S608


# What another cluster's news may change: a mount of an object of which another cluster has a newer version (or ceased
# to), a SealedSecret that is not synced while its ciphertext is opened elsewhere (or no longer is). Left out is what
# such news cannot change: mounts of pods that are gone, versions that mean nothing, what the clock judges again anyway.
CONCERNED = f"""
SELECT {ROW}, r.cluster_id FROM monitoring_resource r JOIN (
    SELECT f.resource_id, bool_or(o.version <> v.version
        AND v.changed_at > o.changed_at - make_interval(secs => s.clock_offset_ms / 1000.0)) AS is_behind
    FROM monitoring_mountedversion v
    JOIN monitoring_resource k ON k.kind = 'SecretProviderClass' AND k.source = v.source AND k.source > ''
    JOIN monitoring_clusterstate s ON s.cluster_id = k.cluster_id
    JOIN monitoring_reference f ON (f.cluster_id, f.relation, f.target_kind, f.target_namespace, f.target_name)
        = (k.cluster_id, 'class', k.kind, k.namespace, k.name)
    JOIN monitoring_resource m ON m.id = f.resource_id AND m.kind = 'SecretProviderClassPodStatus'
    CROSS JOIN LATERAL jsonb_to_recordset(m.facts->'objects') AS o(id text, version text, changed_at timestamptz)
    WHERE v.cluster_id <> m.cluster_id AND o.id = v.object_id
        AND (%(cluster_id)s::bigint IS NULL OR m.cluster_id = %(cluster_id)s)
    GROUP BY f.resource_id
) c ON c.resource_id = r.id
WHERE r.recheck_at IS NULL AND c.is_behind <> (r.findings @> '[{{"rule": "csi-outdated-version"}}]')
    AND NOT r.findings @> '[{{"rule": "csi-orphaned-status"}}]'
    AND NOT r.findings @> '[{{"rule": "csi-unstable-version"}}]'
UNION
SELECT {ROW}, r.cluster_id FROM monitoring_resource r
WHERE r.kind = 'SealedSecret' AND r.findings <> '[]' AND r.findings @> '[{{"rule": "ss-not-synced"}}]'
    AND (%(cluster_id)s::bigint IS NULL OR r.cluster_id = %(cluster_id)s)
    AND r.findings @> '[{{"rule": "ss-sealed-for-other"}}]' <> EXISTS (
        SELECT 1 FROM jsonb_to_recordset(r.facts->'sealed') AS s(digest text)
        JOIN monitoring_ciphertext t ON t.digest = s.digest
        JOIN monitoring_resource e ON (e.cluster_id, e.kind, e.namespace, e.name)
            = (t.cluster_id, 'SealedSecret', t.namespace, t.name) AND e.facts->'ready' = 'true'
            AND e.facts->'sealed' @> jsonb_build_array(jsonb_build_object('digest', t.digest))
    )
"""  # noqa: S608

# Clusters that serve one certificate, or ceased to, without a finding that says so, or with one that should go.
SHARING = """
SELECT s.cluster_id FROM (
    SELECT r.cluster_id, EXISTS (
        SELECT 1 FROM monitoring_servedcertificate o JOIN monitoring_resource e ON e.cluster_id = o.cluster_id
            AND e.kind = 'SealingCertificate' AND e.facts->>'sha256' = o.sha256
        WHERE o.sha256 = r.facts->>'sha256' AND o.cluster_id <> r.cluster_id) AS shared
    FROM monitoring_resource r WHERE r.kind = 'SealingCertificate'
) s JOIN monitoring_clusterstate c USING (cluster_id)
GROUP BY s.cluster_id, c.findings
HAVING bool_or(s.shared) <> (c.findings @> '[{"rule": "cluster-certificate-shared"}]')
"""


def cursors(cluster_ids: Sequence[int], now: datetime) -> dict[int, dict[str, ReadCursor]]:
    """By cluster and kind: where the next delta may start and which fingerprints are known. Two statements."""
    params: dict[str, Any] = {"cluster_ids": list(cluster_ids), "events_from": now - EVENTS_LIVE}
    found: dict[int, dict[str, ReadCursor]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINTS, params)
        fingerprints = {(cluster_id, kind): _unpack(packed) for cluster_id, kind, packed in cursor.fetchall()}
        cursor.execute(VERSIONS, params)
        versions = {(cluster_id, kind): version for cluster_id, kind, version in cursor.fetchall()}
    for cluster_id, kind in fingerprints.keys() | versions.keys():
        found[cluster_id][kind] = ReadCursor(
            resource_version=versions.get((cluster_id, kind), ""),
            known=fingerprints.get((cluster_id, kind), frozenset()),
        )
    return found


def _unpack(packed: bytes) -> frozenset[int]:
    numbers = array("q", bytes(packed))
    if byteorder == "little":  # int8send is big-endian
        numbers.byteswap()
    return frozenset(numbers)


def rows(
    cluster_id: int, keys: Iterable[ResourceKey], fingerprints: Mapping[str, frozenset[int]]
) -> dict[ResourceKey, Known]:
    """The recorded rows of these keys, and those with these fingerprints by kind. One statement."""
    wanted = [{"kind": key.kind, "namespace": key.namespace, "name": key.name} for key in keys]
    missing = [{"kind": kind, "fingerprint": value} for kind, values in fingerprints.items() for value in values]
    if not wanted and not missing:
        return {}
    found = _fetch(ROWS, cluster_id, keys=as_json(wanted), fingerprints=as_json(missing))
    return {row.key: row for row in found}


def clusters_to_recheck(now: datetime) -> list[int]:
    """Clusters with something that the clock may have changed."""
    with connection.cursor() as cursor:
        cursor.execute(CLUSTERS_TO_RECHECK, {"now": now})
        return [cluster_id for (cluster_id,) in cursor.fetchall()]


def make_due(cluster_id: int, now: datetime) -> int:
    """Let everything of a cluster be judged again; return the number of resources. Its lease row must be locked."""
    with connection.cursor() as cursor:
        params: dict[str, Any] = {"cluster_id": cluster_id, "now": now}
        cursor.execute(
            "UPDATE monitoring_clusterstate SET recheck_at = %(now)s WHERE cluster_id = %(cluster_id)s", params
        )
        cursor.execute("UPDATE monitoring_resource SET recheck_at = %(now)s WHERE cluster_id = %(cluster_id)s", params)
        return int(cursor.rowcount)


def due(cluster_id: int, now: datetime, *, fresh_from: datetime, limit: int) -> list[Known]:
    """Rows whose verdict the clock may have changed and whose kind is freshly known, longest due first."""
    return _fetch(DUE, cluster_id, now=now, fresh_from=fresh_from, limit=limit)


def dependents(cluster_id: int, keys: Iterable[ResourceKey]) -> list[Known]:
    """Rows to judge again because one of these keys changed: what refers to a store, class, pod, node or target."""
    return _fetch_keys(DEPENDENTS, cluster_id, keys)


def clusters_concerned() -> list[int]:
    """Clusters of which another cluster's news may change a verdict. Two statements."""
    with connection.cursor() as cursor:
        cursor.execute(SHARING)
        found = {cluster_id for (cluster_id,) in cursor.fetchall()}
        cursor.execute(CONCERNED, {"cluster_id": None})
        return sorted(found | {row[-1] for row in cursor.fetchall()})


def concerned(cluster_id: int, limit: int) -> list[Known]:
    """Rows of this cluster whose verdict another cluster's news may change."""
    with connection.cursor() as cursor:
        cursor.execute(f"{CONCERNED} LIMIT %(limit)s", {"cluster_id": cluster_id, "limit": limit})
        return [known_row(row[:-1]) for row in cursor.fetchall()]


def parents(cluster_id: int, children: Iterable[ResourceKey]) -> list[Known]:
    """Rows of the cluster-wide parents that made these ExternalSecrets or PushSecrets."""
    return _fetch_keys(PARENTS, cluster_id, children)


def of_kinds(cluster_id: int, kinds: Iterable[str]) -> list[Known]:
    """All rows of these kinds."""
    return _fetch(OF_KINDS, cluster_id, kinds=list(kinds))


def _fetch_keys(sql: str, cluster_id: int, keys: Iterable[ResourceKey]) -> list[Known]:
    wanted = [key._asdict() for key in keys]
    return _fetch(sql, cluster_id, keys=as_json(wanted)) if wanted else []


def _fetch(sql: str, cluster_id: int, **params: Any) -> list[Known]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"cluster_id": cluster_id, **params})
        return [known_row(row) for row in cursor.fetchall()]


def as_json(value: object) -> str:
    """JSON for a statement's parameter. Postgres cannot store the character U+0000, so it is left out."""
    text = msgspec.json.encode(value).decode()
    return NUL.sub(r"\1", text) if "\\u0000" in text else text


def known_row(row: tuple[Any, ...]) -> Known:
    id_, kind, namespace, name, uid, fingerprint, created_at, first_seen_at, health, since, *rest = row
    findings, lints, facts, recheck_at, due_at, drift_digest = rest
    return Known(
        id=id_,
        key=ResourceKey(kind, namespace, name),
        uid=uid,
        fingerprint=fingerprint,
        created_at=created_at,
        first_seen_at=first_seen_at,
        health=Health(health),
        since=since,
        findings=decoded(findings),
        lints=decoded(lints),
        facts=decoded(facts),
        recheck_at=recheck_at,
        due_at=due_at,
        drift_digest=drift_digest,
    )


def decoded(value: Any) -> Any:
    # Django switches psycopg's own jsonb loader off, so that its JSONField can decode: raw cursors get text.
    return msgspec.json.decode(value) if isinstance(value, (str, bytes)) else value
