"""Rows for tests of the API, and a client that has a token."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.contrib.auth.models import User
from django.test import Client

from clusters.models import Cluster
from monitoring.api.models import ApiToken
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health, Severity
from monitoring.models import ClusterState, Collection, Cursor, Lease, Resource
from monitoring.rules.base import Finding
from tests.web import factories as make

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
FINDING = Finding(
    rule="es-failing",
    severity=Severity.CRITICAL,
    health=Health.FAILING,
    summary="The secret cannot be refreshed.",
    cause="permission denied",
)


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
    """A resource that is shown in its list: with its store, its first transition, and counted."""
    findings = (FINDING,) if health == Health.FAILING else ()
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
        recorded_at=now - timedelta(hours=1),
        findings=msgspec.to_builtins(findings),
        facts=FACTS,
        refreshed_at=now - timedelta(hours=2),
        due_at=now - timedelta(hours=1),
    )
    make.reference(row, "store", "ClusterSecretStore", "vault")
    make.transition(row, health, now)
    make.recount(cluster)
    return row
