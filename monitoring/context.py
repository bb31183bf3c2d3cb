"""What rules may see beside their resource, put together in bulk: a fixed number of statements per cluster.

What a snapshot has just brought goes before what is recorded, so that a resource is judged by the newest state of
its store, class, pod and siblings.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from clusters.kinds import SUPPORTING_KINDS
from clusters.models import Cluster
from clusters.observations import (
    EventNote,
    Facts,
    MountFacts,
    Observation,
    RefreshedFacts,
    Relation,
    ResourceKey,
    facts_from_json,
)
from monitoring.health import Health
from monitoring.known import as_json, decoded
from monitoring.rules.base import Child, ClusterContext, Context, Workload

EVENTS_PER_RESOURCE = 10  # the newest causes; older ones are history that pages read for themselves

PARENT_KINDS = {"ClusterExternalSecret", "ClusterPushSecret"}

RELATED = """
SELECT r.kind, r.namespace, r.name, r.facts FROM monitoring_resource r
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text) USING (kind, namespace, name)
WHERE r.cluster_id = %(cluster_id)s
"""

NEWEST_EVENTS = """
SELECT e.event_uid, e.fingerprint, e.kind, e.namespace, e.name, e.involved_uid, e.type, e.reason, e.message,
       e.component, e.first_at, e.last_at, e.count
FROM json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
CROSS JOIN LATERAL (
    SELECT * FROM monitoring_event m
    WHERE m.cluster_id = %(cluster_id)s AND m.kind = k.kind AND m.namespace = k.namespace AND m.name = k.name
    ORDER BY m.last_at DESC NULLS LAST LIMIT %(limit)s
) e
"""

SIBLINGS = """
SELECT r.kind, r.namespace, r.name, r.facts FROM monitoring_reference f
JOIN monitoring_resource r ON r.id = f.resource_id
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
    ON (f.target_kind, f.target_namespace, f.target_name) = (k.kind, k.namespace, k.name)
WHERE f.cluster_id = %(cluster_id)s AND f.relation = 'class'
"""

CHILDREN = """
SELECT f.target_kind, f.target_name, r.kind, r.namespace, r.name, r.health FROM monitoring_reference f
JOIN monitoring_resource r ON r.id = f.resource_id
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
    ON (f.target_kind, f.target_name) = (k.kind, k.name)
