"""The only writer of Rotation and of Resource.rotated_at: finds what a collection tells of rotations, and keeps it.

Nothing is asked of the database unless something in the snapshot can tell of a rotation; then it is at most eight
statements, whatever the number of resources. To be called before the recorder and monitoring.memory write the snapshot.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

from clusters.facts import (
    ClassFacts,
    MountFacts,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
)
from monitoring import memory
from monitoring.context import class_key
from monitoring.known import as_json
from monitoring.ledger.scene import Scene
from monitoring.rotation import external_secrets, mounts, sealed_secrets, sealing_keys
from monitoring.rotation.base import Confidence, Entry, Evidence, Source, merged, newest

__all__ = ["Scene", "keep"]

Entries = Mapping[ResourceKey, Sequence[Entry]]

CLOCK_TOLERANCE = timedelta(minutes=5)  # what lies further in the future is not believed
ENTRIES_PER_OBJECT = 50  # the newest; a class may mount many objects, of which one rotates daily and one never
TEXT_LIMIT = 253
RENEWALS = ResourceKey("SealingKey", "", "")  # all of a cluster: a renewal may be told without the name of its key

ENTRIES = """
SELECT n.id, n.kind, n.namespace, n.name, n.at, n.confidence, n.source, n.object, n.before, n.after
FROM json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
CROSS JOIN LATERAL (
    SELECT r.id, r.kind, r.namespace, r.name, r.at, r.confidence, r.source, r.object, r.before, r.after,
        row_number() OVER (PARTITION BY r.object ORDER BY r.at DESC) AS place
    FROM monitoring_rotation r
    WHERE r.cluster_id = %(cluster_id)s AND r.kind = k.kind
        AND (k.name = '' OR (r.namespace, r.name) = (k.namespace, k.name))
) n WHERE n.place <= %(limit)s ORDER BY n.at DESC
"""

# What the ledger holds already, beyond the entries looked at, must not keep the collection from being recorded.
KEEP = """
WITH staged AS (
    SELECT * FROM json_to_recordset(%(rows)s) AS s(
        id bigint, at timestamptz, kind text, namespace text, name text, object text, confidence smallint, source text,
        before text, after text)
), bettered AS (
    UPDATE monitoring_rotation r SET at = s.at, namespace = s.namespace, name = s.name, confidence = s.confidence,
        source = s.source, before = s.before, after = s.after
    FROM staged s WHERE r.id = s.id AND NOT EXISTS (
        SELECT 1 FROM monitoring_rotation o WHERE o.id <> s.id AND o.cluster_id = %(cluster_id)s
            AND (o.kind, o.namespace, o.name, o.object, o.at) = (s.kind, s.namespace, s.name, s.object, s.at))
), added AS (
    INSERT INTO monitoring_rotation (
        at, seen_at, cluster_id, kind, namespace, name, object, confidence, source, before, after, collection_id)
    SELECT at, %(now)s, %(cluster_id)s, kind, namespace, name, object, confidence, source, before, after,
        %(collection_id)s
    FROM staged WHERE id = 0 ORDER BY at, kind, namespace, name, object
    ON CONFLICT DO NOTHING
)
UPDATE monitoring_resource r SET rotated_at = greatest(r.rotated_at, s.at)
FROM (SELECT kind, namespace, name, max(at) AS at FROM staged GROUP BY kind, namespace, name) s
WHERE r.cluster_id = %(cluster_id)s AND (r.kind, r.namespace, r.name) = (s.kind, s.namespace, s.name)
"""


def keep(scene: Scene, now: datetime, cluster_now: datetime, collection_id: int) -> None:
    """Write the rotations that a snapshot tells of; what tells of a known one raises the confidence in that.

    `now` is by our clock, `cluster_now` by the cluster's.
    """
    if not scene.tells:
        return
    scene.look_around()
    entries = _entries(scene)
    found = [
        *_of_external_secrets(scene),
        *_of_sealed_secrets(scene, entries),
        *_of_mounts(scene, entries, cluster_now),
        *_of_sealing_keys(scene),
    ]
    latest = cluster_now + CLOCK_TOLERANCE
    believed = [msgspec.structs.replace(e, at=cluster_now) if e.at > latest else e for e in found]
    if rows := merged((entry for group in entries.values() for entry in group), believed):
        params: dict[str, Any] = {
            "cluster_id": scene.cluster_id,
            "rows": as_json([_row(entry) for entry in rows]),
            "now": now,
            "collection_id": collection_id,
        }
        with connection.cursor() as cursor:
            cursor.execute(KEEP, params)


def _of_external_secrets(scene: Scene) -> Iterator[Evidence]:
    for key in scene.external_secrets:
        seen = scene.refreshed(key)
        if seen is None:
            continue
        of_target = (external_secrets.of_target(seen), external_secrets.of_write(seen))
        yield from filter(None, of_target)
        for known_event, event in scene.events_of(key):
            yield from external_secrets.of_event(seen, known_event, event)


def _of_sealed_secrets(scene: Scene, entries: Entries) -> Iterator[Evidence]:
    for key in scene.sealed_secrets:
        facts = scene.after(key, SealedSecretFacts)
        if facts is None:
            continue
        events = [event for _, event in scene.events_of(key) if event.last_at]
        last = max(events, key=lambda event: event.last_at, default=None)  # type: ignore[arg-type,return-value]
        if resealed := sealed_secrets.of_seal(key, facts, last, newest(entries.get(key, ()))):
            yield resealed


def _of_mounts(scene: Scene, entries: Entries, cluster_now: datetime) -> Iterator[Evidence]:
    mounted = defaultdict(list)
    for name, facts in scene.all_after(MountFacts) if scene.classes else ():
        mounted[class_key(name, facts)].append(mounts.Mounted(before=scene.before(name, MountFacts), after=facts))
    for key in scene.classes:
        described = scene.after(key, ClassFacts)
        provider = described.provider if described else ""
        yield from mounts.of_class(key, provider, mounted[key], entries.get(key, ()), cluster_now)


def _of_sealing_keys(scene: Scene) -> Iterator[Evidence]:
    if not scene.tells_of_keys:
        return
    there = [
        sealing_keys.Key(key=key, created_at=scene.created_at(key), facts=facts)
        for key, facts in scene.all_after(SealingKeyFacts)
    ]
    if scene.new_keys:
        created = (seen.created_at for seen in memory.keys(scene.cluster_id))
        served = [facts for _, facts in scene.all_after(SealingCertificateFacts)]
        new = [key for key in there if key.key in scene.new_keys]
        yield from sealing_keys.of_keys(new, max((at for at in created if at), default=None), served)
    for key in scene.certificates:
        before, after = scene.recorded(key, SealingCertificateFacts), scene.after(key, SealingCertificateFacts)
        if before and after and (renewed := sealing_keys.of_certificate(key, before, after, there)):
            yield renewed


def _entries(scene: Scene) -> Entries:
    """The rows of the ledger for all that may have rotated, the newest first."""
    keys = {*scene.external_secrets, *scene.sealed_secrets, *scene.classes}
    wanted = [key._asdict() for key in (keys | {RENEWALS} if scene.tells_of_keys else keys)]
    found: dict[ResourceKey, list[Entry]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES, {"cluster_id": scene.cluster_id, "keys": as_json(wanted), "limit": ENTRIES_PER_OBJECT})
        for id_, kind, namespace, name, at, confidence, source, place, before, after in cursor.fetchall():
            evidence = Evidence(
                key=ResourceKey(kind, namespace, name),
                at=at,
                confidence=Confidence(confidence),
                source=Source(source),
                object=place,
                before=before,
                after=after,
            )
            found[evidence.key].append(Entry(id=id_, evidence=evidence))
    return found


def _row(entry: Entry) -> dict[str, Any]:
    evidence = entry.evidence
    texts = {"object": evidence.object, "before": evidence.before, "after": evidence.after}
    return {
        "id": entry.id,
        **evidence.key._asdict(),
        "at": evidence.at,
        "confidence": evidence.confidence,
        "source": evidence.source,
        **{name: text[:TEXT_LIMIT] for name, text in texts.items()},
    }
