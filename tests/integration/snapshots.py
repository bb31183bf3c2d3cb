"""Snapshots made by hand: what a collector would bring, for tests of comparing, judging and recording."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from clusters.facts import MountedObject, MountFacts, Reference, RefreshedFacts, Relation, ResourceKey, StoreFacts
from clusters.models import Cluster
from clusters.observations import EventNote, KindResult, Observation, Outcome, Problem, Snapshot
from monitoring import known, leases, pipeline

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
STORE = ResourceKey("SecretStore", "payments", "vault")


def make_cluster(name: str = "prod-eu", **fields: Any) -> Cluster:
    return Cluster.objects.create(
        name=name, api_url=f"https://{name}.example:6443", created_at=NOW, updated_at=NOW, **fields
    )


def external_secret(
    name: str, *, fingerprint: int, uid: str = "", store: ResourceKey = STORE, at: datetime = NOW, **facts: Any
) -> Observation:
    """A healthy ExternalSecret that was refreshed at `at`, hourly; `facts` override."""
    values: dict[str, Any] = {
        "ready": True,
        "reason": "SecretSynced",
        "message": "secret synced",
        "condition_since": at,
        "refreshed_at": at,
        "interval": "1h",
        "store": f"{store.kind} {store.name}",
        "stores": (store,),
        "target": name,
    }
    key = ResourceKey("ExternalSecret", "payments", name)
    return Observation(
        key=key,
        uid=uid or f"uid-{name}",
        fingerprint=fingerprint,
        created_at=NOW - timedelta(days=30),
        facts=RefreshedFacts(**(values | facts)),
        references=(
            Reference(Relation.STORE, store),
            Reference(Relation.TARGET, ResourceKey("Secret", "payments", name)),
        ),
    )


def secret_store(*, fingerprint: int, ready: bool = True) -> Observation:
    reason, message = ("Valid", "store validated") if ready else ("InvalidProviderConfig", "unable to validate store")
    return Observation(
        key=STORE,
        uid="uid-store",
        fingerprint=fingerprint,
        created_at=NOW - timedelta(days=30),
        facts=StoreFacts(ready=ready, reason=reason, message=message, condition_since=NOW, provider="vault"),
    )


def mount(pod: str, version: str, *, fingerprint: int, written_at: datetime, generation: int = 1) -> Observation:
    return Observation(
        key=ResourceKey("SecretProviderClassPodStatus", "search", f"{pod}-search-api"),
        uid=f"uid-{pod}",
        fingerprint=fingerprint,
        created_at=NOW - timedelta(days=2),
        facts=MountFacts(
            generation=generation,
            pod=pod,
            node="node-1",
            class_name="api",
            objects=(MountedObject(id="secret/db", version=version),),
            written_at=written_at,
        ),
        references=(Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "search", "api")),),
    )


def event(involved: ResourceKey, message: str, *, fingerprint: int, at: datetime = NOW) -> EventNote:
    return EventNote(
        uid=f"event-{fingerprint}",
        fingerprint=fingerprint,
        involved=involved,
        involved_uid="",
        type="Warning",
        reason="UpdateFailed",
        message=message,
        component="external-secrets",
        first_at=at,
        last_at=at,
    )


def complete(
    cluster: Cluster,
    observations: Iterable[Observation],
    *,
    kinds: Iterable[str] = (),
    events: Iterable[EventNote] = (),
) -> Snapshot:
    """A complete list of every kind among `observations` and `kinds`; what is already known counts as unchanged."""
    observations = list(observations)
    cursors = known.cursors([cluster.pk], NOW).get(cluster.pk, {})
    results = {}
    for kind in {o.key.kind for o in observations} | set(kinds):
        before = cursors[kind].known if kind in cursors else frozenset()
        mine = [o for o in observations if o.key.kind == kind]
        results[kind] = KindResult(
            kind=kind,
            outcome=Outcome.COMPLETE,
            served_version="v1",
            observations=tuple(o for o in mine if o.fingerprint not in before),
            unchanged=frozenset(o.fingerprint for o in mine) & before,
        )
    if events := tuple(events):
        results["Event"] = KindResult(kind="Event", outcome=Outcome.COMPLETE, events=events)
    return Snapshot(cluster_id=cluster.pk, kinds=results, server_version="v1.36.3")


def failed(cluster: Cluster, problem: Problem) -> Snapshot:
    return Snapshot(cluster_id=cluster.pk, problem=problem)


def apply(cluster: Cluster, snapshot: Snapshot, now: datetime = NOW, holder: UUID | None = None) -> None:
    """Claim the cluster and take the snapshot through the pipeline, as a worker does."""
    fingerprints = {kind: cursor.known for kind, cursor in known.cursors([cluster.pk], NOW).get(cluster.pk, {}).items()}
    holder = holder or uuid4()
    assert leases.claim([cluster.pk], now, holder, hold=timedelta(minutes=1)) == [cluster.pk]
    pipeline.apply(cluster, snapshot, fingerprints, holder, stopped(now))


def stopped(now: datetime) -> pipeline.Watch:
    """A watch on which no time passes."""
    return pipeline.Watch(now, tick=lambda: 0.0)
