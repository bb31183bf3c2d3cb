"""What only the simulated API server can do: faults, denials, lost history, the certificate, other clocks."""

import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import pytest
import yaml

from demo.apiserver import Cluster, Fleet, running

SECRETS = "/apis/external-secrets.io/v1/externalsecrets"
SERVICE = "kube-system/sealed-secrets-controller"
PROXY = "/api/v1/namespaces/kube-system/services/{}/proxy/v1/cert.pem"


def external_secret(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": "shop"} | metadata,
        "spec": {"refreshInterval": "1h"},
        "status": {"refreshTime": "2026-11-24T04:00:00Z"},
    }


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    fleet = Fleet()
    cluster = fleet.add("shop")
    cluster.load([external_secret(name) for name in "abc"])
    with running(fleet):
        yield cluster


@dataclass
class Answer:
    """`broken` tells how the body ended when it did not end well; `body` is then what had come."""

    status: int
    headers: Message
    body: bytes
    broken: Exception | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(cluster: Cluster, path: str, body: object) -> Answer:
    return ask(cluster, path, method="POST", body=json.dumps(body))


def ask(
    cluster: Cluster,
    path: str,
    *,
    ca_pem: str = "",
    method: str = "GET",
    body: str | None = None,
    accept_encoding: str = "identity",
) -> Answer:
    headers = {"Authorization": f"Bearer {cluster.token}", "Accept-Encoding": accept_encoding}
    context = ssl.create_default_context(cadata=ca_pem or cluster.ca_pem)
    connection = http.client.HTTPSConnection("127.0.0.1", cluster.port, context=context, timeout=10)
    with closing(connection):
        connection.request(method, path, body, headers=headers)
        with connection.getresponse() as response:
            try:
                return Answer(response.status, response.headers, response.read())
            except http.client.IncompleteRead as error:
                return Answer(response.status, response.headers, error.partial, error)
            except ConnectionResetError as error:
                return Answer(response.status, response.headers, b"", error)


def read(cluster: Cluster, path: str = SECRETS, **query: str | int) -> Any:
    return ask(cluster, f"{path}?{urllib.parse.urlencode(query)}").json


# Faults


@pytest.mark.parametrize("name", ["401", "403", "429", "500", "503"])
def test_refusals_are_statuses(cluster: Cluster, name: str) -> None:
    cluster.faults.set(name, retry_after=7)
    answer = ask(cluster, SECRETS)
    assert answer.status == int(name)
    assert answer.headers.get("Retry-After") == ("7" if name in ("429", "503") else None)
    assert answer.json["code"] == int(name)


@pytest.mark.parametrize("name", ["reset", "truncated"])
def test_bodies_end_in_the_middle(cluster: Cluster, name: str) -> None:
    whole = len(ask(cluster, SECRETS).body)
    cluster.faults.set(name)
    answer = ask(cluster, SECRETS)
    assert int(answer.headers["Content-Length"]) == whole
    assert answer.broken is not None
    assert len(answer.body) < whole


def test_garbage_is_no_json(cluster: Cluster) -> None:
    cluster.faults.set("garbage")
    answer = ask(cluster, SECRETS)
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(ValueError, match="decode"):
        answer.json  # noqa: B018


def test_a_page_of_html_in_place_of_an_answer(cluster: Cluster) -> None:
    cluster.faults.set("content-type")
    assert ask(cluster, SECRETS).headers["Content-Type"].startswith("text/html")


def test_an_oversized_object(cluster: Cluster) -> None:
    cluster.faults.set("oversized", size=4_000_000)
    first, second, _ = read(cluster)["items"]
    assert len(first["metadata"]["annotations"]["example.com/large"]) == 4_000_000
    assert "annotations" not in second["metadata"]


