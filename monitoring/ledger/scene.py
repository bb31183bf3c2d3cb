"""What may tell of rotations in one snapshot, what was known of it before, and what stands beside it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection

from clusters.facts import (
    Facts,
    MountFacts,
    RefreshedFacts,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    SecretFacts,
    facts_from_json,
)
from clusters.observations import EventNote, Observation, Outcome, Snapshot
from monitoring import known
from monitoring.context import class_key
from monitoring.diff import Changes, Known
from monitoring.known import as_json
from monitoring.rotation import external_secrets, mounts, sealed_secrets

F = TypeVar("F", bound=Facts)

# Of Secrets that could not be read this time the next reading tells; of those that may not be read, nothing ever will.
TOLD = (Outcome.COMPLETE, Outcome.DELTA, Outcome.FAILED)

# What was known of Events that came again, and the newest one of a resource for a reason.
EVENTS = """
SELECT e.event_uid, e.kind, e.namespace, e.name, e.involved_uid, e.reason, e.first_at, e.last_at, e.count
FROM monitoring_event e WHERE e.cluster_id = %(cluster_id)s AND e.event_uid = ANY(%(uids)s)
UNION
SELECT n.* FROM json_to_recordset(%(wanted)s) AS k(kind text, namespace text, name text, reason text)
CROSS JOIN LATERAL (
    SELECT e.event_uid, e.kind, e.namespace, e.name, e.involved_uid, e.reason, e.first_at, e.last_at, e.count
    FROM monitoring_event e
    WHERE e.cluster_id = %(cluster_id)s AND e.last_at IS NOT NULL
        AND (e.kind, e.namespace, e.name, e.reason) = (k.kind, k.namespace, k.name, k.reason)
    ORDER BY e.last_at DESC LIMIT 1
) n
"""


class Scene:
    """The resources of one collection that may have rotated. `look_around` first, unless nothing `tells` at all."""

    def __init__(self, cluster_id: int, changes: Changes, observed: Sequence[Observation], snapshot: Snapshot) -> None:
        self.cluster_id = cluster_id
        self._observed = {o.key: o for o in observed}
        self._rows: dict[ResourceKey, Known] = dict(changes.known)
        self._removed = {row.key for row in changes.removed}
        self._secrets_tell = "Secret" in snapshot.kinds and snapshot.kinds["Secret"].outcome in TOLD
        self._events = [event for event in _telling(snapshot) if not self._is_new(event.involved)]
        self._known_events: dict[str, EventNote] = {}
        self._events_by_key: dict[ResourceKey, list[EventNote]] = defaultdict(list)
        self._written = {key for key, facts in self._all(SecretFacts) if self._was_written(key, facts)}
        self._recovered = {key for key, facts in self._all(RefreshedFacts) if self._became_ready(key, facts)}
        self._resealed = {key for key, facts in self._all(SealedSecretFacts) if facts.sealed_before}
        self.external_secrets: set[ResourceKey] = set()
        self.sealed_secrets: set[ResourceKey] = set()
        self.classes = {class_key(key, facts) for key, facts in self._all(MountFacts) if self._has_changed(key, facts)}
        self.new_keys = [key for key, _ in self._all(SealingKeyFacts) if self._is_new(key)]
        # Another certificate is another object under the same name.
        self.certificates = [key for key, _ in self._all(SealingCertificateFacts) if key in self._rows]

    @property
    def tells(self) -> bool:
        """Whether anything in the snapshot may tell of a rotation."""
        return self.tells_of_keys or any(
            (self._events, self._written, self._recovered, self._resealed, self.classes),
        )

    @property
    def tells_of_keys(self) -> bool:
        return bool(self.new_keys or self.certificates)

    def look_around(self) -> None:
        """Read what was known of all that may tell, and of what stands beside it. Five statements at most."""
        wanted = [(key, "Updated") for key in self._recovered] + [(key, "Unsealed") for key in self._resealed]
        self._known_events = {e.uid: e for e in _known_events(self.cluster_id, self._events, wanted)}
        for event in (self._known_events | {e.uid: e for e in self._events}).values():
            self._events_by_key[event.involved].append(event)
        involved = {event.involved for event in self._events}
        self._read(involved | self.classes)
        dependents = known.dependents(self.cluster_id, self._written | self.classes)
        self._add(dependents)
        named = involved | self._recovered | {row.key for row in dependents}
        self.external_secrets = {key for key in named if key.kind == "ExternalSecret"}
        self.sealed_secrets = self._resealed | {key for key in involved if key.kind == "SealedSecret"}
        self._read({self._target_key(key) for key in self.external_secrets})
        if self.tells_of_keys:
            self._add(known.of_kinds(self.cluster_id, ("SealingKey", "SealingCertificate")))

    def recorded(self, key: ResourceKey, wanted: type[F]) -> F | None:
        """What was recorded under this name, be it of another object."""
        row = self._rows.get(key)
        facts = facts_from_json(key.kind, row.facts) if row else None
        return facts if isinstance(facts, wanted) else None

    def before(self, key: ResourceKey, wanted: type[F]) -> F | None:
        """What was recorded of the object that is there now; None where it is new."""
        return None if self._is_new(key) else self.recorded(key, wanted)

    def after(self, key: ResourceKey, wanted: type[F]) -> F | None:
        """The newest that is known of what is there now."""
        observation = self._observed.get(key)
        if observation is None:
            return None if key in self._removed else self.recorded(key, wanted)
        return observation.facts if isinstance(observation.facts, wanted) else None

    def all_after(self, wanted: type[F]) -> Iterator[tuple[ResourceKey, F]]:
        """Everything of one type that was read, as it is now."""
        for key in sorted({*self._rows, *self._observed}):
            facts = self.after(key, wanted)
            if facts is not None:
                yield key, facts

    def created_at(self, key: ResourceKey) -> datetime | None:
        return self._thing(key).created_at

    def refreshed(self, key: ResourceKey) -> external_secrets.Refreshed | None:
        """The ExternalSecret with its target; None where it is new, or not known at all."""
        before, after = self.before(key, RefreshedFacts), self.after(key, RefreshedFacts)
        if before is None or after is None:
            return None
        target = self._target(key) if before.target == after.target else None
        return external_secrets.Refreshed(
            key=key, created_at=self.created_at(key), before=before, after=after, target=target
        )

    def events_of(self, key: ResourceKey) -> list[tuple[EventNote | None, EventNote]]:
        """Events of this very object, each with what was known of it before: those of the snapshot, then older ones.

        An Event that came while the object was failing counts as unknown once it is well again.
        """
        uid = self._thing(key).uid
        before = {} if key in self._recovered else self._known_events
        return [(before.get(e.uid), e) for e in self._events_by_key.get(key, ()) if e.involved_uid in ("", uid)]

    def _target(self, key: ResourceKey) -> external_secrets.Target | None:
        name = self._target_key(key)
        after = self.after(name, SecretFacts) if self._secrets_tell else None
        if after is None:
            return None
        before = self.before(name, SecretFacts)
        return external_secrets.Target(created_at=self.created_at(name), before=before, after=after)

    def _target_key(self, key: ResourceKey) -> ResourceKey:
        facts = self.after(key, RefreshedFacts)
        return ResourceKey("Secret", key.namespace, facts.target if facts else "")

    def _thing(self, key: ResourceKey) -> Observation | Known:
        return self._observed.get(key) or self._rows[key]

    def _read(self, keys: set[ResourceKey]) -> None:
        unread = [key for key in keys if key not in self._rows and key not in self._observed]
        self._add(known.rows(self.cluster_id, unread, {}).values())

    def _add(self, rows: Iterable[Known]) -> None:
        for row in rows:
            self._rows.setdefault(row.key, row)

    def _all(self, wanted: type[F]) -> Iterator[tuple[ResourceKey, F]]:
        for key, observation in self._observed.items():
            if isinstance(observation.facts, wanted):
                yield key, observation.facts

    def _is_new(self, key: ResourceKey) -> bool:
        """Whether it is seen for the first time: then nothing explains or excludes a rotation."""
        observation, row = self._observed.get(key), self._rows.get(key)
        return observation is not None and (row is None or row.uid != observation.uid)

    def _was_written(self, key: ResourceKey, facts: SecretFacts) -> bool:
        before = self.before(key, SecretFacts)
        return before is not None and external_secrets.was_written(before, facts)

    def _became_ready(self, key: ResourceKey, facts: RefreshedFacts) -> bool:
        if key.kind != "ExternalSecret" or not facts.ready or self._is_new(key):
            return False
        return self._rows[key].facts.get("ready") is not True

    def _has_changed(self, key: ResourceKey, facts: MountFacts) -> bool:
        before = self.before(key, MountFacts)
        return before is not None and mounts.has_changed(before, facts)


def _telling(snapshot: Snapshot) -> list[EventNote]:
    events = snapshot.kinds["Event"].events if "Event" in snapshot.kinds else ()
    return [event for event in events if external_secrets.is_updated(event) or sealed_secrets.is_unsealed(event)]


def _known_events(
    cluster_id: int, events: Sequence[EventNote], wanted: Sequence[tuple[ResourceKey, str]]
) -> list[EventNote]:
    if not events and not wanted:
        return []
    params: dict[str, Any] = {
        "cluster_id": cluster_id,
        "uids": [event.uid for event in events],
        "wanted": as_json([{**key._asdict(), "reason": reason} for key, reason in wanted]),
    }
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, params)
        return [_known_event(*row) for row in cursor.fetchall()]


def _known_event(
    uid: str,
    kind: str,
    namespace: str,
    name: str,
    involved_uid: str,
    reason: str,
    first_at: datetime | None,
    last_at: datetime | None,
    count: int,
) -> EventNote:
    """Of an Event that we keep, what rotations are told by."""
    return EventNote(
        uid=uid,
        fingerprint=0,
        involved=ResourceKey(kind, namespace, name),
        involved_uid=involved_uid,
        type="Normal",
        reason=reason,
        message="",
        component="",
        first_at=first_at,
        last_at=last_at,
        count=count,
    )
