"""One value that changes in three clusters, each with a real kube-apiserver, one after another."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from clusters.models import Cluster
from monitoring.models import Rotation
from tests.envtest.client import Client as ApiClient
from tests.envtest.client import apply, create_reader
from tests.envtest.server import ApiServer
from tests.integration.whole_way import collect, register

pytestmark = pytest.mark.django_db

NAMES = ("first", "second", "third")
OLD, NEW, OTHER = "ab" * 28, "cd" * 28, "ef" * 28  # as External Secrets writes it: SHA3-224 of the data
SECOND = timedelta(seconds=1)
# After the objects were made, whose creation times a real API server sets itself. Nobody waits for these moments: they
# lie ahead by less than clocks may differ, and past an object's first half minute, in which nothing counts.
ARRIVALS = (40 * SECOND, 60 * SECOND, 100 * SECOND)

ApiServers = Callable[[str], ApiServer]


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(User.objects.create_user("ana"))
    return client


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def store(ready_since: datetime) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Valid", "message": "store validated"}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": "vault"},
        "spec": {"provider": {"vault": {"server": "https://vault.example.com", "path": "kv", "version": "v2"}}},
        "status": {"conditions": [{**ready, "lastTransitionTime": stamp(ready_since)}]},
    }


def secret(value_hash: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "db",
            "namespace": "shop",
            "labels": {"reconcile.external-secrets.io/managed": "true"},
            "annotations": {"reconcile.external-secrets.io/data-hash": value_hash},
        },
    }


def write(server: ApiServer, value_hash: str) -> None:
    """The Secret, without who wrote it when: the API server notes the time of this test, not that of a controller."""
    (written,) = apply(server, [secret(value_hash)])
    nobody: dict[str, Any] = {"metadata": {"managedFields": [{}]}}
    client = ApiClient(server)
    client.request("PATCH", client.path_of(written), nobody, "application/merge-patch+json")


def external_secret(refreshed: datetime) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced"}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "refreshInterval": "30s",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
            "data": [{"secretKey": "password", "remoteRef": {"key": "team/db", "property": "password"}}],
        },
        "status": {
            "refreshTime": stamp(refreshed),
            "conditions": [{**ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }


def updated(at: datetime) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"db.{at:%H%M%S}", "namespace": "shop"},
        "involvedObject": {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "namespace": "shop",
            "name": "db",
        },
        "type": "Normal",
        "reason": "Updated",
        "message": "secret updated",
        "source": {"component": "external-secrets"},
        "firstTimestamp": stamp(at),
        "lastTimestamp": stamp(at),
        "count": 1,
    }


def rotated(real_api_servers: ApiServers, *, secrets: bool) -> tuple[datetime, list[ApiServer], list[Cluster]]:
    """Three clusters that had one value and got another one, one after another; read after each step.

    `secrets`: the credential may read everything, so that metadata of Secrets is read; else it has the tier T0.
    """
    servers = [real_api_servers(name) for name in NAMES]
    readers = servers if secrets else [create_reader(server, "t0") for server in servers]
    now = datetime.now(UTC).replace(microsecond=0)
    for server in servers:
        apply(server, [store(now - timedelta(days=3)), external_secret(now)])
        write(server, OLD)
    clusters = [
        register(name, url=reader.url, ca_pem=reader.ca_pem, token=reader.token)
        for name, reader in zip(NAMES, readers, strict=True)
    ]
    collect(*clusters)
    for server, later in zip(servers, ARRIVALS, strict=True):
        write(server, NEW)
        apply(server, [external_secret(now + later), updated(now + later)])
        collect(*clusters)
    return now, servers, clusters


def the_wave(viewer: Client) -> dict[str, Any]:
    (key,) = viewer.get("/api/v1/waves/").json()["results"]
    found: dict[str, Any] = viewer.get(key["address"]).json()
    assert found["keys"] == [["team/db", "password"]]
    return found


def value_drift(viewer: Client) -> Any:
    (row,) = viewer.get("/api/v1/drift/", {"only": "all", "name": "db"}).json()["results"]
    return row["value_drift"]


def test_metadata_of_secrets_proves_one_wave_with_three_arrivals(real_api_servers: ApiServers, viewer: Client) -> None:
    now, servers, clusters = rotated(real_api_servers, secrets=True)
    rows = Rotation.objects.order_by("at").values_list("cluster__name", "confidence", "source", "at")
    assert list(rows) == [
        (name, Rotation.Confidence.PROVED, Rotation.Source.TARGET, now + later)
        for name, later in zip(NAMES, ARRIVALS, strict=True)
    ]
    wave = the_wave(viewer)
    assert (wave["newest"]["arrivals"], wave["newest"]["by_value"], wave["under_way"]) == (3, True, False)
    delays = {reader["cluster"]: reader["delay_seconds"] for reader in wave["readers"]}
    assert delays == {"first": 0, "second": 20, "third": 60}
    assert value_drift(viewer) == "equal"
    write(servers[2], OTHER)
    collect(*clusters)
    assert value_drift(viewer) == "differ"


def test_events_alone_tell_of_one_wave_and_claim_no_value(real_api_servers: ApiServers, viewer: Client) -> None:
    rotated(real_api_servers, secrets=False)
    rows = Rotation.objects.order_by("at").values_list("cluster__name", "confidence", "source")
    assert list(rows) == [(name, Rotation.Confidence.LIKELY, Rotation.Source.UPDATED) for name in NAMES]
    wave = the_wave(viewer)
    assert (wave["newest"]["arrivals"], wave["newest"]["by_value"]) == (3, False)
    assert value_drift(viewer) == "unknown"
    assert "lags" not in {reader["standing"] for reader in wave["readers"]}
