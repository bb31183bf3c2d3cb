"""Causes against a real kube-apiserver: one store, 200 readers, one cause; a stopped controller; a poison object."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from clusters.models import Cluster
from monitoring.models import ClusterState, Resource, Transition
from tests.envtest.client import apply
from tests.envtest.server import ApiServer
from tests.integration.whole_way import collect, register

pytestmark = pytest.mark.django_db
READERS = 200
CAUSE = "dial tcp 192.0.2.1:8200: connect: connection refused"


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def condition(status: str, reason: str, message: str, since: datetime) -> list[dict[str, str]]:
    return [
        {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": stamp(since),
        }
    ]


def store(now: datetime, *, ready: bool) -> dict[str, Any]:
    told = (
        ("True", "Valid", "store validated")
        if ready
        else ("False", "InvalidProviderConfig", "unable to validate store")
    )
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "vault", "namespace": "shop"},
        "spec": {"provider": {"vault": {"server": "https://vault.example.com", "path": "kv", "version": "v2"}}},
        "status": {"conditions": condition(*told, now)},
    }


def reader(number: int, refreshed: datetime, *, ready: bool, interval: str = "1h") -> dict[str, Any]:
    failed = ("False", "SecretSyncedError", "could not get secret data from provider")
    told = ("True", "SecretSynced", "secret synced") if ready else failed
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": f"app-{number:03}", "namespace": "shop"},
        "spec": {
            "refreshInterval": interval,
            "secretStoreRef": {"kind": "SecretStore", "name": "vault"},
            "data": [{"secretKey": "a", "remoteRef": {"key": f"team/app-{number:03}"}}],
        },
        "status": {"refreshTime": stamp(refreshed), "conditions": condition(*told, refreshed)},
    }


def event(kind: str, name: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason.lower()}", "namespace": "shop"},
        "involvedObject": {"apiVersion": "external-secrets.io/v1", "kind": kind, "namespace": "shop", "name": name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": "external-secrets"},
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }


def controller() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "external-secrets",
            "namespace": "external-secrets",
            "labels": {"app.kubernetes.io/name": "external-secrets"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "eso"}},
            "template": {
                "metadata": {"labels": {"app": "eso"}},
                "spec": {"containers": [{"name": "eso", "image": "ghcr.io/external-secrets/external-secrets:v2.1.0"}]},
            },
        },
        "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1},
    }


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def cluster(real_api_server: ApiServer) -> Cluster:
    made = register("real", url=real_api_server.url, ca_pem=real_api_server.ca_pem, token=real_api_server.token)
    made.secret_namespaces = ["default"]  # there are no target Secrets in shop, and nobody is to miss them
    made.save()
    return made


@pytest.fixture
def api(client: Client) -> Iterator[Client]:
    client.force_login(User.objects.create_user("ana"))
    return client  # type: ignore[return-value]


def causes(api: Client) -> list[dict[str, Any]]:
    answer = api.get("/api/v1/causes/")
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_broken_store_is_one_cause_with_all_its_readers_until_it_recovers(
    real_api_server: ApiServer, cluster: Cluster, api: Client, now: datetime
) -> None:
    failing = [reader(number, now - timedelta(minutes=20), ready=False) for number in range(READERS)]
    told = [
        event(
            "ExternalSecret",
            o["metadata"]["name"],
            "UpdateFailed",
            '(key: x), err: SecretStore "vault" is not ready',
            now,
        )
        for o in failing[:150]
    ]
    broken = store(now - timedelta(minutes=21), ready=False)
    apply(
        real_api_server,
        [controller(), broken, event("SecretStore", "vault", "InvalidProviderConfig", CAUSE, now), *failing, *told],
    )
    collect(cluster)
    (cause,) = causes(api)
    assert (cause["resources"], cause["clusters"], cause["cause"]) == (READERS + 1, ["real"], CAUSE)
    assert (cause["cause_class"], cause["subject"]) == ("provider-unreachable", "shop/vault")
    rows = api.get("/api/v1/resources/", {"signature": cause["signature"], "limit": "500"}).json()["results"]
    assert len(rows) == READERS + 1

    apply(real_api_server, [store(now, ready=True), *(reader(number, now, ready=True) for number in range(READERS))])
    collect(cluster)
    assert causes(api) == []
    assert api.get(f"/api/v1/causes/{cause['signature']}/").status_code == 404
    steps = (
        Transition.objects.filter(kind="ExternalSecret").order_by("id").values_list("name", "from_health", "to_health")
    )
    for number in range(READERS):
        assert [step[1:] for step in steps if step[0] == f"app-{number:03}"] == [(None, 5), (5, 0)]


def test_a_stopped_controller_is_one_finding_and_silent_staleness_of_each(
    real_api_server: ApiServer, cluster: Cluster, api: Client, now: datetime
) -> None:
    late = [reader(number, now - timedelta(hours=5), ready=True) for number in range(READERS)]
    apply(real_api_server, [controller(), store(now, ready=True), *late])
    collect(cluster)
    (cause,) = causes(api)
    assert (cause["rule"], cause["resources"], cause["about_clusters"]) == (
        "cluster-controller-stopped",
        READERS,
        ["real"],
    )
    assert "#6053" in cause["headline"]
    assert Resource.objects.filter(findings__contains=[{"rule": "es-silent-stale"}]).count() == READERS


def test_a_poison_object_is_named_and_explains_the_rest(
    real_api_server: ApiServer, cluster: Cluster, api: Client, now: datetime
) -> None:
    late = [reader(number, now - timedelta(hours=5), ready=True) for number in range(20)]
    poison = reader(999, now, ready=True, interval="1d")
    del poison["status"]
    apply(real_api_server, [controller(), store(now, ready=True), *late, poison])
    collect(cluster)
    (cause,) = causes(api)
    assert (cause["rule"], cause["resources"]) == ("cluster-poison-object", 21)
    assert "ExternalSecret shop/app-999" in cause["headline"]
    assert "delete externalsecret app-999" in cause["hint"]
    page = api.get("/").content.decode()
    assert page.index("ExternalSecret shop/app-999") < page.index("Clusters <small>")
    assert {finding["rule"] for finding in ClusterState.objects.get().findings} >= {"cluster-poison-object"}
