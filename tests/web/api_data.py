"""Rows for tests of the API, and a client that has a token."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from clusters.models import Cluster
from monitoring.api.models import ApiToken
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import ClusterState, Collection, Cursor, HealthCount, Lease, Reference, Resource, Transition

FACTS = {
    "ready": False,
    "reason": "SecretSyncedError",
    "message": "could not get secret data from provider",
    "interval": "1h0m0s",
    "policy": "Periodic",
    "store": "ClusterSecretStore vault",
    "target": "db-password",
    "synced_version": "3-abc",
}
FINDING = {
    "rule": "es-failing",
    "severity": "critical",
    "health": Health.FAILING,
    "summary": "The secret cannot be refreshed.",
    "cause": "permission denied",
}


def client_for(*, staff: bool = False, name: str = "pipeline", days: int = 1) -> Client:
    """A client that sends a token."""
    user = User.objects.create_user(username=name, is_staff=staff)
    _, token = ApiToken.objects.create(user, expiry=timedelta(days=days), name=name)
    return Client(headers={"Authorization": f"Token {token}"})


def add_cluster(name: str, now: datetime, *, read_at: datetime | None = None, **fields: Any) -> Cluster:
    """A cluster that was read completely at `read_at` (default: now)."""
    read_at = read_at or now
    cluster = Cluster.objects.create(
        name=name, api_url=f"https://{name}.test:6443", created_at=now, updated_at=now, **fields
    )
    Lease.objects.create(cluster=cluster, due_at=now + timedelta(minutes=1))
    ClusterState.objects.create(
        cluster=cluster, outcome="complete", collected_at=read_at, answered_at=read_at, complete_at=read_at
    )
    for kind in JUDGED_KINDS:
        Cursor.objects.create(
            cluster=cluster, kind=kind, outcome="complete", read_at=read_at, attempted_at=read_at, since=read_at
        )
    Collection.objects.create(cluster=cluster, started_at=read_at, finished_at=read_at, result="complete", added=1)
    return cluster


def add_resource(
    cluster: Cluster, name: str, now: datetime, *, health: Health = Health.FAILING, kind: str = "ExternalSecret"
) -> Resource:
    row = Resource.objects.create(
        cluster=cluster,
        kind=kind,
        namespace="payments",
        name=name,
        uid=f"uid-{name}",
        fingerprint=1,
        created_at=now,
        first_seen_at=now,
        health=health,
        since=now - timedelta(hours=1),
        findings=[FINDING] if health == Health.FAILING else [],
        facts=FACTS,
        refreshed_at=now - timedelta(hours=2),
        due_at=now - timedelta(hours=1),
    )
    Reference.objects.create(
        resource=row,
        cluster=cluster,
        relation="store",
        target_kind="ClusterSecretStore",
        target_namespace="",
        target_name="vault",
    )
    Transition.objects.create(
        at=now,
        cluster=cluster,
        resource_id=row.pk,
        kind=kind,
        namespace="payments",
        name=name,
        uid=row.uid,
        from_health=None,
        to_health=health,
        findings=row.findings,
    )
    count, _ = HealthCount.objects.get_or_create(cluster=cluster, kind=kind, health=health, defaults={"count": 0})
    count.count += 1
    count.save()
    return row
