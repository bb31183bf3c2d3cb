"""Lists: pages, their order, selectors, compression."""

import gzip
import json

import pytest

from tests.integration.contract.server import (
    CORE,
    IN_NAMESPACE,
    METADATA_LIST,
    NAMESPACE,
    SECRETS,
    Client,
    external_secret,
    fill,
    k8s_event,
)


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
