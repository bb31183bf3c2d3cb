"""Drift in the API, and wrong parameters, which pages and the API refuse alike."""

from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils.http import urlencode
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from monitoring.filters import DRIFT_PARAMETERS, WrongParameter, parse_drift
from monitoring.queries.paging import encode
from tests.web.api_data import client_for
from tests.web.drift_data import cluster, secret
from tests.web.factories import NOW
from tests.web.test_api_schema import strict
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db


QUERIES = [
    ("only=purple", "only"),
    ("only=all,missing", "only"),
    ("kind=Secret", "kind"),
    ("agree=stage", "agree"),
    ("agree=%3Dprod", "agree"),
    ("differ=a%20b", "differ"),
    ("cursor=nonsense", "cursor"),
    ("q=ab", "q"),
    ("colour=red", "colour"),
    (f"cursor={encode(('a', chr(0), 'b'))}", "cursor"),
    (f"cursor={encode(('a', 'b'))}", "cursor"),
]


@pytest.mark.parametrize(("query", "parameter"), QUERIES)
def test_wrong_parameters_are_named(viewer: Client, query: str, parameter: str) -> None:
    assert parameter in text_of(viewer, f"/drift/?{query}", status=400)
    answer = client_for().get(f"/api/v1/drift/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [parameter]


@pytest.mark.parametrize("text", ["stage", "=prod", "stage=", "st age=prod", f"stage={'x' * 300}"])
def test_a_label_has_a_name_and_a_value(text: str) -> None:
    with pytest.raises(WrongParameter, match=r"as in stage=production|is not the name of a label"):
        parse_drift(QueryDict(urlencode({"agree": text})), (), usual=False)


def test_the_api_answers_as_it_is_described() -> None:
    now = NOW.now(NOW.tzinfo)
    for name, value, interval in (("eu", "x", "1h"), ("us", "y", "30m"), ("stg", "x", "1h")):
        secret(cluster(name, now, labels={"stage": name}), value, now, interval=interval)
    answer = client_for().get("/api/v1/drift/?differ=stage").json()
    (row,) = answer["results"]
    assert (row["kind"], row["namespace"], row["name"]) == ("ExternalSecret", "payments", "db")
    assert [(cell["cluster"], cell["value"], cell["differs"]) for cell in row["clusters"]] == [
        ("eu", "x", False),
        ("stg", "x", False),
        ("us", "y", True),
    ]
    assert row["spec_drift"][0]["values"][0] == {"value": "1 h", "clusters": ["eu", "stg"]}
    assert (row["value_drift"], row["must_differ"]) == ("differ", [["eu", "stg"]])
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    described = schema["paths"]["/api/v1/drift/"]["get"]
    whole = strict(
        {**described["responses"]["200"]["content"]["application/json"]["schema"], "components": schema["components"]}
    )
    assert [f"{e.json_path}: {e.message}" for e in Draft202012Validator(whole).iter_errors(answer)] == []
    assert row.keys() == schema["components"]["schemas"]["Drift"]["properties"].keys()
    named = {parameter["name"] for parameter in described["parameters"]}
    assert named == {parameter.name for parameter in DRIFT_PARAMETERS} | {"cursor", "limit"}
