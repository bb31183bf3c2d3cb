"""What we remember beyond the newest state of each resource: ciphertexts, mounted versions, certificates, sealing keys.

The only writer of Ciphertext, MountedVersion, ServedCertificate and KnownKey, and their reader for judging. Each
function is one statement, whatever the number of resources.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from clusters.facts import (
    ClassFacts,
    Facts,
    MountFacts,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
)
from clusters.observations import Observation
from monitoring.diff import Known
from monitoring.known import as_json
from monitoring.rules.base import Newest, SeenCertificate, SeenKey, SeenSealed
from monitoring.rules.judgement import signed
from monitoring.rules.staleness import CLOCK_TOLERANCE

ELSEWHERE_PER_CIPHERTEXT = 5

REMEMBER_CIPHERTEXTS = """
INSERT INTO monitoring_ciphertext (cluster_id, namespace, name, digest, first_seen_at)
SELECT DISTINCT %(cluster_id)s::bigint, namespace, name, digest, %(now)s::timestamptz
FROM json_to_recordset(%(rows)s) AS s(namespace text, name text, digest text)
ON CONFLICT DO NOTHING
"""

REMEMBER_VERSIONS = """
INSERT INTO monitoring_mountedversion AS v (source, object_id, version, changed_at, cluster_id)
SELECT DISTINCT ON (source, object_id) source, object_id, version, changed_at, %(cluster_id)s::bigint
FROM json_to_recordset(%(rows)s) AS s(source text, object_id text, version text, changed_at timestamptz)
ORDER BY source, object_id, changed_at DESC, version DESC
ON CONFLICT (source, object_id) DO UPDATE SET
    version = excluded.version, changed_at = excluded.changed_at, cluster_id = excluded.cluster_id
WHERE v.changed_at < excluded.changed_at
"""

REMEMBER_CERTIFICATES = """
INSERT INTO monitoring_servedcertificate (cluster_id, sha256, not_before, first_seen_at, last_seen_at)
SELECT DISTINCT %(cluster_id)s::bigint, sha256, not_before, %(now)s::timestamptz, %(now)s::timestamptz
FROM json_to_recordset(%(rows)s) AS s(sha256 text, not_before timestamptz)
ON CONFLICT (cluster_id, sha256) DO UPDATE SET last_seen_at = excluded.last_seen_at
"""

REMEMBER_KEYS = """
INSERT INTO monitoring_knownkey (cluster_id, namespace, name, uid, created_at, state, gone_at)
SELECT DISTINCT ON (uid) %(cluster_id)s::bigint, namespace, name, uid, created_at, state,
    CASE WHEN gone THEN %(now)s::timestamptz END
FROM json_to_recordset(%(rows)s) AS s(
    namespace text, name text, uid text, created_at timestamptz, state text, gone boolean)
ON CONFLICT (cluster_id, uid) DO UPDATE SET state = excluded.state, gone_at = excluded.gone_at
"""

CLASS_FACTS = """
SELECT r.kind, r.namespace, r.name, r.source FROM monitoring_resource r
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text) USING (kind, namespace, name)
WHERE r.cluster_id = %(cluster_id)s
"""

SEALED_ELSEWHERE = """
SELECT d.digest, e.cluster_id, e.cluster, e.namespace, e.name, e.synced
FROM json_array_elements_text(%(digests)s) AS d(digest)
CROSS JOIN LATERAL (
    SELECT t.cluster_id, c.name AS cluster, t.namespace, t.name, r.facts->'ready' = 'true' AS synced
    FROM monitoring_ciphertext t JOIN clusters_cluster c ON c.id = t.cluster_id
    JOIN monitoring_resource r ON r.cluster_id = t.cluster_id AND r.kind = 'SealedSecret'
        AND r.namespace = t.namespace AND r.name = t.name
        AND r.facts->'sealed' @> jsonb_build_array(jsonb_build_object('digest', t.digest))
    WHERE t.digest = d.digest
    ORDER BY (r.facts->'ready' = 'true') DESC NULLS LAST, t.id LIMIT %(limit)s
) e
"""

FIRST_SEALED = """
SELECT t.digest, min(t.first_seen_at) FROM json_array_elements_text(%(digests)s) AS d(digest)
JOIN monitoring_ciphertext t ON t.digest = d.digest GROUP BY t.digest
"""

NEWEST = """
SELECT v.source, v.object_id, v.version, v.changed_at, c.name, v.cluster_id
FROM json_to_recordset(%(wanted)s) AS w(source text, object_id text)
JOIN monitoring_mountedversion v USING (source, object_id) JOIN clusters_cluster c ON c.id = v.cluster_id
"""

CERTIFICATES = """
SELECT sha256, not_before, first_seen_at, last_seen_at FROM monitoring_servedcertificate
WHERE cluster_id = %(cluster_id)s ORDER BY last_seen_at DESC, id DESC LIMIT 100
"""

KEYS = """
SELECT name, created_at, state, gone_at FROM monitoring_knownkey
WHERE cluster_id = %(cluster_id)s ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 100
"""

# Certificates that this cluster serves now and others do too.
SHARED_CERTIFICATES = """
SELECT mine.facts->>'sha256', array_agg(DISTINCT c.name ORDER BY c.name) FROM monitoring_resource mine
JOIN monitoring_servedcertificate s ON s.sha256 = mine.facts->>'sha256' AND s.cluster_id <> mine.cluster_id
JOIN monitoring_resource theirs ON theirs.cluster_id = s.cluster_id AND theirs.kind = 'SealingCertificate'
    AND theirs.facts->>'sha256' = s.sha256