def test_an_oversized_object_in_a_list_that_would_be_packed(cluster: Cluster) -> None:
    cluster.load([external_secret(f"s{number}", annotations={"pad": "x" * 4000}) for number in range(40)])
    cluster.faults.set("oversized", size=4_000_000)
    answer = ask(cluster, SECRETS, accept_encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert len(answer.body) > 4_000_000


def test_a_hung_server_answers_nobody_until_the_fault_is_cleared(cluster: Cluster) -> None:
    cluster.faults.set("hang")
    outcome: list[type[BaseException]] = []

    def wait() -> None:
        try:
            ask(cluster, SECRETS)
        except (http.client.HTTPException, OSError) as error:
            outcome.append(type(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not cluster.requests:  # the request has arrived and hangs
        waiting.join(0.01)
        assert not outcome
    cluster.faults.clear()
    waiting.join(10)
    assert outcome
    assert len(read(cluster)["items"]) == 3


def test_refused_connections_and_the_same_port_afterwards(cluster: Cluster) -> None:
    port = cluster.port
    cluster.faults.set("refuse")
    with pytest.raises(ConnectionRefusedError):
        ask(cluster, SECRETS)
    cluster.faults.clear()
    assert cluster.port == port
    assert ask(cluster, SECRETS).status == 200


def test_a_fault_for_some_requests_and_a_number_of_times(cluster: Cluster) -> None:
    cluster.faults.set("500", only="externalsecrets", times=2)
    codes = [ask(cluster, path).status for path in (SECRETS, "/version", SECRETS, SECRETS)]
    assert codes == [500, 200, 500, 200]


def test_a_watch_can_be_cut(cluster: Cluster) -> None:
    version = read(cluster)["metadata"]["resourceVersion"]
    cluster.faults.set("truncated")
    answer = ask(cluster, f"{SECRETS}?watch=true&timeoutSeconds=5&resourceVersion={version}")
    assert isinstance(answer.broken, http.client.IncompleteRead)


def test_an_unknown_fault_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        cluster.faults.set("earthquake")


# Rights, kinds, history


def test_denials_by_kind_and_verb(cluster: Cluster) -> None:
    cluster.deny("externalsecrets", "watch")
    assert ask(cluster, SECRETS).status == 200
    assert ask(cluster, f"{SECRETS}?watch=true&timeoutSeconds=1").status == 403
    cluster.deny("secrets")
    body = ask(cluster, "/api/v1/secrets").json
    assert body["message"] == (
        'secrets is forbidden: User "system:serviceaccount:secretsdash:reader" cannot list resource "secrets" in API '
        'group "" at the cluster scope'
    )
    cluster.allow("secrets")
    assert ask(cluster, "/api/v1/secrets").status == 200


def test_a_reader_without_any_write_may_still_ask_for_its_rights(cluster: Cluster) -> None:
    for verb in ("create", "update", "patch", "delete"):
        cluster.deny(verb=verb)
    cluster.deny("secrets")
    asked = {("list", "externalsecrets"): True, ("list", "secrets"): False, ("create", "externalsecrets"): False}
    for (verb, resource), allowed in asked.items():
        review = {"spec": {"resourceAttributes": {"verb": verb, "resource": resource}}}
        answer = post(cluster, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        assert answer.json["status"]["allowed"] is allowed
    assert post(cluster, "/api/v1/namespaces", {"metadata": {"name": "x"}}).status == 403


def test_another_clusters_ca_is_not_trusted() -> None:
    fleet = Fleet()
    one, other = fleet.add("one"), fleet.add("other")
    with running(fleet), pytest.raises(ssl.SSLCertVerificationError):
        ask(one, "/version", ca_pem=other.ca_pem)


def test_kinds_come_and_go(cluster: Cluster) -> None:
    cluster.uninstall("external-secrets")
    assert ask(cluster, SECRETS).status == 404
    assert "external-secrets.io" not in json.dumps(read(cluster, "/apis"))
    cluster.install("external-secrets", versions=["v1beta1"])
    assert read(cluster, "/apis/external-secrets.io")["preferredVersion"]["version"] == "v1beta1"
    cluster.load([external_secret("d") | {"apiVersion": "external-secrets.io/v1beta1"}])
    (item,) = read(cluster, "/apis/external-secrets.io/v1beta1/externalsecrets")["items"]
    assert item["apiVersion"] == "external-secrets.io/v1beta1"
    assert ask(cluster, SECRETS).status == 404


def test_lost_history_is_a_410(cluster: Cluster) -> None:
    page = read(cluster, limit=1)["metadata"]
    cluster.put(external_secret("d"))
    cluster.compact()
    gone = read(cluster, limit=1, **{"continue": page["continue"]})
    assert (gone["code"], gone["reason"]) == (410, "Expired")
    watch = ask(cluster, f"{SECRETS}?watch=true&timeoutSeconds=2&resourceVersion={page['resourceVersion']}")
    assert watch.json["object"]["code"] == 410


def test_the_log_keeps_at_least_a_hundred_changes_and_the_last_75_seconds(cluster: Cluster) -> None:
    begin = read(cluster)["metadata"]["resourceVersion"]
    cluster.clock = lambda: datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    cluster.load([external_secret("a") for _ in range(97)])
    cluster.clock = lambda: datetime(2026, 11, 24, 4, 2, tzinfo=UTC)
    path = f"{SECRETS}?watch=true&timeoutSeconds=1&resourceVersion={begin}"
    assert len(ask(cluster, path).body.splitlines()) == 97
    cluster.load([external_secret("a") for _ in range(200)])  # older entries make room, fresh ones make the log grow
    assert ask(cluster, path).json["object"]["code"] == 410
    now = read(cluster)["metadata"]["resourceVersion"]
    path = f"{SECRETS}?watch=true&timeoutSeconds=1&resourceVersion={int(now) - 200}"
    assert len(ask(cluster, path).body.splitlines()) == 200


# Objects as a test wants them


def test_loaded_objects_keep_what_they_bring(cluster: Cluster) -> None:
    given = {
        "uid": "6d50523a-3e11-4876-b0be-b5e177c15081",
        "creationTimestamp": "2026-11-24T04:17:02Z",
        "generation": 7,
    }
    cluster.load({"kind": "List", "apiVersion": "v1", "items": [external_secret("kept", **given)]})
    shown = read(cluster, fieldSelector="metadata.name=kept")["items"][0]
    assert given.items() <= shown["metadata"].items()
    assert shown["status"] == {"refreshTime": "2026-11-24T04:00:00Z"}


def test_put_and_remove_are_seen_by_a_watch(cluster: Cluster) -> None:
    version = read(cluster)["metadata"]["resourceVersion"]
    cluster.put(external_secret("a", labels={"x": "y"}))
    cluster.remove("ExternalSecret", "shop", "b")
    lines = ask(cluster, f"{SECRETS}?watch=true&timeoutSeconds=1&resourceVersion={version}").body.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["MODIFIED", "DELETED"]
    assert cluster.get("ExternalSecret", "shop", "b") is None


def test_the_date_header_follows_the_clusters_clock(cluster: Cluster) -> None:
    cluster.clock = lambda: datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    assert ask(cluster, "/version").headers["Date"] == "Tue, 24 Nov 2026 04:00:00 GMT"


def test_a_kubeconfig_with_everything_inline() -> None:
    fleet = Fleet()
    cluster = fleet.add("shop")
    config = yaml.safe_load(yaml.safe_dump(fleet.kubeconfig()))
    assert config["clusters"][0]["cluster"]["server"] == cluster.url
    assert config["users"][0]["user"] == {"token": cluster.token}
    assert config["contexts"][0]["name"] == "shop"


# The sealing certificate through the service proxy


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("http:sealed-secrets-controller:", 200),
        ("sealed-secrets-controller", 200),
        ("sealed-secrets-controller:8080", 200),
        ("https:sealed-secrets-controller:", 503),
        ("http:another:", 404),
    ],
)
def test_the_certificate_of_an_unnamed_port(cluster: Cluster, identifier: str, code: int) -> None:
    cluster.certificates[SERVICE] = "-----BEGIN CERTIFICATE-----\n"
    answer = ask(cluster, PROXY.format(identifier))
    assert answer.status == code
    if code == 200:
        assert answer.headers["Content-Type"] == "application/x-pem-file"
        assert answer.body == b"-----BEGIN CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("http:sealed-secrets-controller:http", 200),
        ("sealed-secrets-controller:8080", 200),
        ("sealed-secrets-controller", 503),
    ],
)
def test_the_certificate_of_a_named_port(cluster: Cluster, identifier: str, code: int) -> None:
    cluster.certificates[SERVICE] = "-----BEGIN CERTIFICATE-----\n"
    metadata = {"name": "sealed-secrets-controller", "namespace": "kube-system"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    cluster.put(service | {"spec": {"ports": [{"name": "http", "port": 8080}]}})
    assert ask(cluster, PROXY.format(identifier)).status == code


def test_the_proxy_can_be_denied(cluster: Cluster) -> None:
    cluster.certificates[SERVICE] = "-----BEGIN CERTIFICATE-----\n"
    cluster.deny("services/proxy")
    assert ask(cluster, PROXY.format("http:sealed-secrets-controller:")).status == 403
