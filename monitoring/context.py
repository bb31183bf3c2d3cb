"""What rules may see beside their resource, put together in bulk: a fixed number of statements per cluster.

What a snapshot has just brought goes before what is recorded, so that a resource is judged by the newest state of
its store, class, pod and siblings.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from clusters.facts import (
    ClassFacts,
    Facts,
    MountFacts,
    PodFacts,
    RefreshedFacts,
    Relation,
    ResourceKey,
    SealedSecretFacts,
    StoreFacts,
    facts_from_json,
)
from clusters.kinds import SUPPORTING_KINDS
from clusters.models import Cluster
from clusters.observations import EventNote, Observation
from monitoring import lateness, memory
from monitoring.families import ATTACHED_KINDS
from monitoring.health import Health
from monitoring.known import as_json, decoded
from monitoring.rules.base import Child, ClusterContext, Context, Newest, Workload
from monitoring.rules.thresholds import Thresholds, of_cluster

CLASS_KIND = "SecretProviderClass"
# Of which a cluster is judged as a whole. Secrets and generators may be thousands, and are looked at one by one.
CLUSTER_KINDS = tuple(kind for kind in SUPPORTING_KINDS if kind not in ATTACHED_KINDS)
PODS_PER_CLASS = 200  # whose Events a class is judged by: what keeps its Secret from being made happens in each of them
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

# Mounts of these classes and pods.
SIBLINGS = """
SELECT DISTINCT ON (r.id) r.kind, r.namespace, r.name, r.facts FROM monitoring_reference f
JOIN monitoring_resource r ON r.id = f.resource_id
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
    ON (f.target_kind, f.target_namespace, f.target_name) = (k.kind, k.namespace, k.name)
WHERE f.cluster_id = %(cluster_id)s AND f.relation IN ('class', 'pod') AND r.kind = 'SecretProviderClassPodStatus'
"""

NEIGHBOURS = """
SELECT r.kind, r.namespace, r.name, f.target_name FROM monitoring_reference f
JOIN monitoring_resource r ON r.id = f.resource_id
JOIN json_to_recordset(%(keys)s) AS k(kind text, namespace text, name text)
    ON (f.target_kind, f.target_namespace, f.target_name) = (k.kind, k.namespace, k.name)
WHERE f.cluster_id = %(cluster_id)s AND f.relation = 'target' AND r.kind = 'SecretProviderClass'
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

QUEUE_LAG = "SELECT queue_lag_s FROM monitoring_clusterstate WHERE cluster_id = %(cluster_id)s"

# A kind that failed to be read this time is still known while its last complete reading is fresh.
READABLE = """
SELECT kind FROM monitoring_cursor
WHERE cluster_id = %(cluster_id)s AND outcome IN ('complete', 'delta', 'failed') AND read_at >= %(fresh_from)s
"""


def related_keys(key: ResourceKey, facts: Facts) -> tuple[ResourceKey, ...]:
    """The watched resources whose facts count for judging this one, see `Context.related`."""
    if isinstance(facts, RefreshedFacts):
        return (*facts.stores, ResourceKey("Secret", key.namespace, facts.target)) if facts.target else facts.stores
    if isinstance(facts, SealedSecretFacts):
        return (ResourceKey("Secret", key.namespace, facts.target),)
    if isinstance(facts, ClassFacts):
        return secret_keys(key, facts)
    if isinstance(facts, MountFacts):
        return (class_key(key, facts), node_key(facts.node), ResourceKey("Pod", key.namespace, facts.pod))
    if isinstance(facts, PodFacts):
        classes = (ResourceKey(CLASS_KIND, key.namespace, mount.class_name) for mount in facts.mounts)
        return (*classes, node_key(facts.node))
    return ()


def secret_keys(key: ResourceKey, facts: ClassFacts) -> tuple[ResourceKey, ...]:
    """The Secrets that a class makes."""
    return tuple(ResourceKey("Secret", key.namespace, name) for name in facts.secret_names)


def node_key(node: str) -> ResourceKey:
    return ResourceKey("CSINode", "", node)


def sibling_keys(key: ResourceKey, facts: Facts) -> tuple[ResourceKey, ...]:
    """Whose mounts are the siblings: a mount's class, a class itself, a pod itself."""
    if isinstance(facts, MountFacts):
        return (class_key(key, facts),)
    return (key,) if isinstance(facts, (ClassFacts, PodFacts)) else ()


def class_key(mount: ResourceKey, facts: MountFacts) -> ResourceKey:
    return ResourceKey(CLASS_KIND, mount.namespace, facts.class_name)


