"""Registering, changing and removing clusters by the API."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from clusters.credentials import Payload, open_sealed
from clusters.models import Cluster, Credential
from monitoring import memory
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import Lease, Resource, Transition
from tests.kubeconfigs import CA, CLIENT, CLIENT_KEY, TOKEN, config
from tests.web import factories as make
from tests.web.api_data import add_cluster, add_resource, client_for

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GOOD = {"name": "prod", "api_url": "https://k8s.test:6443/", "ca_pem": CA, "token": TOKEN}


@pytest.fixture
def staff() -> Client:
    return client_for(staff=True)


def post(client: Client, value: Mapping[str, Any], path: str = "/api/v1/clusters/") -> tuple[int, Any]:
    answer = client.post(path, json.dumps(value), content_type="application/json")
    assert "CANARY" not in answer.content.decode()
    return answer.status_code, answer.json()


def opened(cluster: Cluster) -> Payload:
    return open_sealed(cluster.credential.sealed, settings.CREDENTIAL_PRIVATE_KEY, api_url=cluster.api_url)


def test_a_cluster_is_registered_with_a_token(staff: Client) -> None:
    status, body = post(staff, {**GOOD, "labels": {"region": "eu"}, "interval_seconds": 30})
    assert status == 201
    assert (body["name"], body["api_url"], body["labels"], body["interval_seconds"], body["enabled"]) == (
        "prod",
        "https://k8s.test:6443",
        {"region": "eu"},
        30,
        True,
    )
    assert (body["health"], body["reporting"]) == ("unknown", False)
    cluster = Cluster.objects.get()
    assert opened(cluster) == Payload(api_url="https://k8s.test:6443", token=TOKEN)
    assert cluster.ca_pem == CA


def test_the_interval_is_the_installations_if_none_is_given(staff: Client) -> None:
    assert post(staff, GOOD)[1]["interval_seconds"] == settings.POLL_INTERVAL


def test_a_cluster_is_registered_with_a_client_certificate(staff: Client) -> None:
    value = {key: GOOD[key] for key in ("name", "api_url")}
    assert post(staff, {**value, "client_certificate": CLIENT, "client_key": CLIENT_KEY})[0] == 201
    payload = opened(Cluster.objects.get())
    assert (payload.token, payload.client_certificate, payload.client_key) == ("", CLIENT, CLIENT_KEY)


def test_a_cluster_is_registered_from_a_kubeconfig(staff: Client) -> None:
    status, body = post(staff, {"kubeconfig": yaml.safe_dump(config())})
    assert (status, body["name"]) == (201, "prod-eu")
    assert opened(Cluster.objects.get()).token == TOKEN


def test_a_kubeconfigs_cluster_can_have_another_name(staff: Client) -> None:
    value = {"kubeconfig": yaml.safe_dump(config(name="x" * 80)), "context": "x" * 80, "name": "prod"}
    assert post(staff, value)[1]["name"] == "prod"


def test_one_of_several_contexts_has_to_be_named(staff: Client) -> None:
    value = config()
    value["contexts"] += [{"name": "other", "context": {"cluster": "c", "user": "u"}}]
    kubeconfig = json.dumps(value)
    status, body = post(staff, {"kubeconfig": kubeconfig})
    assert (status, body) == (400, {"errors": {"context": ["is needed, because there are several: prod-eu, other"]}})
    assert post(staff, {"kubeconfig": kubeconfig, "context": "other"})[0] == 201


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "name"),
    "no address": ({"name": "a", "token": TOKEN}, "api_url"),
    "no credential": ({"name": "a", "api_url": "https://a"}, "token"),
    "two credentials": ({**GOOD, "client_certificate": CLIENT, "client_key": CLIENT_KEY}, "token"),
    "certificate without key": ({**GOOD, "token": "", "client_certificate": CLIENT}, "token"),
    "plain http": ({**GOOD, "api_url": "http://k8s.test"}, "api_url"),
    "password in the address": ({**GOOD, "api_url": "https://u:CANARY-password@k8s.test"}, "api_url"),
    "address is a list": ({**GOOD, "api_url": ["https://k8s.test"]}, "api_url"),
    "odd name": ({**GOOD, "name": "../prod"}, "name"),
    "name with NUL": ({**GOOD, "name": "a\0b"}, "name"),
    "lone surrogate": ({**GOOD, "name": "\ud800"}, "name"),
    "CA is no certificate": ({**GOOD, "ca_pem": "CANARY"}, "ca_pem"),
    "token with blanks": ({**GOOD, "token": "CANARY a"}, "token"),
    "token is a number": ({**GOOD, "token": {"a": "CANARY"}}, "token"),
    "interval too short": ({**GOOD, "interval_seconds": 1}, "interval_seconds"),
    "interval is a word": ({**GOOD, "interval_seconds": "soon"}, "interval_seconds"),
    "labels are a list": ({**GOOD, "labels": ["a"]}, "labels"),
    "label is long": ({**GOOD, "labels": {"a": "x" * 64}}, "labels"),
    "label is odd": ({**GOOD, "labels": {"a": "\u202e"}}, "labels"),
    "label without a name": ({**GOOD, "labels": {"": "a"}}, "labels"),
    "many labels": ({**GOOD, "labels": {str(n): "a" for n in range(21)}}, "labels"),
    "unknown field": ({**GOOD, "tokenn": TOKEN}, "tokenn"),
    "context without kubeconfig": ({**GOOD, "context": "a"}, "context"),
    "kubeconfig and token": ({"kubeconfig": yaml.safe_dump(config()), "token": TOKEN}, "token"),
    "kubeconfig is none": ({"kubeconfig": "hello"}, "kubeconfig"),
    "kubeconfig with exec": ({"kubeconfig": yaml.safe_dump(config(user={"exec": {"command": "sh"}}))}, "kubeconfig"),
    "context not there": ({"kubeconfig": yaml.safe_dump(config()), "context": "x"}, "kubeconfig"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named_and_nothing_is_stored(staff: Client, case: str) -> None:
    value, field = REFUSED[case]
    status, body = post(staff, value)
    assert status == 400
    assert list(body["errors"]) == [field]
    assert not Cluster.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"name": NaN}', 400),
        (b'"' + b"x" * (2 * 1024 * 1024) + b'"', 413),
    ],
)
def test_a_body_that_is_no_object_is_refused(staff: Client, body: bytes, status: int) -> None:
    answer = staff.post("/api/v1/clusters/", body, content_type="application/json")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"


FIELDS = st.sampled_from(
    ["name", "api_url", "ca_pem", "token", "kubeconfig", "context", "labels", "interval_seconds", "enabled"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([*GOOD.values()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(["post", "patch"]), st.dictionaries(FIELDS, VALUES, max_size=4))
def test_no_body_is_more_than_a_wrong_field(staff: Client, method: str, body: dict[str, Any]) -> None:
    Cluster.objects.get_or_create(name="other", defaults={"created_at": NOW, "updated_at": NOW, "api_url": "https://a"})
    path = "/api/v1/clusters/" if method == "post" else "/api/v1/clusters/other/"
    answer = getattr(staff, method)(path, json.dumps(body), content_type="application/json")
    assert answer.status_code in (200, 201, 400, 409)
    if answer.status_code in (400, 409):
        assert answer.json()["errors"]


def test_a_form_is_no_json(staff: Client) -> None:
    assert staff.post("/api/v1/clusters/", GOOD).status_code == 415


def test_a_name_that_is_taken_is_a_conflict(staff: Client) -> None:
    assert post(staff, GOOD)[0] == 201
    status, body = post(staff, {**GOOD, "name": "PROD"})
    assert (status, body) == (409, {"errors": {"name": ["prod is registered already"]}})


def test_replacing_gives_address_and_credential_anew_and_keeps_the_rest(staff: Client) -> None:
    post(staff, {**GOOD, "labels": {"a": "b"}, "interval_seconds": 30})
    before = Cluster.objects.get()
    value = {"name": "PROD", "api_url": "https://new.test", "token": "new-token", "replace": True}
    status, body = post(staff, value)
    assert (status, body["name"], body["labels"], body["interval_seconds"]) == (200, "prod", {"a": "b"}, 30)
    after = Cluster.objects.get()
    assert (after.pk, after.created_at, after.ca_pem) == (before.pk, before.created_at, "")
    assert opened(after) == Payload(api_url="https://new.test", token="new-token")


def test_without_a_public_key_nothing_can_be_registered(staff: Client, settings: Settings) -> None:
    settings.CREDENTIAL_PUBLIC_KEY = ""
    status, body = post(staff, GOOD)
    assert status == 503
    assert "CREDENTIAL_PUBLIC_KEY" in body["detail"]
    assert not Cluster.objects.exists()


def test_the_private_key_is_not_needed(staff: Client, settings: Settings) -> None:
    settings.CREDENTIAL_PRIVATE_KEY = ""
    assert post(staff, GOOD)[0] == 201


def patch(client: Client, value: Mapping[str, Any]) -> tuple[int, Any]:
    answer = client.patch("/api/v1/clusters/prod/", json.dumps(value), content_type="application/json")
    return answer.status_code, answer.json()


def test_a_cluster_is_changed_in_what_is_given(staff: Client) -> None:
    add_cluster("prod", datetime.now(UTC), labels={"a": "b"})
    assert patch(staff, {"enabled": False})[1]["enabled"] is False
    status, body = patch(staff, {"interval_seconds": 300})
    assert (status, body["enabled"], body["interval_seconds"], body["labels"]) == (200, False, 300, {"a": "b"})
    assert patch(staff, {"labels": {}})[1]["labels"] == {}
    assert patch(staff, {"secret_namespaces": ["shop"]})[1]["secret_namespaces"] == ["shop"]
    assert patch(staff, {})[0] == 200


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"enabled": "maybe"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"labels": {"a": ["b"]}}, "labels"),
        ({"secret_namespaces": ["shop", "a/b"]}, "secret_namespaces"),
        ({"secret_namespaces": "shop"}, "secret_namespaces"),
        ({"name": "other"}, "name"),
        ({"api_url": "https://evil.test"}, "api_url"),
    ],
)
def test_a_change_that_is_wrong_is_named(staff: Client, value: dict[str, Any], field: str) -> None:
    add_cluster("prod", datetime.now(UTC))
    status, body = patch(staff, value)
    assert status == 400
    assert list(body["errors"]) == [field]


def test_a_removed_cluster_is_gone_with_all_that_was_known(staff: Client) -> None:
    now = datetime.now(UTC)
    kept = add_resource(add_cluster("kept", now), "db", now)
    add_resource(add_cluster("prod", now), "db", now, health=Health.HEALTHY)
    assert staff.delete("/api/v1/clusters/prod/").status_code == 204
    assert staff.delete("/api/v1/clusters/prod/").status_code == 404
    assert [row.pk for row in Resource.objects.all()] == [kept.pk]
    assert [row.cluster.name for row in Transition.objects.all()] == ["kept"]


def test_a_removal_waits_for_the_collection_that_is_being_recorded(staff: Client) -> None:
    add_cluster("prod", datetime.now(UTC))
    with CaptureQueriesContext(connection) as captured:
        staff.delete("/api/v1/clusters/prod/")
    statements = [query["sql"] for query in captured]
    locked = next(
        n for n, statement in enumerate(statements) if "monitoring_lease" in statement and "UPDATE" in statement
    )
    assert locked < next(n for n, statement in enumerate(statements) if statement.startswith("DELETE"))


def test_removing_costs_the_same_however_much_is_known(staff: Client) -> None:
    now = datetime.now(UTC)

    def statements(name: str, resources: int) -> int:
        cluster = add_cluster(name, now)
        for number in range(resources):
            add_resource(cluster, f"db-{number}", now)
        with CaptureQueriesContext(connection) as captured:
            assert staff.delete(f"/api/v1/clusters/{name}/").status_code == 204
        return len(captured)

    staff.get("/api/v1/clusters/")
    assert statements("small", 10) == statements("large", 500)


def test_a_removed_cluster_leaves_nothing_in_any_table(staff: Client) -> None:
    now = datetime.now(UTC)
    cluster = make.cluster("prod", now)
    Credential.objects.create(cluster=cluster, sealed=b"sealed", updated_at=now)
    made = make.resource(cluster, now=now)
    make.reference(made, "store", "SecretStore", "payments/vault")
    make.event(made, "Failed", "no", now)
    change = make.transition(made, Health.HEALTHY, now)
    change.collection = make.collection(cluster, now)
    change.save()
    memory.remember(cluster.pk, make.memorable(now), (), now, timedelta(0))
    make.history(cluster, now)
    tables = [
        model
        for model in apps.get_models()
        if model._meta.managed and any(f.name == "cluster" for f in model._meta.fields)
    ]
    assert [model.__name__ for model in tables if not model._default_manager.exists()] == []
    assert staff.delete("/api/v1/clusters/prod/").status_code == 204
    assert [model.__name__ for model in tables if model._default_manager.exists()] == []


def test_the_health_of_a_cluster_that_may_not_be_read_is_unknown(staff: Client) -> None:
    now = datetime.now(UTC)
    make.cluster("shut", now, forbidden=("ExternalSecret", "SealedSecret"))
    make.cluster("bare", now, not_installed=JUDGED_KINDS)
    make.resource(make.cluster("half", now, forbidden=("SealedSecret",)), "a/b", Health.FAILING, now)
    make.cluster("off", now, read=timedelta(hours=1), enabled=False)
    body = staff.get("/api/v1/clusters/").json()
    told = {row["name"]: (row["health"], row["unknown_because"]) for row in body["results"]}
    assert told == {
        "shut": ("unknown", "ExternalSecret, SealedSecret not read"),
        "bare": ("unknown", "nothing installed"),
        "half": ("failing", None),
        "off": ("unknown", "switched off"),
    }
    assert [row["unread"] for row in body["results"] if row["name"] == "half"] == [["SealedSecret"]]
    seen = body["coverage"]
    assert (seen["clusters"], seen["switched_off"], seen["silent"]) == (3, 1, [])


def test_a_cluster_can_be_read_at_once(staff: Client) -> None:
    begin = datetime.now(UTC)
    add_cluster("prod", begin)
    status, body = post(staff, {}, "/api/v1/clusters/prod/collect/")
    assert status == 202
    assert begin <= Lease.objects.get().due_at <= datetime.now(UTC)
    assert body.keys() == {"due_at"}


def test_a_cluster_that_is_due_already_keeps_its_place(staff: Client) -> None:
    now = datetime.now(UTC)
    add_cluster("prod", now)
    Lease.objects.update(due_at=now - timedelta(minutes=5))
    post(staff, {}, "/api/v1/clusters/prod/collect/")
    assert Lease.objects.get().due_at == now - timedelta(minutes=5)


def test_a_cluster_that_is_switched_off_is_not_read(staff: Client) -> None:
    add_cluster("prod", datetime.now(UTC), enabled=False)
    assert post(staff, {}, "/api/v1/clusters/prod/collect/")[0] == 409
    assert post(staff, {}, "/api/v1/clusters/none/collect/")[0] == 404


def test_a_change_of_labels_has_the_cluster_judged_again(staff: Client) -> None:
    now = datetime.now(UTC)
    make.resource(make.cluster("prod", now), now=now)
    make.resource(make.cluster("other", now), now=now)
    answer = staff.patch(
        "/api/v1/clusters/prod/", json.dumps({"labels": {"env": "dev"}}), content_type="application/json"
    )
    assert answer.status_code == 200
    assert Resource.objects.get(cluster__name="prod").recheck_at is not None
    assert Resource.objects.get(cluster__name="other").recheck_at is None
