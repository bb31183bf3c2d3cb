"""From objects in an API server to rows: the same tests against a real kube-apiserver and the simulated one."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from demo.apiserver import Fleet, running
from monitoring.health import Health
from monitoring.models import Cursor, HealthCount, Resource, Transition
from tests.envtest.client import Client, apply, create_reader, delete
from tests.envtest.server import ApiServer
from tests.integration.whole_way import collect, register

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["simulated", "real"])
def api_server(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    if request.param == "real":
        yield request.getfixturevalue("real_api_server")
        return
    fleet = Fleet()
    cluster = fleet.add("simulated")
    with running(fleet):
        yield ApiServer(url=cluster.url, ca_pem=cluster.ca_pem, token=cluster.token)


def now_text() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def external_secret(name: str = "db", *, ready: bool = True) -> dict:
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "SecretSynced" if ready else "SecretSyncedError",
        "message": "secret synced" if ready else "could not get secret data from provider",
        "lastTransitionTime": now_text(),
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"namespace": "payments", "name": name},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "SecretStore", "name": "vault"},
            "target": {"name": name},
        },
        "status": {
            "refreshTime": now_text(),
            "syncedResourceVersion": "1-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2",
            "conditions": [condition],
        },
    }


def store() -> dict:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"namespace": "payments", "name": "vault"},
        "spec": {"provider": {"vault": {"server": "https://vault.example:8200"}}},
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Valid",
                    "message": "store validated",
                    "lastTransitionTime": now_text(),
                }
            ]
        },
    }


def failure_event(name: str = "db") -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "payments", "name": f"{name}.1"},
        "involvedObject": {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "namespace": "payments",
            "name": name,
        },
        "type": "Warning",
        "reason": "UpdateFailed",
        "message": "error processing spec.data[0] (key: prod/db), err: Secret does not exist",
        "source": {"component": "external-secrets"},
        "firstTimestamp": now_text(),
        "lastTimestamp": now_text(),
        "count": 1,
    }


def steps(name: str = "db") -> list[tuple[int | None, int | None]]:
    return list(Transition.objects.filter(name=name).order_by("id").values_list("from_health", "to_health"))


def test_a_status_change_appears_with_its_cause_after_the_next_collection(api_server: ApiServer) -> None:
    apply(api_server, [store(), external_secret()])
    cluster = register("prod-eu", url=api_server.url, ca_pem=api_server.ca_pem, token=api_server.token)
    (first,) = collect(cluster)
    assert first.result == "complete", (first.message, first.kinds)
    assert Resource.objects.get(name="db").health == Health.HEALTHY

    apply(api_server, [external_secret(ready=False), failure_event()])
    (second,) = collect(cluster)
    assert (second.result, second.changed, second.added, second.removed) == ("complete", 1, 0, 0)
    row = Resource.objects.get(name="db")
    assert row.health == Health.FAILING
    assert "Secret does not exist" in row.findings[0]["cause"]

    apply(api_server, [external_secret()])
    collect(cluster)
    healthy, failing = Health.HEALTHY, Health.FAILING
    assert steps() == [(None, healthy), (healthy, failing), (failing, healthy)]


def test_deleting_removes_and_recreating_is_a_removal_and_an_addition(api_server: ApiServer) -> None:
    apply(api_server, [store(), external_secret(), external_secret("api")])
    cluster = register("prod-eu", url=api_server.url, ca_pem=api_server.ca_pem, token=api_server.token)
    collect(cluster)
    delete(api_server, external_secret("api"))
    (second,) = collect(cluster)
    assert (second.removed, second.changed) == (1, 0)
    assert not Resource.objects.filter(name="api").exists()

    old_uid = Resource.objects.get(name="db").uid
    delete(api_server, external_secret())
    apply(api_server, [external_secret()])
    (third,) = collect(cluster)
    assert (third.added, third.removed) == (1, 1)
    assert Resource.objects.get(name="db").uid != old_uid
    assert steps() == [(None, 0), (0, None), (None, 0)]
    total = sum(HealthCount.objects.filter(kind="ExternalSecret").values_list("count", flat=True))
    assert total == Resource.objects.filter(kind="ExternalSecret").count() == 1


def test_an_unchanged_cluster_changes_nothing(api_server: ApiServer) -> None:
    apply(api_server, [store(), external_secret()])
    cluster = register("prod-eu", url=api_server.url, ca_pem=api_server.ca_pem, token=api_server.token)
    (first,) = collect(cluster)
    (second,) = collect(cluster)
    assert (second.added, second.changed, second.removed, second.transitions) == (0, 0, 0, 0)
    assert second.unchanged == first.added


def test_lists_longer_than_a_page_are_read_to_their_end(api_server: ApiServer) -> None:
    client = Client(api_server)
    client.ensure_namespace("payments")
    for number in range(510):
        secret = external_secret(f"n{number:03d}")
        del secret["status"]
        client.request("POST", "/apis/external-secrets.io/v1/namespaces/payments/externalsecrets", secret)
    cluster = register("prod-eu", url=api_server.url, ca_pem=api_server.ca_pem, token=api_server.token)
    (collection,) = collect(cluster)
    assert collection.result == "complete"
    assert Resource.objects.filter(kind="ExternalSecret").count() == 510


def test_the_shipped_default_tier_reads_everything_but_secrets(real_api_server: ApiServer) -> None:
    apply(real_api_server, [store(), external_secret(ready=False), failure_event()])
    reader = create_reader(real_api_server, "t0")
    cluster = register("prod-eu", url=reader.url, ca_pem=reader.ca_pem, token=reader.token)
    (collection,) = collect(cluster)
    assert collection.result == "complete", (collection.message, collection.kinds)
    outcomes = dict(Cursor.objects.values_list("kind", "outcome"))
    assert {outcomes.pop(kind) for kind in ("SealingKey", "Secret", "Pod", "DriverPod")} == {"forbidden"}
    assert set(outcomes.values()) <= {"complete", "not installed"}, outcomes
    assert "Secret does not exist" in Resource.objects.get(name="db").findings[0]["cause"]