JOIN clusters_cluster c ON c.id = s.cluster_id
WHERE mine.cluster_id = %(cluster_id)s AND mine.kind = 'SealingCertificate' GROUP BY 1
"""


def remember(
    cluster_id: int, observed: Sequence[Observation], removed: Sequence[Known], now: datetime, offset: timedelta
) -> None:
    """Keep what this snapshot teaches beyond the resources' newest state. Five statements at most.

    `offset` is the cluster's clock minus ours: versions of several clusters are compared by our clock.
    """
    _remember_ciphertexts(cluster_id, observed, now)
    _remember_versions(cluster_id, observed, now, offset)
    certificates = [
        {"sha256": o.facts.sha256, "not_before": o.facts.not_before}
        for o in observed
        if isinstance(o.facts, SealingCertificateFacts) and o.facts.sha256
    ]
    _write(REMEMBER_CERTIFICATES, cluster_id, certificates, now)
    _remember_keys(cluster_id, observed, removed, now)


def _remember_ciphertexts(cluster_id: int, observed: Sequence[Observation], now: datetime) -> None:
    rows = [
        {"namespace": o.key.namespace, "name": o.key.name, "digest": item.digest}
        for o in observed
        if isinstance(o.facts, SealedSecretFacts)
        for item in o.facts.sealed
        if item.digest
    ]
    _write(REMEMBER_CIPHERTEXTS, cluster_id, rows, now)


def _remember_versions(cluster_id: int, observed: Sequence[Observation], now: datetime, offset: timedelta) -> None:
    """A change that lies in the future is not kept: nothing could ever be newer."""
    mounts = [(o.key, o.facts) for o in observed if isinstance(o.facts, MountFacts)]
    classes = {key: ResourceKey("SecretProviderClass", key.namespace, facts.class_name) for key, facts in mounts}
    sources = _sources(cluster_id, set(classes.values()), observed)
    rows = [
        {
            "source": sources[classes[key]],
            "object_id": item.id,
            "version": item.version,
            "changed_at": item.changed_at - offset,
        }
        for key, facts in mounts
        for item in facts.objects
        if item.changed_at is not None and item.version and item.changed_at - offset <= now + CLOCK_TOLERANCE
    ]
    _write(REMEMBER_VERSIONS, cluster_id, rows, None)


def _sources(cluster_id: int, classes: set[ResourceKey], observed: Sequence[Observation]) -> dict[ResourceKey, str]:
    news = {o.key: o.facts for o in observed if o.key in classes}
    unknown = [key._asdict() for key in classes if key not in news]
    rows = _fetch(CLASS_FACTS, {"cluster_id": cluster_id, "keys": as_json(unknown)}) if unknown else []
    recorded = {ResourceKey(kind, namespace, name): source or "" for kind, namespace, name, source in rows}
    return {
        key: source_of(cluster_id, key, news[key]) if key in news else recorded.get(key) or _own_source(cluster_id, key)
        for key in classes
    }


def source_of(cluster_id: int, key: ResourceKey, facts: Facts | None) -> str:
    """What versions of this class's objects are comparable with: its source in all clusters, else the class alone."""
    source = facts.source if isinstance(facts, ClassFacts) else ""
    return source or _own_source(cluster_id, key)