WHERE f.cluster_id = %(cluster_id)s AND f.relation = 'parent'
"""

SUPPORTING = """
SELECT kind, namespace, name, created_at, facts FROM monitoring_resource
WHERE cluster_id = %(cluster_id)s AND kind = ANY(%(kinds)s)
"""

# A kind that failed to be read this time is still known while its last complete reading is fresh.
READABLE = """
SELECT kind FROM monitoring_cursor
WHERE cluster_id = %(cluster_id)s AND outcome IN ('complete', 'delta', 'failed') AND read_at >= %(fresh_from)s
"""


def related_keys(key: ResourceKey, facts: Facts) -> tuple[ResourceKey, ...]:
    """The watched resources whose facts count for judging this one: its stores, or its class and node."""
    if isinstance(facts, RefreshedFacts):
        return facts.stores
    if isinstance(facts, MountFacts):
        return (class_key(key, facts), ResourceKey("CSINode", "", facts.node))
    return ()


def class_key(mount: ResourceKey, facts: MountFacts) -> ResourceKey:
    return ResourceKey("SecretProviderClass", mount.namespace, facts.class_name)


def event_key(key: ResourceKey, facts: Facts) -> ResourceKey:
    """Whose Events tell the cause: a mount has none of its own, its pod has."""
    return ResourceKey("Pod", key.namespace, facts.pod) if isinstance(facts, MountFacts) else key


def parent_keys(observation: Observation) -> list[ResourceKey]:
    return [target for relation, target in observation.references if relation == Relation.PARENT]


class Overlay:
    """One cluster's recorded knowledge with a snapshot's news laid over it."""

    def __init__(self, cluster: Cluster, news: Iterable[Observation], removed: Iterable[ResourceKey], now: datetime):
        self.cluster = cluster
        self.news = {observation.key: observation for observation in news}
        self.removed = frozenset(removed)
        self.now = now

    def cluster_context(self) -> ClusterContext:
        """What is known of the cluster as a whole. Two statements. Its cursors must be recorded already.

        Rows of a kind that cannot be read any more tell nothing: findings must not outlive our knowledge.
        """
        fresh_from = self.now - self.cluster.freshness_limit
        readable = frozenset(kind for (kind,) in self._fetch(READABLE, {"fresh_from": fresh_from}))
        found: dict[ResourceKey, Workload] = {}
        kinds = [kind for kind in SUPPORTING_KINDS if kind in readable]
        for kind, namespace, name, created_at, facts in self._fetch(SUPPORTING, {"kinds": kinds}):
            key = ResourceKey(kind, namespace, name)
            found[key] = Workload(key=key, facts=facts_from_json(kind, decoded(facts)), created_at=created_at)
        for key, news in self.news.items():
            if key.kind in SUPPORTING_KINDS:
                found[key] = Workload(key=key, facts=news.facts, created_at=news.created_at)
        supporting: dict[str, list[Workload]] = defaultdict(list)
        for key, workload in found.items():
            if key not in self.removed:
                supporting[key.kind].append(workload)
        return ClusterContext(
            poll_interval=timedelta(seconds=self.cluster.interval_seconds),
            readable=readable,
            supporting={kind: tuple(workloads) for kind, workloads in supporting.items()},
        )

    def contexts(
        self,
        observations: Iterable[Observation],
        shared: ClusterContext,
        judged: Mapping[ResourceKey, Health],
    ) -> dict[ResourceKey, Context]:
        """A context for each observation. `judged` are verdicts of this very step (for parents). Four statements."""
        observations = list(observations)
        related = self._related({key for o in observations for key in related_keys(o.key, o.facts)})
        events = self._events({event_key(o.key, o.facts) for o in observations})
        siblings = self._siblings(observations)
        children = self._children([o.key for o in observations if o.key.kind in PARENT_KINDS], judged)
        return {
            o.key: Context(
                cluster=shared,
                related={key: related[key] for key in related_keys(o.key, o.facts) if key in related},
                events=tuple(events.get(event_key(o.key, o.facts), ())),
                siblings=siblings.get(class_key(o.key, o.facts), ()) if isinstance(o.facts, MountFacts) else (),
                children=tuple(children.get((o.key.kind, o.key.name), ())),
            )
            for o in observations
        }

    def _related(self, keys: set[ResourceKey]) -> dict[ResourceKey, Facts]:
        unknown = [key for key in keys if key not in self.news and key not in self.removed]
        found = {key: self.news[key].facts for key in keys if key in self.news}
        for kind, namespace, name, facts in self._fetch_keys(RELATED, unknown):
            found[ResourceKey(kind, namespace, name)] = facts_from_json(kind, decoded(facts))
        return found

    def _events(self, keys: set[ResourceKey]) -> dict[ResourceKey, list[EventNote]]:
        found: dict[ResourceKey, list[EventNote]] = defaultdict(list)
        for row in self._fetch_keys(NEWEST_EVENTS, keys, limit=EVENTS_PER_RESOURCE):
            event = _event_note(row)
            found[event.involved].append(event)
        return found

    def _siblings(self, observations: list[Observation]) -> dict[ResourceKey, tuple[MountFacts, ...]]:
        classes = {class_key(o.key, o.facts) for o in observations if isinstance(o.facts, MountFacts)}
        mounts: dict[ResourceKey, MountFacts] = {}
        for kind, namespace, name, facts in self._fetch_keys(SIBLINGS, classes):
            key = ResourceKey(kind, namespace, name)
            mounts[key] = facts_from_json(kind, decoded(facts))  # type: ignore[assignment]
        mounts |= {key: news.facts for key, news in self.news.items() if isinstance(news.facts, MountFacts)}
        by_class: dict[ResourceKey, list[MountFacts]] = defaultdict(list)
        for key, mount in mounts.items():
            if key not in self.removed:
                by_class[class_key(key, mount)].append(mount)
        return {key: tuple(mounts_of_class) for key, mounts_of_class in by_class.items()}

    def _children(
        self, parents: list[ResourceKey], judged: Mapping[ResourceKey, Health]
    ) -> dict[tuple[str, str], list[Child]]:
        if not parents:
            return {}  # the first pass judges the children themselves
        found: dict[tuple[str, str], dict[ResourceKey, Child]] = defaultdict(dict)
        for parent_kind, parent_name, kind, namespace, name, health in self._fetch_keys(CHILDREN, parents):
            key = ResourceKey(kind, namespace, name)
            if key not in self.removed:
                found[parent_kind, parent_name][key] = Child(key=key, health=judged.get(key, Health(health)))
        for key, news in self.news.items():
            for parent in parent_keys(news):
                found[parent.kind, parent.name][key] = Child(key=key, health=judged[key])
        return {parent: list(children.values()) for parent, children in found.items()}

    def _fetch_keys(self, sql: str, keys: Iterable[ResourceKey], **params: Any) -> list[Any]:
        wanted = [key._asdict() for key in keys]
        return self._fetch(sql, {"keys": as_json(wanted), **params}) if wanted else []

    def _fetch(self, sql: str, params: Mapping[str, Any]) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"cluster_id": self.cluster.pk, **params})
            rows: list[Any] = cursor.fetchall()
        return rows


def _event_note(row: tuple[Any, ...]) -> EventNote:
    uid, fingerprint, kind, namespace, name, involved_uid, type_, reason, message, component, first, last, count = row
    return EventNote(
        uid=uid,
        fingerprint=fingerprint,
        involved=ResourceKey(kind, namespace, name),
        involved_uid=involved_uid,
        type=type_,
        reason=reason,
        message=message,
        component=component,
        first_at=first,
        last_at=last,
        count=count,
    )
