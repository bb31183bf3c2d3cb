"""What the collector relies on in an API server, tried on the real one and on the simulated one alike.

A difference between the two is a defect of `demo.apiserver`: the real server is the reference.
"""

import base64
import email.utils
import gzip
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from demo.apiserver import Fleet, running

SECRETS = "/apis/external-secrets.io/v1/externalsecrets"
NAMESPACE = "contract"
IN_NAMESPACE = f"/apis/external-secrets.io/v1/namespaces/{NAMESPACE}/externalsecrets"
MOUNTS = f"/apis/secrets-store.csi.x-k8s.io/v1/namespaces/{NAMESPACE}/secretproviderclasspodstatuses"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"

Object = dict[str, Any]


class Address(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def ca_pem(self) -> str: ...

    @property
    def token(self) -> str: ...


@dataclass
class Answer:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]


class Client:
    """Plain requests, so that nothing between us and the wire smooths a difference."""

    def __init__(self, server: Address):
        self.server = server
        self.context = ssl.create_default_context(cadata=server.ca_pem)

    def send(
        self, method: str, path: str, body: Object | None = None, *, token: str | None = "", **headers: str
    ) -> Answer:
        given = {"Accept": "application/json", "User-Agent": "contract/1.0", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.server.token}"
        address = urllib.parse.urlsplit(self.server.url)
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=self.context, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, given)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, accept: str = "application/json", **query: str | int) -> Answer:
        return self.send("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path, Accept=accept)

    def create(self, path: str, body: Object) -> Object:
        answer = self.send("POST", path, body)
        assert answer.code == 201, answer.body
        made: Object = answer.json
        return made

    def patch(self, path: str, body: Object) -> Answer:
        return self.send("PATCH", path, body, Content_Type="application/merge-patch+json")

    def version(self) -> str:
        version: str = self.get(IN_NAMESPACE, limit=1).json["metadata"]["resourceVersion"]
        return version


@pytest.fixture(params=["simulated", "real"])
def api_server(request: pytest.FixtureRequest) -> Iterator[Address]:
    if request.param == "real":
        yield request.getfixturevalue("real_api_server")
        return
    fleet = Fleet()
    cluster = fleet.add("contract", revision=1000)
    with running(fleet):
        yield cluster


@pytest.fixture
def client(api_server: Address) -> Client:
    client = Client(api_server)
    client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return client


def external_secret(name: str, **metadata: Any) -> Object:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name} | metadata,
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "SecretStore", "name": "vault"},
            "target": {"name": name},
            "data": [{"secretKey": "password", "remoteRef": {"key": "prod/db"}}],
        },
    }


def mount(name: str, version: str) -> Object:
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {"name": name},
        "status": {"mounted": True, "podName": "p", "objects": [{"id": "secret/db", "version": version}]},
    }


def k8s_event(name: str, involved: str, kind: str, reason: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "reason": reason,
        "type": "Warning",
        "message": "text",
        "source": {"component": "external-secrets"},
        "involvedObject": {"kind": kind, "name": involved, "namespace": NAMESPACE},
    }


def fill(client: Client, names: str) -> None:
    for name in names:
        client.create(IN_NAMESPACE, external_secret(name))


# Discovery


def test_version_and_groups(client: Client) -> None:
    assert client.get("/version").json["gitVersion"].startswith("v1.")
    assert "v1" in client.get("/api").json["versions"]
    groups = {group["name"]: group for group in client.get("/apis").json["groups"]}
    assert {"external-secrets.io", "bitnami.com", "secrets-store.csi.x-k8s.io", "apps"} <= set(groups)
    assert groups["external-secrets.io"]["preferredVersion"]["version"] == "v1"
    group = client.get("/apis/external-secrets.io").json
    assert group["kind"] == "APIGroup"
    assert {entry["version"] for entry in group["versions"]} >= {"v1", "v1alpha1"}


def test_resources_of_a_version(client: Client) -> None:
    answer = client.get("/apis/external-secrets.io/v1").json
    found = {entry["name"]: entry for entry in answer["resources"]}
    assert answer["kind"] == "APIResourceList"
    assert answer["groupVersion"] == "external-secrets.io/v1"
    assert found["externalsecrets"]["namespaced"] is True
    assert found["externalsecrets"]["kind"] == "ExternalSecret"
    assert found["clustersecretstores"]["namespaced"] is False
    assert "externalsecrets/status" in found
    assert {"get", "list", "watch"} <= set(found["externalsecrets"]["verbs"])


