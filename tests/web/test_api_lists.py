"""Lists and details: what they hold, how they page, and that every wrong parameter is named."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.dateparse import parse_datetime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import Resource, Transition
from tests.web.api_data import add_cluster, add_resource, client_for

pytestmark = pytest.mark.django_db

LISTS = ("clusters", "resources", "transitions", "collections")


@pytest.fixture
def client() -> Client:
    return client_for()


def test_a_resource_has_health_findings_and_the_controllers_facts(client: Client) -> None:
    now = datetime.now(UTC)
    row = add_resource(add_cluster("prod-eu", now), "db", now)
    body = client.get("/api/v1/resources/").json()
    [found] = body["results"]
    assert parse_datetime(found.pop("since")) == row.since
    assert parse_datetime(found.pop("refreshed_at")) == row.refreshed_at
    assert parse_datetime(found.pop("due_at")) == row.due_at
    assert {parse_datetime(found.pop(name)) for name in ("first_seen_at", "created_at")} == {now}
    assert found.pop("freshness") in range(5)
    assert found == {
        "id": row.pk,
        "cluster": "prod-eu",
        "kind": "ExternalSecret",
        "namespace": "payments",
        "name": "db",
        "uid": "uid-db",
        "health": "failing",
        "last_known_health": "failing",
        "unknown_because": None,
        "findings": [
            {
                "rule": "es-failing",
                "severity": "critical",
                "summary": "The secret cannot be refreshed.",
                "cause": "permission denied",
                "hint": "",
                "since": None,
                "cause_class": "",
                "signature": "",
                "threshold": "",
            }
        ],
        "lints": [],
        "signature": "",
        "recheck_at": None,
        "ready": False,
        "reason": "SecretSyncedError",
        "message": "could not get secret data from provider",
        "interval": "1h0m0s",
        "policy": "Periodic",
        "store": "ClusterSecretStore/vault",
        "target": "db-password",
        "facts": {"synced_version": "3-abc"},
    }


def test_the_detail_adds_what_it_refers_to_and_events(client: Client) -> None:
    now = datetime.now(UTC)
    row = add_resource(add_cluster("prod-eu", now), "db", now)
    listed = client.get("/api/v1/resources/").json()["results"][0]
    detail = client.get(f"/api/v1/resources/{row.pk}/").json()
    assert detail.pop("events") == []
    assert detail.pop("suspects") is None
    [link] = detail.pop("refers_to")
    assert (link["relation"], link["kind"], link["name"], link["resource"], link["health"]) == (
        "store",
        "ClusterSecretStore",
        "vault",
        None,
        None,
    )
    assert detail | {"freshness": 0} == listed | {"freshness": 0}


@pytest.mark.parametrize("number", ["0", "999999999", "9" * 30])
def test_a_resource_that_is_not_there(client: Client, number: str) -> None:
    assert client.get(f"/api/v1/resources/{number}/").status_code == 404


def test_a_resource_of_an_overdue_cluster_is_unknown_and_keeps_its_last_known_health(client: Client) -> None:
    now = datetime.now(UTC)
    lost = add_cluster("lost", now, read_at=now - timedelta(hours=1))
    add_resource(lost, "db", now, health=Health.HEALTHY)
    body = client.get("/api/v1/resources/?health=unknown").json()
    [found] = body["results"]
    assert (found["health"], found["last_known_health"]) == ("unknown", "healthy")
    assert "lost" not in found["unknown_because"]
    assert found["freshness"] >= 3600
    assert (body["coverage"]["clusters"], body["coverage"]["reporting"], body["coverage"]["complete"]) == (1, 0, False)
    assert [silent["cluster"] for silent in body["coverage"]["silent"]] == ["lost"]
    assert client.get("/api/v1/resources/?health=healthy").json()["results"] == []


def test_a_pipeline_finds_its_secret_by_its_exact_name(client: Client) -> None:
    now = datetime.now(UTC)
    cluster, other = add_cluster("prod-eu", now), add_cluster("prod-us", now)
    row = add_resource(cluster, "db", now)
    add_resource(cluster, "db-2", now)
    add_resource(other, "db", now)
    address = "/api/v1/resources/?cluster=prod-eu&kind=ExternalSecret&namespace=payments&name=db"
    assert [found["id"] for found in client.get(address).json()["results"]] == [row.pk]


@pytest.mark.parametrize("name", LISTS)
def test_lists_page_to_their_end_without_gap_or_repetition(client: Client, name: str) -> None:
    now = datetime.now(UTC)
    for number in range(7):
        add_resource(add_cluster(f"c{number}", now), "db", now, health=Health(number % 3))
    key = "name" if name == "clusters" else "id"
    whole = [found[key] for found in client.get(f"/api/v1/{name}/").json()["results"]]
    assert len(set(whole)) == 7
    address, seen = f"/api/v1/{name}/?limit=3", []
    while address:
        body = client.get(address).json()
        seen.append([found[key] for found in body["results"]])
        address = body["next"]
    assert [len(page) for page in seen] == [3, 3, 1]
    assert [key for page in seen for key in page] == whole


def test_the_next_page_keeps_the_filters(client: Client) -> None:
    now = datetime.now(UTC)
    cluster = add_cluster("prod", now)
    for name in ("a", "b", "c"):
        add_resource(cluster, name, now)
    address = client.get("/api/v1/resources/?limit=1&health=failing,stale").json()["next"]
    assert address.startswith("http://testserver/api/v1/resources/?")
    assert "health=failing%2Cstale" in address
    assert "limit=1" in address


WRONG = [
    ("resources", {"health": "bad"}, "health"),
    ("resources", {"health": "Failing"}, "health"),
    ("resources", {"kind": "Node"}, "kind"),
    ("resources", {"cluster": "nowhere"}, "cluster"),
    ("resources", {"namespace": "a\x00b"}, "namespace"),
    ("resources", {"name": "x" * 300}, "name"),
    ("resources", {"finding": "No Rule"}, "finding"),
    ("resources", {"q": "ab"}, "q"),
    ("resources", {"cursor": "x"}, "cursor"),
    ("resources", {"cursor": "\u00e4"}, "cursor"),
    ("resources", {"limit": "0"}, "limit"),
    ("resources", {"limit": "501"}, "limit"),
    ("resources", {"limit": "-1"}, "limit"),
    ("resources", {"limit": "ten"}, "limit"),
    ("resources", {"nmae": "db"}, "nmae"),
    ("resources", {"format": "yaml"}, "format"),
    ("transitions", {"health": "gone"}, "health"),
    ("transitions", {"resource": "x"}, "resource"),
    ("transitions", {"cursor": "WzEsMl0"}, "cursor"),
    ("transitions", {"q": "abc"}, "q"),
    ("collections", {"result": "good"}, "result"),
    ("collections", {"health": "failing"}, "health"),
    ("clusters", {"kind": "ExternalSecret"}, "kind"),
    ("clusters", {"cursor": "W10"}, "cursor"),
    ("clusters/prod", {"limit": "5"}, "limit"),
    ("resources/1", {"fields": "name"}, "fields"),
]


@pytest.mark.parametrize(("name", "query", "parameter"), WRONG)
def test_a_wrong_or_unknown_parameter_is_named(
    client: Client, name: str, query: dict[str, str], parameter: str
) -> None:
    answer = client.get(f"/api/v1/{name}/?{urlencode(query)}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [parameter]


def test_the_allowed_values_are_told(client: Client) -> None:
    answer = client.get("/api/v1/resources/?health=bad").json()
    assert "failing, stale, at_risk, progressing, unknown, healthy" in answer["errors"]["health"][0]


def test_a_cursor_given_twice_is_refused(client: Client) -> None:
    assert list(client.get("/api/v1/resources/?cursor=a&cursor=b").json()["errors"]) == ["cursor"]


NAMES = st.sampled_from(
    ["health", "cluster", "kind", "namespace", "name", "store", "finding", "q", "cursor", "limit", "x"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(LISTS), st.dictionaries(NAMES, st.text(max_size=12), max_size=3))
def test_no_query_is_more_than_a_wrong_parameter(client: Client, name: str, query: dict[str, str]) -> None:
    address = urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in query.items()})
    answer = client.get(f"/api/v1/{name}/?{address}")
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert set(answer.json()["errors"]) <= query.keys()


def test_a_removal_has_no_new_health_and_outlives_its_resource(client: Client) -> None:
    now = datetime.now(UTC)
    row = add_resource(add_cluster("prod", now), "db", now)
    Transition.objects.update(from_health=Health.FAILING, to_health=None)
    Resource.objects.all().delete()
    [found] = client.get(f"/api/v1/transitions/?resource={row.pk}").json()["results"]
    assert (found["from_health"], found["to_health"], found["exists"]) == ("failing", None, False)
    assert found["findings"] == []


def test_a_collection_tells_its_outcome_and_numbers(client: Client) -> None:
    add_cluster("prod", datetime.now(UTC))
    [found] = client.get("/api/v1/collections/?result=complete&cluster=pr*").json()["results"]
    assert (found["cluster"], found["result"], found["added"], found["kinds"]) == ("prod", "complete", 1, {})


def test_a_cluster_tells_how_it_is_read(client: Client) -> None:
    now = datetime.now(UTC)
    cluster = add_cluster("prod", now)
    add_resource(cluster, "db", now)
    [listed] = client.get("/api/v1/clusters/").json()["results"]
    assert (listed["name"], listed["health"], listed["reporting"], listed["counts"]["failing"]) == (
        "prod",
        "failing",
        True,
        1,
    )
    detail = client.get("/api/v1/clusters/prod/").json()
    assert [kind["kind"] for kind in detail["kinds"]] == list(JUDGED_KINDS)
    assert client.get("/api/v1/clusters/none/").status_code == 404


def test_a_cluster_without_any_collection_is_unknown(client: Client) -> None:
    cluster = add_cluster("prod", datetime.now(UTC))
    cluster.state.delete()
    cluster.cursors.all().delete()
    [found] = client.get("/api/v1/clusters/").json()["results"]
    assert (found["health"], found["reporting"], found["freshness"], found["outcome"]) == ("unknown", False, None, None)


def statements(client: Client, name: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"/api/v1/{name}/").status_code == 200
    return len(captured)


@pytest.mark.parametrize("name", LISTS)
def test_the_number_of_statements_does_not_grow(client: Client, name: str) -> None:
    now = datetime.now(UTC)
    add_resource(add_cluster("first", now), "db", now)
    few = statements(client, name)
    for number in range(30):
        add_resource(add_cluster(f"c{number}", now), "db", now)
    assert statements(client, name) == few <= 13