def event_keys(key: ResourceKey, facts: Facts, siblings: Sequence[MountFacts]) -> list[ResourceKey]:
    """Whose Events tell the cause: neither a mount nor a class has any of its own, their pods have."""
    if isinstance(facts, MountFacts):
        return [ResourceKey("Pod", key.namespace, facts.pod)]
    if isinstance(facts, ClassFacts):
        return list(dict.fromkeys(ResourceKey("Pod", key.namespace, mount.pod) for mount in siblings[:PODS_PER_CLASS]))
    return [key]


def digests(facts: Facts) -> tuple[str, ...]:
    """Of the ciphertexts in a SealedSecret."""
    if not isinstance(facts, SealedSecretFacts):
        return ()
    return tuple(item.digest for item in facts.sealed if item.digest)


def unsealable(observations: Iterable[Observation]) -> list[str]:
    """Digests of all SealedSecrets that are not synced."""
    return [
        digest
        for o in observations
        if isinstance(o.facts, SealedSecretFacts) and o.facts.ready is False
        for digest in digests(o.facts)
    ]


def thresholds_of(cluster: Cluster) -> Thresholds:
    return of_cluster(cluster.labels, settings.THRESHOLDS, settings.THRESHOLDS_BY_LABEL)


def parent_keys(observation: Observation) -> list[ResourceKey]:
    return [target for relation, target in observation.references if relation == Relation.PARENT]