def test_mounts_have_no_status_subresource(client: Client) -> None:
    names = [entry["name"] for entry in client.get("/apis/secrets-store.csi.x-k8s.io/v1").json["resources"]]
    assert "secretproviderclasspodstatuses/status" not in names
    client.create(MOUNTS, mount("m", "1"))
    assert client.get(f"{MOUNTS}/m/status").code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/apis/not-installed.io",
        "/apis/not-installed.io/v1",
        "/apis/not-installed.io/v1/things",
        "/apis/external-secrets.io/v1/things",
        "/apis/external-secrets.io/v9/externalsecrets",
    ],
)
def test_what_is_not_installed_is_a_plain_404(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.code == 404
    assert answer.body == b"404 page not found\n"
    assert answer.headers["content-type"].startswith("text/plain")


def test_an_unknown_resource_of_a_built_in_group_is_a_404_with_a_status(client: Client) -> None:
    for path in ("/api/v1/things", f"{CORE}/things", "/apis/apps/v1/things"):
        answer = client.get(path)
        assert answer.code == 404
        assert answer.json["message"] == "the server could not find the requested resource"


# Lists


def test_items_of_custom_resources_bear_their_type_and_built_in_ones_do_not(client: Client) -> None:
    fill(client, "a")
    client.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}, "data": {"k": "v"}})
    custom, built_in = client.get(IN_NAMESPACE).json, client.get(f"{CORE}/configmaps").json
    assert (custom["kind"], custom["apiVersion"]) == ("ExternalSecretList", "external-secrets.io/v1")
    assert custom["items"][0]["kind"] == "ExternalSecret"
    assert (built_in["kind"], built_in["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in built_in["items"][0]


def test_an_empty_list_is_an_empty_array_but_null_as_metadata(client: Client) -> None:
    assert client.get(IN_NAMESPACE).json["items"] == []
    assert client.get(f"{CORE}/secrets").json["items"] == []
    empty = client.get(IN_NAMESPACE, METADATA_LIST)
    assert empty.json["kind"] == "PartialObjectMetadataList"
    assert empty.json["items"] is None


def test_pages_show_one_state(client: Client) -> None:
    fill(client, "abcde")
    first = client.get(IN_NAMESPACE, limit=2)
    assert first.names == ["a", "b"]
    assert first.json["metadata"]["remainingItemCount"] == 3
    fill(client, "f")
    client.send("DELETE", f"{IN_NAMESPACE}/d")
    second = client.get(IN_NAMESPACE, limit=2, **{"continue": first.json["metadata"]["continue"]})
    last = client.get(IN_NAMESPACE, limit=2, **{"continue": second.json["metadata"]["continue"]})
    assert second.names + last.names == ["c", "d", "e"]
    assert last.json["metadata"].get("continue", "") == ""
    assert len({page.json["metadata"]["resourceVersion"] for page in (first, second, last)}) == 1


def test_order_is_by_namespace_then_name(client: Client) -> None:
    client.create("/api/v1/namespaces", {"metadata": {"name": "another"}})
    client.create("/apis/external-secrets.io/v1/namespaces/another/externalsecrets", external_secret("z"))
    fill(client, "ba")
    answer = client.get(SECRETS)
    assert answer.names == ["z", "a", "b"]


def test_selectors_count_no_remaining_items(client: Client) -> None:
    for name in "abc":
        client.create(IN_NAMESPACE, external_secret(name, labels={"team": "x"}))
    page = client.get(IN_NAMESPACE, limit=1, labelSelector="team=x").json["metadata"]
    assert "continue" in page
    assert "remainingItemCount" not in page


def test_a_broken_continue_token_is_a_400(client: Client) -> None:
    assert client.get(IN_NAMESPACE, limit=1, **{"continue": "not-a-token"}).code == 400


def test_version_zero_knows_no_limit(client: Client) -> None:
    fill(client, "abc")
    client.get(IN_NAMESPACE)  # a consistent read, after which the cache that answers 0 is not behind
    assert client.get(IN_NAMESPACE, limit=1, resourceVersion=0).names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("team=x", ["a", "b"]),
        ("team==y", ["c"]),
        ("team!=x", ["c", "d"]),
        ("team in (x,y)", ["a", "b", "c"]),
        ("team notin (x)", ["c", "d"]),
        ("tier", ["b"]),
        ("!team", ["d"]),
        ("team=x,tier=1", ["b"]),
        ("team=z", []),
    ],
)
def test_label_selectors(client: Client, selector: str, names: list[str]) -> None:
    labels = {"a": {"team": "x"}, "b": {"team": "x", "tier": "1"}, "c": {"team": "y"}, "d": {}}
    for name, given in labels.items():
        client.create(IN_NAMESPACE, external_secret(name, labels=given))
    assert client.get(IN_NAMESPACE, labelSelector=selector).names == names


