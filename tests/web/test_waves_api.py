"""Waves in the API."""

from datetime import datetime
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.web.api_data import client_for
from tests.web.factories import NOW
from tests.web.test_api_schema import strict
from tests.web.waves_data import ADDRESS, three_clusters

pytestmark = pytest.mark.django_db


def problems(path: str, answer: object) -> list[str]:
    """Where an answer is not as the OpenAPI description of its path says."""
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    described = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = strict({**described, "components": schema["components"]})
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(answer)]


def test_the_api_answers_as_it_is_described() -> None:
    now = datetime.now(NOW.tzinfo)
    three_clusters(now)
    api = client_for()
    listed, one = api.get("/api/v1/waves/").json(), api.get(f"/api/v1{ADDRESS}").json()
    assert problems("/api/v1/waves/", listed) == []
    assert problems("/api/v1/waves/{source}/{digest}/", one) == []
    (row,) = listed["results"]
    assert (row["keys"], row["clusters"], row["under_way"]) == ([["prod/db", "password"]], ["ap", "eu", "us"], True)
    assert row["counts"] == {"lags": 1, "arrived": 2}
    assert api.get(row["address"]).json()["readers"] == one["readers"]
    assert [(reader["cluster"], reader["standing"], reader["delay_seconds"]) for reader in one["readers"]] == [
        ("ap", "lags", None),
        ("eu", "arrived", 0),
        ("us", "arrived", 720),
    ]