def _own_source(cluster_id: int, key: ResourceKey) -> str:
    return signed("class", cluster_id, *key)


def _remember_keys(cluster_id: int, observed: Sequence[Observation], removed: Sequence[Known], now: datetime) -> None:
    rows = [
        {**_key_row(o.key, o.uid, o.created_at), "state": o.facts.state, "gone": False}
        for o in observed
        if isinstance(o.facts, SealingKeyFacts)
    ]
    rows += [
        {**_key_row(row.key, row.uid, row.created_at), "state": row.facts.get("state", ""), "gone": True}
        for row in removed
        if row.key.kind == "SealingKey"
    ]
    _write(REMEMBER_KEYS, cluster_id, rows, now)


def _key_row(key: ResourceKey, uid: str, created_at: datetime | None) -> dict[str, Any]:
    return {"namespace": key.namespace, "name": key.name, "uid": uid, "created_at": created_at}


def certificates(cluster_id: int) -> tuple[SeenCertificate, ...]:
    """Certificates that the cluster served, the one that came last first."""
    return tuple(
        SeenCertificate(sha256=sha256, not_before=not_before, first_seen_at=first, last_seen_at=last)
        for sha256, not_before, first, last in _fetch(CERTIFICATES, {"cluster_id": cluster_id})
    )


def keys(cluster_id: int) -> tuple[SeenKey, ...]:
    """Sealing keys that the cluster has or had, newest first."""
    return tuple(
        SeenKey(name=name, created_at=created_at, state=state, gone_at=gone_at)
        for name, created_at, state, gone_at in _fetch(KEYS, {"cluster_id": cluster_id})
    )


def shared_certificates(cluster_id: int) -> dict[str, tuple[str, ...]]:
    """By digest of a certificate that this cluster serves: the names of other clusters that serve it now."""
    return {sha256: tuple(names) for sha256, names in _fetch(SHARED_CERTIFICATES, {"cluster_id": cluster_id})}


def sealed_elsewhere(cluster_id: int, digests: Iterable[str]) -> dict[str, tuple[SeenSealed, ...]]:
    """By digest of a ciphertext: the SealedSecrets that hold it now, the synced ones first."""
    found: dict[str, list[SeenSealed]] = defaultdict(list)
    for digest, other_id, cluster, namespace, name, synced in _of_digests(SEALED_ELSEWHERE, digests):
        key = ResourceKey("SealedSecret", namespace, name)
        found[digest].append(SeenSealed(cluster=cluster, key=key, synced=bool(synced), here=other_id == cluster_id))
    return {digest: tuple(others) for digest, others in found.items()}


def first_sealed(digests: Iterable[str]) -> dict[str, datetime]:
    """By digest of a ciphertext: when we saw it first, in any cluster."""
    return dict(_of_digests(FIRST_SEALED, digests))


def newest(cluster_id: int, objects: Iterable[tuple[str, str]], offset: timedelta) -> dict[tuple[str, str], Newest]:
    """By source and object id: the version that some mount changed to last, its moment by this cluster's clock."""
    wanted = [{"source": source, "object_id": object_id} for source, object_id in dict.fromkeys(objects)]
    rows = _fetch(NEWEST, {"wanted": as_json(wanted)}) if wanted else []
    return {
        (source, object_id): Newest(
            version=version, changed_at=changed_at + offset, cluster=cluster, here=other_id == cluster_id
        )
        for source, object_id, version, changed_at, cluster, other_id in rows
    }


def _of_digests(sql: str, digests: Iterable[str]) -> list[Any]:
    wanted = list(dict.fromkeys(digests))
    return _fetch(sql, {"digests": as_json(wanted), "limit": ELSEWHERE_PER_CIPHERTEXT}) if wanted else []


def _write(sql: str, cluster_id: int, rows: Sequence[Mapping[str, Any]], now: datetime | None) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"cluster_id": cluster_id, "rows": as_json(rows), "now": now})


def _fetch(sql: str, params: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