def test_field_selectors(client: Client) -> None:
    fill(client, "ab")
    assert client.get(SECRETS, fieldSelector=f"metadata.name=b,metadata.namespace={NAMESPACE}").names == ["b"]
    assert client.get(SECRETS, fieldSelector="metadata.namespace=elsewhere").names == []
    assert client.get(SECRETS, fieldSelector="metadata.uid=1").code == 400


def test_field_selectors_of_events(client: Client) -> None:
    client.create(f"{CORE}/events", k8s_event("one", "db", "ExternalSecret", "UpdateFailed"))
    client.create(f"{CORE}/events", k8s_event("two", "db", "SealedSecret", "Unsealed"))
    for selector in (
        "involvedObject.kind=ExternalSecret",
        "reason=UpdateFailed",
        "involvedObject.name=db,reason!=Unsealed,type=Warning",
    ):
        assert client.get("/api/v1/events", fieldSelector=selector).names == ["one"]


def test_secrets_by_type(client: Client) -> None:
    client.create(f"{CORE}/secrets", {"metadata": {"name": "a"}, "type": "Opaque"})
    client.create(f"{CORE}/secrets", {"metadata": {"name": "b"}, "type": "example.com/other"})
    assert client.get(f"{CORE}/secrets", fieldSelector="type=example.com/other").names == ["b"]


def test_large_answers_come_as_gzip_when_asked_for(client: Client) -> None:
    for number in range(40):
        client.create(IN_NAMESPACE, external_secret(f"s{number:02}", annotations={"pad": "x" * 4000}))
    packed = client.send("GET", IN_NAMESPACE, Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(packed.body))["items"]) == 40
    small = client.send("GET", f"{IN_NAMESPACE}?limit=1", Accept_Encoding="gzip")
    assert "content-encoding" not in small.headers


def test_the_date_header_is_the_servers_clock(client: Client) -> None:
    date = email.utils.parsedate_to_datetime(client.get("/version").headers["date"])
    assert abs((datetime.now(UTC) - date).total_seconds()) < 60


# Versions


def test_a_version_from_the_future_is_refused_by_lists_and_silent_in_watches(client: Client) -> None:
    future = int(client.version()) + 100_000
    answer = client.get(IN_NAMESPACE, resourceVersion=future, resourceVersionMatch="NotOlderThan")
    assert answer.code == 504
    assert answer.json["reason"] == "Timeout"
    assert answer.json["message"].startswith("Timeout: Too large resource version")
    watch = client.get(IN_NAMESPACE, watch="true", resourceVersion=future, timeoutSeconds=1)
    assert (watch.code, watch.body) == (200, b"")


def test_a_forgotten_version_ends_a_watch_with_an_error_event(client: Client) -> None:
    watch = client.get(IN_NAMESPACE, watch="true", resourceVersion=1, timeoutSeconds=2)
    assert watch.code == 200
    (event,) = watch.lines
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")


def test_versions_that_cannot_be_read(client: Client) -> None:
    assert client.get(IN_NAMESPACE, resourceVersion="abc").code == 400
    assert client.get(IN_NAMESPACE, resourceVersionMatch="NotOlderThan").code == 422


# Watches