class Overlay:
    """One cluster's recorded knowledge with a snapshot's news laid over it."""

    def __init__(
        self,
        cluster: Cluster,
        news: Iterable[Observation],
        removed: Iterable[ResourceKey],
        now: datetime,
        offset: timedelta = timedelta(0),
    ):
        self.cluster = cluster
        self.news = {observation.key: observation for observation in news}
        self.removed = frozenset(removed)
        self.now = now
        self.offset = offset  # the cluster's clock minus ours

    def cluster_context(self) -> ClusterContext:
        """What is known of the cluster for judging its resources. Five statements. Its cursors must be recorded.

        Rows of a kind that cannot be read any more tell nothing: findings must not outlive our knowledge.
        """
        fresh_from = self.now - self.cluster.freshness_limit
        namespaces = self.cluster.secret_namespaces
        readable = frozenset(kind for (kind,) in self._fetch(READABLE, {"fresh_from": fresh_from}))
        found: dict[ResourceKey, Workload] = {}
        kinds = [kind for kind in CLUSTER_KINDS if kind in readable]
        for kind, namespace, name, created_at, facts in self._fetch(SUPPORTING, {"kinds": kinds}):
            key = ResourceKey(kind, namespace, name)
            found[key] = Workload(key=key, facts=facts_from_json(kind, decoded(facts)), created_at=created_at)
        for key, news in self.news.items():
            if key.kind in CLUSTER_KINDS:
                found[key] = Workload(key=key, facts=news.facts, created_at=news.created_at)
        supporting: dict[str, list[Workload]] = defaultdict(list)
        for key, workload in found.items():
            if key not in self.removed:
                supporting[key.kind].append(workload)
        ((lag,),) = self._fetch(QUEUE_LAG, {}) or ((0,),)
        return ClusterContext(
            queue_lag=lateness.rounded(timedelta(seconds=lag)),
            cluster_id=self.cluster.pk,
            name=self.cluster.name,
            labels=self.cluster.labels,
            thresholds=thresholds_of(self.cluster),
            secret_namespaces=frozenset(namespaces) if namespaces else None,
            certificates=memory.certificates(self.cluster.pk),
            keys=memory.keys(self.cluster.pk),
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
        """A context for each observation. `judged` are verdicts of this very step (for parents). Nine statements."""
        observations = list(observations)
        related = self._related({key for o in observations for key in related_keys(o.key, o.facts)})
        siblings = self._siblings(observations)
        broken = {key for key, facts in related.items() if isinstance(facts, StoreFacts) and facts.ready is False}
        events = self._events({key for o in observations for key in self._event_keys(o, siblings)} | broken)
        neighbours = self._neighbours(observations)
        newest = self._newest(observations, related)
        elsewhere = memory.sealed_elsewhere(self.cluster.pk, unsealable(observations))
        first_sealed = memory.first_sealed(digest for o in observations for digest in digests(o.facts))
        children = self._children([o.key for o in observations if o.key.kind in PARENT_KINDS], judged)
        return {
            o.key: Context(
                cluster=shared,
                related={key: related[key] for key in related_keys(o.key, o.facts) if key in related},
                events=_newest_first(events, self._event_keys(o, siblings)),
                store_events={key: tuple(events.get(key, ())) for key in related_keys(o.key, o.facts) if key in broken},
                siblings=_siblings_of(o, siblings),
                children=tuple(children.get((o.key.kind, o.key.name), ())),
                neighbours=neighbours.get(o.key, ()),
                newest=newest.get(o.key, {}),
                sealed_elsewhere={
                    digest: others
                    for digest in digests(o.facts)
                    if (others := tuple(other for other in elsewhere.get(digest, ()) if not other.is_at(o.key)))
                },
                first_sealed={digest: first_sealed[digest] for digest in digests(o.facts) if digest in first_sealed},
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
        wanted = {key for o in observations for key in sibling_keys(o.key, o.facts)}
        mounts: dict[ResourceKey, MountFacts] = {}
        for kind, namespace, name, facts in self._fetch_keys(SIBLINGS, wanted):
            key = ResourceKey(kind, namespace, name)
            mounts[key] = facts_from_json(kind, decoded(facts))  # type: ignore[assignment]
        mounts |= {key: news.facts for key, news in self.news.items() if isinstance(news.facts, MountFacts)}
        found: dict[ResourceKey, list[MountFacts]] = defaultdict(list)
        for key, mount in mounts.items():
            if key not in self.removed:
                found[class_key(key, mount)].append(mount)
                found[ResourceKey("Pod", key.namespace, mount.pod)].append(mount)
        return {key: tuple(found[key]) for key in wanted if key in found}

    @staticmethod
    def _event_keys(o: Observation, siblings: Mapping[ResourceKey, tuple[MountFacts, ...]]) -> list[ResourceKey]:
        return event_keys(o.key, o.facts, siblings.get(o.key, ()))

    def _neighbours(self, observations: list[Observation]) -> dict[ResourceKey, tuple[ResourceKey, ...]]:
        """Other classes of the namespace that make a Secret of the same name."""
        makers: dict[ResourceKey, set[ResourceKey]] = defaultdict(set)
        classes = {o.key: o.facts for o in observations if isinstance(o.facts, ClassFacts)}
        wanted = {secret for key, facts in classes.items() for secret in secret_keys(key, facts)}
        for kind, namespace, name, secret in self._fetch_keys(NEIGHBOURS, wanted):
            maker = ResourceKey(kind, namespace, name)
            if maker not in self.news and maker not in self.removed:
                makers[ResourceKey("Secret", namespace, secret)].add(maker)
        for key, news in self.news.items():
            if isinstance(news.facts, ClassFacts):
                for secret in secret_keys(key, news.facts):
                    makers[secret].add(key)
        return {
            key: tuple(sorted({maker for secret in secret_keys(key, facts) for maker in makers[secret]} - {key}))
            for key, facts in classes.items()
        }

    def _newest(
        self, observations: list[Observation], related: Mapping[ResourceKey, Facts]
    ) -> dict[ResourceKey, Mapping[str, Newest]]:
        sources = {
            o.key: memory.source_of(self.cluster.pk, class_key(o.key, o.facts), related.get(class_key(o.key, o.facts)))
            for o in observations
            if isinstance(o.facts, MountFacts)
        }
        objects = {
            o.key: [item.id for item in o.facts.objects] for o in observations if isinstance(o.facts, MountFacts)
        }
        wanted = [(source, object_id) for key, source in sources.items() for object_id in objects[key]]
        newest = memory.newest(self.cluster.pk, wanted, self.offset)
        return {
            key: {name: found for name in objects[key] if (found := newest.get((source, name)))}
            for key, source in sources.items()
        }

    def _children(
        self, parents: list[ResourceKey], judged: Mapping[ResourceKey, Health]
    ) -> dict[tuple[str, str], list[Child]]:
        if not parents:
            return {}  # the first pass judges the children themselves
        found: dict[tuple[str, str], dict[ResourceKey, Child]] = defaultdict(dict)
        for parent_kind, parent_name, kind, namespace, name, health in self._fetch_keys(CHILDREN, parents):
            key = ResourceKey(kind, namespace, name)
            if key not in self.removed and key not in self.news:  # what is new may have left its parent
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


def _siblings_of(o: Observation, siblings: Mapping[ResourceKey, tuple[MountFacts, ...]]) -> tuple[MountFacts, ...]:
    # The very same tuple for all mounts of a class: rules keep what they computed from it.
    return next((siblings[key] for key in sibling_keys(o.key, o.facts) if key in siblings), ())


def _newest_first(events: Mapping[ResourceKey, list[EventNote]], keys: Sequence[ResourceKey]) -> tuple[EventNote, ...]:
    if len(keys) == 1:
        return tuple(events.get(keys[0], ()))
    found = [event for key in keys for event in events.get(key, ())]
    found.sort(key=lambda event: event.last_at.timestamp() if event.last_at else 0.0, reverse=True)
    return tuple(found[:EVENTS_PER_RESOURCE])


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
