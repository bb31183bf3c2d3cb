"""Keys at providers: which are known, what reads them, and which of them waves are looked for.

Two stores of one source lead to the same provider, as far as stores tell; so one key in both is the same key. Of
mounts it is the source of the class, and the object.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from clusters.facts import key_digest
from monitoring.filters.rotations import WaveFilters
from monitoring.queries.rows import fetch

RECENT = timedelta(days=30)
MOST_RECENT = 2000  # rotations that the list of waves looks at
MOST_KEYS = 200  # keys whose readers it loads
CLASS_SOURCE = 16  # hex digits of the source of a class; that of a store has 32
STORES = "('SecretStore', 'ClusterSecretStore')"

OBJECTS = "SELECT object_id FROM monitoring_mountedversion WHERE source = %(source)s"

# The store of a key is what stands before the digest in the name of its reference (clusters.kinds.external_secrets).
RECENTLY = """
WITH newest AS (
    SELECT r.cluster_id, r.kind, r.namespace, r.name, r.object, r.at FROM monitoring_rotation r
    WHERE r.kind IN ('ExternalSecret', 'SecretProviderClass') AND r.at > %(since)s
    ORDER BY r.at DESC, r.id DESC LIMIT %(rotations)s
), rotated AS (
    SELECT o.id, n.kind, n.object, o.source, max(n.at) AS at FROM newest n
    JOIN monitoring_resource o ON (o.cluster_id, o.kind, o.namespace) = (n.cluster_id, n.kind, n.namespace)
        AND o.name BETWEEN n.name AND n.name
    GROUP BY o.id, n.kind, n.object
), read AS (
    SELECT s.source AS source, split_part(f.target_name, '#', 2) AS digest, '' AS object, n.at
    FROM rotated n JOIN monitoring_reference f ON f.resource_id = n.id AND f.relation = 'key'
    JOIN monitoring_resource s ON (s.cluster_id, s.kind, s.namespace)
        = (f.cluster_id, f.target_kind, f.target_namespace)
        AND s.name BETWEEN split_part(f.target_name, '#', 1) AND split_part(f.target_name, '#', 1)
    WHERE n.kind = 'ExternalSecret'
    UNION ALL
    SELECT n.source, '', n.object, n.at FROM rotated n WHERE n.kind = 'SecretProviderClass'
)
SELECT source, digest, object FROM read WHERE source <> ''
GROUP BY source, digest, object ORDER BY max(at) DESC, source, digest, object LIMIT %(most)s
"""

# What resources read; mounts tell by their versions which objects a class has.
READ_BY = """
SELECT f.resource_id, s.source, split_part(f.target_name, '#', 2), ''
FROM monitoring_reference f JOIN monitoring_resource s
    ON (s.cluster_id, s.kind, s.namespace) = (f.cluster_id, f.target_kind, f.target_namespace)
    AND s.name BETWEEN split_part(f.target_name, '#', 1) AND split_part(f.target_name, '#', 1)
WHERE f.resource_id = ANY(%(ids)s) AND f.relation = 'key' AND s.source > ''
UNION
SELECT r.id, r.source, '', v.object_id FROM monitoring_resource r
JOIN monitoring_mountedversion v ON v.source = r.source
    AND r.facts->'objects' ?| ARRAY[v.object_id, regexp_replace(v.object_id, '^.*/', '')]
WHERE r.id = ANY(%(ids)s) AND r.kind = 'SecretProviderClass' AND r.source > ''
ORDER BY 1, 2, 3, 4
"""

NAMED = f"""
SELECT DISTINCT s.source, %(digest)s, '' FROM monitoring_resource s
JOIN monitoring_reference f ON (f.cluster_id, f.target_kind, f.target_namespace, f.target_name, f.relation)
    = (s.cluster_id, s.kind, s.namespace, s.name || '#' || %(digest)s, 'key')
WHERE s.kind IN {STORES} AND s.source > ''
UNION
SELECT v.source, '', v.object_id FROM monitoring_mountedversion v
WHERE %(property)s = '' AND v.object_id IN (%(key)s, 'secret/' || %(key)s)
ORDER BY 1, 2, 3 LIMIT %(most)s
"""  # noqa: S608 - no value is put into the text


class ProviderKey(NamedTuple):
    """A key at a provider: `source` of StoreFacts with a digest of key and property, or of ClassFacts with an object.

    Its address has the digest in both cases; `object` is "" for keys of stores.
    """

    source: str
    digest: str
    object: str = ""

    @classmethod
    def of(cls, source: str, digest: str, object_id: str) -> "ProviderKey":
        return cls(source, digest or key_digest(object_id, ""), object_id)

    @property
    def of_class(self) -> bool:
        return bool(self.object)


def key_at(source: str, digest: str) -> ProviderKey | None:
    """The key that an address names; None if it is of a class of which no mount has such an object. One statement."""
    if len(source) != CLASS_SOURCE:
        return ProviderKey(source, digest)
    found = (object_id for (object_id,) in fetch(OBJECTS, {"source": source}))
    object_id = next((name for name in found if key_digest(name, "") == digest), "")
    return ProviderKey(source, digest, object_id) if object_id else None


def keys_of(resource_ids: Collection[int]) -> dict[int, tuple[ProviderKey, ...]]:
    """By resource: the keys that it reads at providers of which we know the source. One SQL statement."""
    found: dict[int, list[ProviderKey]] = defaultdict(list)
    if resource_ids:
        for resource_id, *key in fetch(READ_BY, {"ids": list(resource_ids)}):
            found[resource_id].append(ProviderKey.of(*key))
    return {resource_id: tuple(keys) for resource_id, keys in found.items()}


def chosen(filters: WaveFilters, now: datetime) -> list[ProviderKey]:
    """The keys that a list of waves asks for, those that rotated last first. One SQL statement. See MOST_KEYS."""
    if filters.resource:
        return list(keys_of([filters.resource]).get(filters.resource, ()))[:MOST_KEYS]
    if filters.key:
        digest = key_digest(filters.key, filters.property)
        params = {"digest": digest, "key": filters.key, "property": filters.property, "most": MOST_KEYS}
        return [ProviderKey.of(*row) for row in fetch(NAMED, params)]
    params = {"since": now - RECENT, "rotations": MOST_RECENT, "most": MOST_KEYS}
    return [ProviderKey.of(*row) for row in fetch(RECENTLY, params)]