def test_a_watch_tells_what_happened_since_a_version(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    fill(client, "b")
    client.patch(f"{IN_NAMESPACE}/a", {"spec": {"refreshInterval": "2h"}})
    client.send("DELETE", f"{IN_NAMESPACE}/b")
    events = client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1).lines
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    assert {event["object"]["kind"] for event in events} == {"ExternalSecret"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(begin)


def test_a_watch_that_finds_nothing_is_empty(client: Client) -> None:
    fill(client, "a")
    assert client.get(IN_NAMESPACE, watch="true", resourceVersion=client.version(), timeoutSeconds=1).body == b""


def test_a_watch_without_a_version_begins_with_everything(client: Client) -> None:
    fill(client, "ab")
    events = client.get(IN_NAMESPACE, watch="true", timeoutSeconds=1).lines
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


def test_a_bookmark_comes_from_three_seconds_on(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    another_kind_changes(client)
    assert bookmarks(client, begin, seconds=2) == []
    # Best effort by the API's contract: on a busy machine the real server lets one slip, or sends two.
    found = next((found for _ in range(4) if (found := bookmarks(client, begin, seconds=3))), [])
    assert {event["type"] for event in found} == {"BOOKMARK"}
    assert found[-1]["object"]["kind"] == "ExternalSecret"
    assert int(found[-1]["object"]["metadata"]["resourceVersion"]) > int(begin)


def bookmarks(client: Client, begin: str, seconds: int) -> list[Any]:
    query: dict[str, Any] = {"watch": "true", "resourceVersion": begin, "timeoutSeconds": seconds}
    return client.get(IN_NAMESPACE, allowWatchBookmarks="true", **query).lines


def another_kind_changes(client: Client) -> None:
    """Raise the version of the whole server; the list makes the cache of ExternalSecrets take notice."""
    client.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    client.version()


def test_no_bookmark_where_nothing_at_all_was_written(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    watch = client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=3, allowWatchBookmarks="true")
    assert watch.body == b""


def test_no_bookmark_unless_asked_for(client: Client) -> None:
    begin = client.version()
    another_kind_changes(client)
    assert client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=3).body == b""


def test_a_selector_turns_changes_into_arrivals_and_departures(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}})
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "y"}}})
    events = client.get(
        IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1, labelSelector="team=x"
    ).lines
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]


def test_watches_of_metadata(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}})
    query: dict[str, Any] = {"watch": "true", "resourceVersion": begin, "timeoutSeconds": 1}
    (event,) = client.get(IN_NAMESPACE, METADATA, **query).lines
    assert (event["type"], event["object"]["kind"]) == ("MODIFIED", "PartialObjectMetadata")
    assert "spec" not in event["object"]
    silent = client.get(IN_NAMESPACE, METADATA_LIST, **query)
    assert (silent.code, silent.body) == (200, b"")


# Forms


def test_metadata_of_secrets_comes_without_data(client: Client) -> None:
    data = base64.b64encode(b"CANARY-contract").decode()
    client.create(f"{CORE}/secrets", {"metadata": {"name": "s", "labels": {"a": "b"}}, "data": {"password": data}})
    listed = client.get(f"{CORE}/secrets", METADATA_LIST)
    one = client.get(f"{CORE}/secrets/s", METADATA)
    tables = [client.get(f"{CORE}/secrets", TABLE, includeObject=include) for include in ("None", "Metadata")]
    assert listed.json["kind"] == "PartialObjectMetadataList"
    assert set(listed.json["items"][0]) <= {"kind", "apiVersion", "metadata"}
    assert one.json["kind"] == "PartialObjectMetadata"
    assert not any(data.encode() in answer.body for answer in (listed, one, *tables))
    assert any("f:password" in json.dumps(item) for item in listed.json["items"])  # the names of keys do show


