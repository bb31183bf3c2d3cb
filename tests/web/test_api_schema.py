"""The OpenAPI description is valid, complete, and says what the answers hold."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from rest_framework.schemas.generators import EndpointEnumerator

from monitoring import filters
from tests.web.api_data import add_cluster, add_resource, client_for

pytestmark = pytest.mark.django_db

ANSWERS = {
    "/api/v1/clusters/": "/api/v1/clusters/",
    "/api/v1/clusters/{name}/": "/api/v1/clusters/prod/",
    "/api/v1/resources/": "/api/v1/resources/",
    "/api/v1/resources/{resource_id}/": "/api/v1/resources/{id}/",
    "/api/v1/transitions/": "/api/v1/transitions/",
    "/api/v1/collections/": "/api/v1/collections/",
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def test_the_description_is_valid_and_complete(schema: dict[str, Any]) -> None:
    reset_generator_stats()
    validate_schema(SchemaGenerator().get_schema(request=None, public=True))
    assert not GENERATOR_STATS


def test_every_endpoint_is_described(schema: dict[str, Any]) -> None:
    paths = {path for path, _, _ in EndpointEnumerator().get_api_endpoints() if path.startswith("/api/v1/")}
    assert schema["paths"].keys() == paths | {"/api/schema/"} or schema["paths"].keys() == paths


def test_every_endpoint_asks_for_a_token_or_a_sign_in(schema: dict[str, Any]) -> None:
    wanted: list[dict[str, list[str]]] = [{"token": []}, {"cookieAuth": []}]
    found = [operation["security"] for path in schema["paths"].values() for operation in path.values()]
    assert found
    assert all(security == wanted for security in found)
    assert schema["components"]["securitySchemes"]["token"]["name"] == "Authorization"


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/resources/", filters.RESOURCE_PARAMETERS),
        ("/api/v1/transitions/", filters.TRANSITION_PARAMETERS),
        ("/api/v1/collections/", filters.COLLECTION_PARAMETERS),
        ("/api/v1/clusters/", filters.CLUSTER_PARAMETERS),
    ],
)
def test_every_filter_is_described(
    schema: dict[str, Any], path: str, parameters: tuple[filters.Parameter, ...]
) -> None:
    described = {parameter["name"] for parameter in schema["paths"][path]["get"]["parameters"]}
    assert described == {parameter.name for parameter in parameters} | {"cursor", "limit"}


def strict(value: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: null where it is allowed, and no property that is not described."""
    if isinstance(value, list):
        return [strict(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: strict(item) for key, item in value.items() if key not in ("nullable", "format", "readOnly")}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return {"anyOf": [found, {"type": "null"}]} if value.get("nullable") else found


@pytest.mark.parametrize("path", ANSWERS)
def test_answers_are_as_described(schema: dict[str, Any], path: str) -> None:
    now = datetime.now(UTC)
    row = add_resource(add_cluster("prod", now), "db", now)
    add_cluster("silent", now).state.delete()
    answer = client_for().get(ANSWERS[path].replace("{id}", str(row.pk))).json()
    described = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = strict({**described, "components": schema["components"]})
    problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(answer)]
    assert problems == []


def test_every_row_holds_every_field_of_its_description(schema: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    add_resource(add_cluster("prod", now), "db", now)
    [found] = client_for().get("/api/v1/resources/").json()["results"]
    assert found.keys() == schema["components"]["schemas"]["Resource"]["properties"].keys()


def test_credentials_go_in_only(schema: dict[str, Any]) -> None:
    shown = {
        name
        for component, value in schema["components"]["schemas"].items()
        if not component.endswith("Request") and component != "Registration"
        for name in value.get("properties", {})
    }
    assert shown.isdisjoint({"token", "client_certificate", "client_key", "ca_pem", "kubeconfig", "sealed"})


def test_it_is_served(schema: dict[str, Any]) -> None:
    answer = client_for().get("/api/schema/", headers={"Accept": "application/json"})
    assert json.loads(answer.content)["paths"].keys() >= schema["paths"].keys()


def test_the_page_for_people_has_no_inline_script_and_no_other_host() -> None:
    client: Client = client_for()
    page = client.get("/api/docs/").content.decode()
    assert "<style" not in page
    assert "style=" not in page
    assert "//" not in page.replace("<!DOCTYPE", "")
    assert page.count("<script") == page.count("<script src=")
    script = client.get("/api/docs/?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode().replace("\\u002D", "-").replace("\\u002F", "/")
