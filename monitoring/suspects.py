"""Notes what may be why something fails: the only writer of Revision, but for `recorder.advance` (served versions).

One statement for all that changed in a collection, and one more if a sealing key is new.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from clusters.facts import FACTS_TYPES, ResourceKey, SealingKeyFacts, facts_from_json
from clusters.observations import Observation
from monitoring.diff import Changes, Known
from monitoring.known import as_json
from monitoring.models import KnownKey
from monitoring.revisions import DEPENDED_ON, WRITTEN, Revised, added_key, recreated, removed, revisions_of

NOTE = """
INSERT INTO monitoring_revision (at, seen_at, cluster_id, kind, namespace, name, what, before, after, by)
SELECT least(at, %(now)s), %(now)s, %(cluster_id)s, kind, namespace, name, what, before, after, by
FROM json_to_recordset(%(rows)s) AS s(
    at timestamptz, kind text, namespace text, name text, what text, before text, after text, by text)
"""

KEY_KINDS = ("SealingKey", "SealingCertificate")
REVISED_KINDS = frozenset(
    kind for kind, facts in FACTS_TYPES.items() if kind in KEY_KINDS or issubclass(facts, (*WRITTEN, *DEPENDED_ON))
)


def note_revisions(cluster_id: int, changes: Changes, now: datetime, offset: timedelta) -> None:
    """Record what this snapshot shows to be written or to run differently. Before `memory` learns of new sealing keys.

    `offset` is the cluster's clock minus ours. A moment in the future, and one that nobody told, is `now`.
    """
    rows = [
        {
            **revised._asdict(),
            **key._asdict(),
            "at": revised.at - offset if revised.at else now,
        }
        for key, revised in (*_of_same(changes), *_of_others(changes), *_of_new_keys(cluster_id, changes.added))
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(NOTE, {"cluster_id": cluster_id, "rows": as_json(rows), "now": now})


Found = Iterator[tuple[ResourceKey, Revised]]


def _of_same(changes: Changes) -> Found:
    for observation in changes.changed:
        if observation.key.kind in REVISED_KINDS:
            before = _facts(changes.known[observation.key])
            yield from ((observation.key, revised) for revised in revisions_of(before, observation.facts))


def _of_others(changes: Changes) -> Found:
    for observation in changes.recreated:
        if observation.key.kind in REVISED_KINDS:
            before = _facts(changes.known[observation.key])
            found = recreated(before, observation.facts, observation.created_at)
            yield from ((observation.key, revised) for revised in found)
    for row in changes.removed:
        if row.key.kind in REVISED_KINDS:
            yield from ((row.key, revised) for revised in removed(_facts(row)))


def _of_new_keys(cluster_id: int, added: tuple[Observation, ...]) -> Found:
    """Keys that are there when a cluster is read first are no news."""
    keys = [o for o in added if isinstance(o.facts, SealingKeyFacts)]
    if keys and KnownKey.objects.filter(cluster_id=cluster_id).exists():
        yield from ((o.key, revised) for o in keys for revised in added_key(o.facts, o.created_at))


def _facts(row: Known) -> Any:
    return facts_from_json(row.key.kind, row.facts)