def test_tables(client: Client) -> None:
    client.create(f"{CORE}/secrets", {"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "", "b": ""}})
    table = client.get(f"{CORE}/secrets", TABLE, includeObject="Metadata").json
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Type", "Data", "Age"]
    assert table["rows"][0]["cells"][:3] == ["s", "Opaque", 2]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    bare = client.get(f"{CORE}/secrets", TABLE, includeObject="None").json
    assert bare["rows"][0]["object"] is None


@pytest.mark.parametrize(
    "accept", [METADATA, f"{METADATA}, application/json", "application/json;as=Nothing;g=meta.k8s.io;v=v1", "text/csv"]
)
def test_forms_that_do_not_fit_a_list_are_406(client: Client, accept: str) -> None:
    fill(client, "a")
    answer = client.get(IN_NAMESPACE, accept)
    assert (answer.code, answer.json["reason"]) == (406, "NotAcceptable")


def test_the_plural_form_of_one_object_is_a_500(client: Client) -> None:
    fill(client, "a")
    answer = client.get(f"{IN_NAMESPACE}/a", METADATA_LIST)
    assert (answer.code, answer.json["message"]) == (500, "content is not a list")


def test_a_fallback_silently_gives_whole_objects(client: Client) -> None:
    fill(client, "a")
    answer = client.get(IN_NAMESPACE, "application/json;as=Nothing;g=meta.k8s.io;v=v1, application/json")
    assert answer.json["kind"] == "ExternalSecretList"


# Writes


def test_what_the_server_sets_at_creation(client: Client) -> None:
    made = client.create(
        IN_NAMESPACE,
        external_secret("a", creationTimestamp="2001-01-01T00:00:00Z", generation=7)
        | {"status": {"refreshTime": "2001-01-01T00:00:00Z"}},
    )
    assert made["metadata"]["generation"] == 1
    assert not made["metadata"]["creationTimestamp"].startswith("2001")
    assert made["metadata"]["uid"]
    assert "status" not in made
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("contract", "Update")
    assert "f:spec" in entry["fieldsV1"]


def test_creating_twice_is_a_409(client: Client) -> None:
    fill(client, "a")
    answer = client.send("POST", IN_NAMESPACE, external_secret("a"))
    assert (answer.code, answer.json["reason"]) == (409, "AlreadyExists")
    assert answer.json["message"] == 'externalsecrets.external-secrets.io "a" already exists'


def test_an_old_version_is_a_conflict_and_none_is_invalid(client: Client) -> None:
    made = client.create(IN_NAMESPACE, external_secret("a"))
    newer = made | {"spec": made["spec"] | {"refreshInterval": "2h"}}
    assert client.send("PUT", f"{IN_NAMESPACE}/a", newer).code == 200
    again = client.send("PUT", f"{IN_NAMESPACE}/a", made)
    assert (again.code, again.json["reason"]) == (409, "Conflict")
    assert "the object has been modified" in again.json["message"]
    blind = client.send("PUT", f"{IN_NAMESPACE}/a", external_secret("a"))
    assert (blind.code, blind.json["reason"]) == (422, "Invalid")


def test_an_update_without_news_writes_nothing(client: Client) -> None:
    made = client.create(IN_NAMESPACE, external_secret("a"))
    answer = client.send("PUT", f"{IN_NAMESPACE}/a", made)
    assert answer.json["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_status_and_spec_are_written_apart(client: Client) -> None:
    fill(client, "a")
    status = {
        "refreshTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    answer = client.patch(f"{IN_NAMESPACE}/a/status", {"status": status, "spec": {"refreshInterval": "9h"}}).json
    assert answer["status"]["refreshTime"] == "2026-01-01T00:00:00Z"
    assert answer["spec"]["refreshInterval"] == "1h"
    assert answer["metadata"]["generation"] == 1
    assert [entry.get("subresource") for entry in answer["metadata"]["managedFields"]].count("status") == 1
    answer = client.patch(
        f"{IN_NAMESPACE}/a", {"spec": {"refreshInterval": "2h"}, "status": {"refreshTime": None}}
    ).json
    assert answer["status"]["refreshTime"] == "2026-01-01T00:00:00Z"
    assert answer["metadata"]["generation"] == 2


def test_labels_do_not_count_as_generation(client: Client) -> None:
    fill(client, "a")
    answer = client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}}).json
    assert answer["metadata"]["generation"] == 1
    assert answer["metadata"]["labels"] == {"team": "x"}


def test_a_kind_without_status_subresource_counts_status_as_generation(client: Client) -> None:
    made = client.create(MOUNTS, mount("m", "1"))
    assert made["status"]["objects"][0]["version"] == "1"
    rotated = client.send(
        "PUT",
        f"{MOUNTS}/m?fieldManager=csi-secrets-store",
        mount("m", "2") | {"metadata": {"name": "m", "resourceVersion": made["metadata"]["resourceVersion"]}},
    ).json
    assert rotated["metadata"]["generation"] == 2
    assert "csi-secrets-store" in [entry["manager"] for entry in rotated["metadata"]["managedFields"]]


def test_the_last_writer_of_a_field_manages_it(client: Client) -> None:
    fill(client, "a")
    changed = client.send(
        "PATCH",
        f"{IN_NAMESPACE}/a",
        {"spec": {"refreshInterval": "2h"}},
        User_Agent="kubectl-edit/v1.36",
        Content_Type="application/merge-patch+json",
    ).json
    spec = {entry["manager"]: entry["fieldsV1"]["f:spec"] for entry in changed["metadata"]["managedFields"]}
    assert "f:refreshInterval" in spec["kubectl-edit"]
    assert "f:refreshInterval" not in spec["contract"]
    assert "f:data" in spec["contract"]


def test_deleting(client: Client) -> None:
    fill(client, "a")
    answer = client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert (answer.code, answer.json["kind"], answer.json["status"]) == (200, "Status", "Success")
    assert client.get(f"{IN_NAMESPACE}/a").code == 404
    assert client.send("DELETE", f"{IN_NAMESPACE}/a").code == 404


def test_a_finalizer_holds_a_deletion_and_raises_the_generation(client: Client) -> None:
    client.create(IN_NAMESPACE, external_secret("a", finalizers=["example.com/cleanup"]))
    begin = client.version()
    answer = client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert answer.code == 200
    held = client.get(f"{IN_NAMESPACE}/a").json["metadata"]
    assert held["deletionTimestamp"]
    assert held["generation"] == 2
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"finalizers": None}})
    assert client.get(f"{IN_NAMESPACE}/a").code == 404
    events = client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1).lines
    assert events[0]["type"] == "MODIFIED"
    assert events[-1]["type"] == "DELETED"


