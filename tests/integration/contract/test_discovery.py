"""What an API server tells of itself: versions, groups, resources, its clock."""

import email.utils
from datetime import UTC, datetime

import pytest

from tests.integration.contract.server import CORE, MOUNTS, Client, mount


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


def test_the_date_header_is_the_servers_clock(client: Client) -> None:
    date = email.utils.parsedate_to_datetime(client.get("/version").headers["date"])
    assert abs((datetime.now(UTC) - date).total_seconds()) < 60
