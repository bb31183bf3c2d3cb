"""Lists as files."""

import csv
import io
from datetime import datetime

import pytest
from django.test import Client
from django.test.utils import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.models import Cluster
from monitoring.filters.rotations import AgeFilters
from monitoring.models import Resource
from monitoring.queries.ages import ages_of, export
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import NOW
from tests.web.rotations_data import every_kind, rotation
from tests.web.test_ages import RULES, aged

pytestmark = pytest.mark.django_db


LEDGER, AGES = "/rotations/", "/rotations/ages/"
STARTS = ("=", "+", "-", "@", "\t", "\r")


def file_of(client: Client, query: str = "", path: str = LEDGER) -> list[dict[str, str]]:
    answer = client.get(f"{path}?format=csv{query}")
    assert answer.status_code == 200
    assert answer.streaming
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.getvalue().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_file_has_the_words_and_the_rows_of_the_api(viewer: Client, now: datetime) -> None:
    every_kind(now)
    answer = viewer.get("/rotations/?format=csv")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="rotations-{now:%Y-%m-%d}.csv"'
    rows = file_of(viewer)
    told = client_for().get("/api/v1/rotations/").json()["results"]
    assert [{**row, "waves": []} for row in rows] == [
        {**{name: "" if value is None else str(value) for name, value in row.items()}, "waves": []} for row in told
    ]
    assert [row["source"] for row in file_of(viewer, "&confidence=inferred")] == ["resealed"]


def in_a_cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@override_settings(ROTATION_POLICY=RULES)
def test_ages_as_a_file_are_the_rows_of_the_api(viewer: Client, now: datetime) -> None:
    aged(now)
    answer = viewer.get(f"{AGES}?format=csv")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="ages-{now:%Y-%m-%d}.csv"'
    rows = file_of(viewer, path=AGES)
    told = client_for().get(f"/api/v1{AGES}").json()["results"]
    assert len(rows) == 8
    assert [{**row, "age": ""} for row in rows] == [
        {**{name: in_a_cell(value) for name, value in row.items()}, "age": ""} for row in told
    ]
    ages = [(int(row["age"]), of_api["age"]) for row, of_api in zip(rows, told, strict=True)]
    assert all(0 <= later - age < 60 for age, later in ages)
    assert [row["name"] for row in file_of(viewer, "&policy=past", AGES)] == ["unknown", "late"]
    assert "/rotations/ages/?policy=past&amp;format=csv" in viewer.get(f"{AGES}?policy=past").content.decode()


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
def test_parts_of_a_file_of_ages_are_the_whole_list(chunk: int) -> None:
    aged()
    whole = [row.resource_id for row in ages_of(AgeFilters(), RULES, NOW).rows]
    assert [row.resource_id for row in export(AgeFilters(), RULES, NOW, chunk=chunk)] == whole


HARMLESS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
TEXTS = st.one_of(HARMLESS, st.builds("{}{}".format, st.sampled_from(STARTS), HARMLESS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS, min_size=4, max_size=4))
def test_no_cell_is_a_formula_and_nothing_else_changes(viewer: Client, texts: list[str]) -> None:
    Cluster.objects.all().delete()
    namespace, name, before, after = texts
    rotation(make.cluster(), at=NOW).__class__.objects.update(
        namespace=namespace, name=name, before=before, after=after
    )
    (row,) = file_of(viewer)
    for column, text in (("namespace", namespace), ("name", name), ("before", before), ("after", after)):
        assert not row[column].startswith(STARTS)
        assert row[column].removeprefix("'") == text.removeprefix("'")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=2))
def test_no_cell_of_ages_is_a_formula(viewer: Client, texts: list[str]) -> None:
    Cluster.objects.all().delete()
    make.resource(make.cluster(), counted=False)
    Resource.objects.update(namespace=texts[0], name=texts[1])
    (row,) = file_of(viewer, path=AGES)
    for column, text in zip(("namespace", "name"), texts, strict=True):
        assert not row[column].startswith(STARTS)
        assert row[column].removeprefix("'") == text.removeprefix("'")
