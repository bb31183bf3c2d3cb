"""The forms of an answer that can be asked for: metadata only, tables, whole objects."""

import base64
import json

import pytest

from tests.integration.contract.server import CORE, IN_NAMESPACE, METADATA, METADATA_LIST, TABLE, Client, fill


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