def test_recreating_gives_another_uid(client: Client) -> None:
    first = client.create(IN_NAMESPACE, external_secret("a"))
    client.send("DELETE", f"{IN_NAMESPACE}/a")
    assert client.create(IN_NAMESPACE, external_secret("a"))["metadata"]["uid"] != first["metadata"]["uid"]


# Refusals


def test_a_wrong_token_is_a_401(client: Client) -> None:
    answer = client.send("GET", SECRETS, token="wrong")
    assert answer.code == 401
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


@pytest.mark.parametrize(
    ("path", "message", "details"),
    [
        (
            SECRETS,
            'externalsecrets.external-secrets.io is forbidden: User "system:anonymous" cannot list resource '
            '"externalsecrets" in API group "external-secrets.io" at the cluster scope',
            {"group": "external-secrets.io", "kind": "externalsecrets"},
        ),
        (
            f"{CORE}/secrets/db",
            'secrets "db" is forbidden: User "system:anonymous" cannot get resource "secrets" in API '
            f'group "" in the namespace "{NAMESPACE}"',
            {"name": "db", "kind": "secrets"},
        ),
    ],
)
def test_what_is_not_permitted_is_a_403(client: Client, path: str, message: str, details: Object) -> None:
    answer = client.send("GET", path, token=None)
    assert answer.code == 403
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Forbidden",
        "details": details,
        "code": 403,
    }


def test_the_version_is_public(client: Client) -> None:
    assert client.send("GET", "/version", token=None).code == 200
    assert client.send("GET", "/apis", token=None).code == 403


@pytest.mark.parametrize(
    ("path", "message", "details"),
    [
        (
            f"{IN_NAMESPACE}/gone",
            'externalsecrets.external-secrets.io "gone" not found',
            {"name": "gone", "group": "external-secrets.io", "kind": "externalsecrets"},
        ),
        (f"{CORE}/secrets/gone", 'secrets "gone" not found', {"name": "gone", "kind": "secrets"}),
    ],
)
def test_an_absent_object_is_a_404_with_a_status(client: Client, path: str, message: str, details: Object) -> None:
    answer = client.get(path)
    assert answer.code == 404
    assert answer.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "NotFound",
        "details": details,
        "code": 404,
    }


def test_a_list_in_a_namespace_that_does_not_exist_is_empty(client: Client) -> None:
    assert client.get("/apis/external-secrets.io/v1/namespaces/nowhere/externalsecrets").json["items"] == []


def test_broken_json_is_a_400(client: Client) -> None:
    address = urllib.parse.urlsplit(client.server.url)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=client.context, timeout=20)
    connection.request(
        "POST",
        IN_NAMESPACE,
        "{",
        {"Authorization": f"Bearer {client.server.token}", "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    assert answer.status == 400
    assert json.loads(answer.read())["reason"] == "BadRequest"
    connection.close()


@pytest.mark.parametrize(("size", "code"), [(1_200_000, 201), (4_000_000, 413)])
def test_large_objects(client: Client, size: int, code: int) -> None:
    large = external_secret("a")
    large["spec"]["target"]["template"] = {"data": {"large": "x" * size}}
    assert client.send("POST", IN_NAMESPACE, large).code == code


def test_reviews_of_ones_own_rights(client: Client) -> None:
    review = {
        "spec": {"resourceAttributes": {"verb": "list", "group": "external-secrets.io", "resource": "externalsecrets"}}
    }
    answer = client.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.code == 201
    assert answer.json["status"]["allowed"] is True
    rules = client.send(
        "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": NAMESPACE}}
    )
    assert rules.code == 201
    assert rules.json["status"]["resourceRules"]
