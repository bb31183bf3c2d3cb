"""Drift on pages and in the API: the same object in several clusters, as far as we see it."""

import re
from datetime import datetime
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.http import urlencode
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.facts import RefreshedFacts, RemoteKey, ResourceKey, facts_to_json
from clusters.models import Cluster
from monitoring import queries
from monitoring.drift import Values
from monitoring.filters import DRIFT_PARAMETERS, DriftFilters, WrongParameter, parse_drift
from monitoring.health import Health
from monitoring.models import Resource, Revision
from monitoring.queries.drift import Budget
from monitoring.queries.paging import encode
from monitoring.views.drift import matrix
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, HOUR, MINUTE, NOW
from tests.web.test_api_schema import strict
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import HOSTILE, text_of

__all__ = ["visitor"]

pytestmark = pytest.mark.django_db
ALL = DriftFilters(only="all")
STORE = ResourceKey("ClusterSecretStore", "", "vault")


def facts(**changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "ready": True,
        "interval": "1h",
        "store": "ClusterSecretStore vault",
        "stores": (STORE,),
        "target": "db",
        "keys": (RemoteKey(store=STORE, key="apps/db", property="password", secret_key="password"),),
    }
    return facts_to_json(RefreshedFacts(**{**values, **changed}))


def cluster(name: str, now: datetime = NOW, *, t2: bool = True, **fields: Any) -> Cluster:
    made = make.cluster(name, now, **fields)
    if t2:
        make.cursor(made, "Secret", now, read_at=now - MINUTE, outcome="complete")
    return made


def secret(
    of: Cluster, value: str = "", now: datetime = NOW, full_name: str = "payments/db", **changed: Any
) -> Resource:
    """An ExternalSecret and, with `value`, its target, whose tag that is."""
    health = changed.pop("health", Health.HEALTHY)
    if value:
        tag = {"data_tag": f"sha3.k.{value}"}
        make.resource(of, full_name, now=now, kind="Secret", counted=False, facts=tag)
    target = full_name.rpartition("/")[2]
    return make.resource(of, full_name, health, now, counted=False, facts=facts(**{"target": target, **changed}))


def one(filters: DriftFilters = ALL) -> queries.DriftRow:
    (row,) = queries.drift(filters, NOW).rows
    return row


def test_equal_specs_and_values_are_no_difference() -> None:
    for name in ("eu", "us"):
        secret(cluster(name), "x", interval="1h0m0s" if name == "us" else "")
    row = one()
    assert (row.specs, row.values_differ, row.differs) == ({}, False, False)
    assert row.values
    assert row.values.verdict is Values.EQUAL
    assert queries.drift(DriftFilters(), NOW).rows == ()
    assert queries.drift(DriftFilters(), NOW).compared == 1


def test_what_is_in_one_cluster_only_is_not_compared() -> None:
    secret(cluster("eu"), "x")
    cluster("us")
    assert queries.drift(ALL, NOW).rows == ()


def test_fields_values_and_stores_that_differ() -> None:
    for name, value, interval in (("eu", "x", "1h"), ("us", "y", "1h"), ("ap", "x", "30m")):
        made = cluster(name)
        secret(made, value, interval=interval)
        path = {"provider": "vault", "path": "https://a/kv" if name != "us" else "https://b/kv"}
        make.resource(made, "vault", kind="ClusterSecretStore", facts=path)
    row = one(DriftFilters())
    assert row.specs == {
        "interval": {"1 h": ("eu", "us"), "30 min": ("ap",)},
        "path of the store": {"https://a/kv": ("ap", "eu"), "https://b/kv": ("us",)},
    }
    assert row.values
    assert [clusters for _, clusters in row.values.groups] == [("ap", "eu"), ("us",)]
    assert row.odd == {"ap", "us"}


def test_a_value_is_unknown_without_t2_and_where_secrets_are_not_read_any_more() -> None:
    secret(cluster("eu"), "x")
    secret(cluster("us", t2=False), "x")
    late = cluster("ap", t2=False)
    make.cursor(late, "Secret", NOW, read_at=NOW - HOUR, outcome="failed")
    secret(late, "y")
    values = one().values
    assert values
    assert (values.verdict, values.unknown) == (Values.UNKNOWN, ("ap", "us"))


def test_a_cluster_that_is_not_seen_now_is_not_compared() -> None:
    secret(cluster("eu"), "x")
    secret(cluster("us"), "x")
    secret(cluster("ap", read=HOUR, failing=HOUR), "y", interval="5m")
    row = one()
    assert not row.differs
    assert row.cells["ap"].health is Health.UNKNOWN
    assert row.values
    assert row.values.verdict is Values.EQUAL


def test_missing_not_installed_and_not_known() -> None:
    for name in ("eu", "us"):
        secret(cluster(name))
    cluster("empty")
    cluster("bare", not_installed=("ExternalSecret",))
    cluster("dead", read=HOUR)
    cluster("off", enabled=False)
    row = one(DriftFilters(only="missing"))
    assert (row.missing, row.not_installed) == (("empty",), ("bare",))
    assert set(row.cells) == {"eu", "us"}


def test_versions_of_mounts_where_the_source_is_one() -> None:
    for name, version, source in (("eu", "2", "s"), ("us", "1", "s"), ("ap", "9", "")):
        made = cluster(name)
        make.resource(made, "search/api", kind="SecretProviderClass", facts={"provider": "azure", "source": source})
        mounted = {"objects": [{"id": "db", "version": version}], "class_name": "api"}
        mount = make.resource(made, "search/pod-api", kind="SecretProviderClassPodStatus", facts=mounted)
        make.reference(mount, "class", "SecretProviderClass", "search/api")
    row = one(DriftFilters())
    (found,) = row.versions
    assert (found.object_id, found.versions) == ("db", {"eu": ("2",), "us": ("1",)})
    assert row.values is None
    cells = {line.field: line.cells for line in matrix(row, ["eu", "us", "ap"])}
    assert cells["version of db"] == (("2", True), ("1", True), ("not compared", False))


def test_items_of_sealed_secrets() -> None:
    for name, items in (("eu", "ab"), ("us", "a")):
        sealed = {"sealed": [{"name": item, "digest": f"{name}{item}"} for item in items], "target": "db"}
        make.resource(cluster(name), "shop/db", kind="SealedSecret", facts=sealed)
    row = one(DriftFilters())
    assert row.specs == {"items": {"a": ("us",), "a, b": ("eu",)}}
    assert row.odd == {"eu", "us"}  # neither of two is the odd one


def test_rules_of_agreement() -> None:
    for name, stage, value in (("eu", "prod", "x"), ("us", "prod", "y"), ("stg", "staging", "x"), ("dev", "", "z")):
        secret(cluster(name, labels={"stage": stage} if stage else {}), value)
    row = one(DriftFilters(differ="stage"))
    assert row.shared == (("eu", "stg"),)
    row = one(DriftFilters(agree=("stage", "prod")))
    assert set(row.cells) == {"eu", "us"}
    assert row.values_differ
    assert queries.drift(DriftFilters(agree=("stage", "prod"), differ="stage"), NOW).rows[0].shared == ()
    assert one(DriftFilters(clusters=("eu", "stg"), differ="stage")).shared == (("eu", "stg"),)


@pytest.mark.parametrize(
    ("filters", "parameter"),
    [
        (DriftFilters(agree=("stage", "nowhere")), "agree"),
        (DriftFilters(differ="nothing"), "differ"),
        (DriftFilters(clusters=("no-such",)), "cluster"),
    ],
)
def test_what_no_cluster_has_is_a_wrong_parameter(filters: DriftFilters, parameter: str) -> None:
    cluster("eu")
    with pytest.raises(WrongParameter) as refused:
        queries.drift(filters, NOW)
    assert refused.value.parameter == parameter


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
        parse_drift(QueryDict(urlencode({"agree": text})))


def many(number: int, clusters: int = 2) -> None:
    made = [cluster(f"c{place}") for place in range(clusters)]
    for name in range(number):
        for place, of in enumerate(made):
            secret(
                of,
                f"v{name % 3 and place}",
                full_name=f"ns-{name % 4}/s{name:03}",
                interval="1h" if name % 5 else f"{place}h",
            )


@pytest.mark.parametrize("filters", [ALL, DriftFilters(), DriftFilters(only="missing"), DriftFilters(q="s01")])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_together_are_the_whole_list(filters: DriftFilters, limit: int) -> None:
    many(40)
    whole = queries.drift(filters, NOW, limit=500)
    paged: list[queries.DriftRow] = []
    cursor, compared = "", 0
    while True:
        page = queries.drift(filters, NOW, cursor, limit)
        paged += page.rows
        compared += page.compared
        cursor = page.next
        if not cursor:
            break
    assert [row.key for row in paged] == [row.key for row in whole.rows]
    assert [row.key for row in paged] == sorted([row.key for row in paged], key=lambda key: (key[1], key[2], key[0]))
    assert compared == whole.compared
    assert whole.next == ""


@pytest.mark.parametrize(
    "budget", [Budget(scanned=1), Budget(scanned=5), Budget(loaded=20), Budget(scanned=7, loaded=1)]
)
def test_a_part_of_the_index_is_a_page_even_if_nothing_in_it_differs(budget: Budget) -> None:
    many(30, clusters=3)
    everything = [row.key for row in queries.drift(DriftFilters(), NOW, limit=500).rows]
    found: list[ResourceKey] = []
    cursor, pages = "", 0
    while (pages == 0 or cursor) and pages < 50:
        page = queries.drift(DriftFilters(), NOW, cursor, budget=budget)
        found += [row.key for row in page.rows]
        cursor, pages = page.next, pages + 1
    assert found == everything
    assert pages > 3


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows() -> None:
    counted = []
    for number in (2, 60):
        Cluster.objects.all().delete()
        many(number, clusters=number // 10 + 2)
        with CaptureQueriesContext(connection) as found:
            queries.drift(DriftFilters(clusters=("c*",), differ=""), NOW)
        counted.append(len(found))
    assert counted[0] == counted[1] <= 7


def test_at_most_twelve_clusters_are_beside_each_other_the_worst_first() -> None:
    for place in range(20):
        health = Health.FAILING if place == 17 else Health.HEALTHY
        secret(cluster(f"c{place:02}"), "x", interval="5m" if place == 9 else "1h", health=health)
    found = queries.drift(DriftFilters(), NOW)
    assert found.columns[:3] == ("c17", "c09", "c00")
    assert len(found.columns) == 12


def test_the_page_says_what_differs_and_where(viewer: Client, now: datetime) -> None:
    for name, value, interval in (("eu", "x", "1h"), ("us", "y", "30m"), ("ap", "x", "1h")):
        secret(cluster(name, now, labels={"stage": name}), value, now, interval=interval)
    secret(cluster("dev", now, t2=False), "", now)
    cluster("empty", now)
    words = text_of(viewer, "/drift/?differ=stage")
    assert "1 of 1 object differs between clusters." in words
    assert "spec: interval" in words
    assert "values differ; not known without T2 in 1 cluster" in words
    assert "missing in empty" in words
    assert "Must differ" in words
    assert "one value in ap , eu" in words
    detail = text_of(viewer, "/drift/ExternalSecret/payments/db/?differ=stage")
    assert "It differs between clusters." in detail
    assert "30 min" in detail
    assert "differs" in detail
    assert "not known" in detail
    assert "The labels of these clusters say so, but they have one value: ap , eu" in detail


def test_equal_is_said_only_where_it_is_known(viewer: Client, now: datetime) -> None:
    for name in ("eu", "us"):
        secret(cluster(name, now), "x", now)
    assert "values are equal" in text_of(viewer, "/drift/?only=all")
    Resource.objects.filter(kind="Secret", cluster__name="us").delete()
    words = text_of(viewer, "/drift/?only=all")
    assert "values are equal" not in words
    assert "values: no hash of it in 1 cluster" in words
    assert "are alike in all clusters" in text_of(viewer, "/drift/")


def test_an_object_that_no_cluster_has_is_not_found(viewer: Client, now: datetime) -> None:
    secret(cluster("eu", now), "x", now)
    assert "in one cluster only" in text_of(viewer, "/drift/ExternalSecret/payments/db/")
    text_of(viewer, "/drift/ExternalSecret/payments/other/", status=404)
    text_of(viewer, "/drift/Secret/payments/db/", status=404)
    text_of(viewer, "/drift/ExternalSecret/payments/db/?window=5d", status=400)


def test_odd_names_are_escaped_and_have_a_page(viewer: Client, now: datetime) -> None:
    for name, interval in (("eu", "1h"), ("us", HOSTILE)):
        made = cluster(name, now)
        for full_name in (f"shop/{HOSTILE.replace('/', '')}", "no-namespace", "a/b/c"):
            secret(made, "", now, full_name=full_name, interval=interval)
    body = viewer.get("/drift/").content.decode()
    assert "<script>alert" not in body
    addresses = re.findall(r'<th scope="row" class="wrap"><a href="([^"]+)"', body)
    assert len(addresses) == 3
    for address in addresses:
        detail = viewer.get(unescape(address))
        assert detail.status_code == 200, address
        assert b"<script>alert" not in detail.content


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


def suspicious(now: datetime) -> Resource:
    made = make.cluster(now=now)
    row = make.resource(made, "payments/db", Health.FAILING, now, since=HOUR, findings=(make.finding(Health.FAILING),))
    make.reference(row, "store", "ClusterSecretStore", "vault")
    make.resource(made, "vault", now=now, kind="ClusterSecretStore")
    for key, what, before, after, by, ago in (
        (STORE, "spec", "generation 3", "generation 4", "argocd", HOUR + 2 * MINUTE),
        (ResourceKey("ExternalSecret", "payments", "db"), "labels", "", "", HOSTILE, 2 * HOUR),
        (ResourceKey("Cluster", "", "ExternalSecret"), "served version", "v1beta1", "v1", "", 5 * HOUR),
        (ResourceKey("ExternalSecret", "payments", "other"), "spec", "generation 1", "generation 2", "", HOUR),
        (STORE, "spec", "generation 2", "generation 3", "", 2 * DAY),
    ):
        Revision.objects.create(
            **{"kind": key.kind, "namespace": key.namespace, "name": key.name, "what": what, "by": by},
            **{"cluster": made, "at": now - ago, "seen_at": now, "before": before, "after": after},
        )
    return row


def test_a_failing_resource_names_its_suspects(viewer: Client, now: datetime) -> None:
    row = suspicious(now)
    words = text_of(viewer, f"/resources/{row.pk}/")
    assert "What changed shortly before" in words
    told = [
        "Spec of ClusterSecretStore vault by argocd generation 3 → generation 4",
        "Labels of this ExternalSecret by",
        "Served version of the API server for ExternalSecret v1beta1 → v1",
    ]
    places = [words.index(line) for line in told]
    assert places == sorted(places)
    assert "generation 2" not in words
    assert "<script>alert" not in viewer.get(f"/resources/{row.pk}/").content.decode()


def test_no_suspect_is_said_and_a_healthy_resource_has_no_panel(viewer: Client, now: datetime) -> None:
    row = suspicious(now)
    Revision.objects.all().delete()
    assert "Nothing that we watch changed in the day before" in text_of(viewer, f"/resources/{row.pk}/")
    well = make.resource(row.cluster, "payments/well", now=now)
    assert "What changed shortly before" not in text_of(viewer, f"/resources/{well.pk}/")


@pytest.fixture
def compared(visitor: Page, now: datetime) -> Page:
    """A visitor of a fleet in which some objects are in several clusters, and differ in every way."""
    clusters = {made.name: made for made in Cluster.objects.all()}
    for name, stage in (("prod-eu", "production"), ("prod-us", "production"), ("stg-us", "staging"), ("dev-1", "dev")):
        made = clusters[name]
        Cluster.objects.filter(pk=made.pk).update(labels={"stage": stage})
        make.cursor(made, "Secret", now, read_at=now - MINUTE, outcome="complete")
        secret(made, "3f9c21abe0" if stage != "dev" else "77aa01", now, "shop/password")
        keys = (RemoteKey(store=STORE, key=f"{stage}/api", property="token", secret_key="token"),)
        secret(
            made,
            "",
            now,
            "shop/api",
            keys=keys,
            interval="1h0m0s" if name == "prod-us" else "30m",
            immutable=name == "dev-1",
        )
    for name, version in (("prod-eu", "7c1e"), ("prod-us", "41aa"), ("prod-ap", "7c1e")):
        facts = {"provider": "azure", "source": "s", "objects": ["db-password"]}
        make.resource(clusters[name], "shop/mounted", now=now, kind="SecretProviderClass", facts=facts, counted=False)
        mount = make.resource(
            clusters[name],
            "shop/pod-1-mounted",
            now=now,
            kind="SecretProviderClassPodStatus",
            counted=False,
            facts={"objects": [{"id": "db-password", "version": version}], "class_name": "mounted"},
        )
        make.reference(mount, "class", "SecretProviderClass", "shop/mounted")
    return visitor


@pytest.mark.django_db(transaction=True)
def test_from_drift_to_what_differs(compared: Page) -> None:
    compared.get_by_role("link", name="Drift", exact=True).click()
    expect(compared.get_by_role("heading", level=1)).to_contain_text("differ between clusters")
    compared.get_by_role("textbox", name="Namespace").fill("shop")
    compared.get_by_role("textbox", name="Values must differ by").fill("stage")
    compared.get_by_role("button", name="Compare").click()
    expect(compared.get_by_role("region", name="Must differ", exact=True)).to_contain_text(
        "one value in prod-eu, prod-us, stg-us"
    )
    compared.get_by_role("link", name="shop/api").click()
    expect(compared.get_by_role("heading", level=1)).to_have_text("It differs between clusters.")
    row = compared.get_by_role("region", name="Field by field").get_by_role("row", name="immutable")
    expect(row).to_contain_text("yes differs")
    compared.get_by_role("link", name="Drift", exact=True).last.click()
    expect(compared.get_by_role("textbox", name="Values must differ by")).to_have_value("stage")


@pytest.mark.django_db(transaction=True)
def test_drift_on_a_phone(compared: Page, live_server: LiveServer) -> None:
    compared.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/drift/?differ=stage", "/drift/?only=all", "/drift/ExternalSecret/shop/api/?differ=stage"):
        compared.goto(live_server.url + path)
        assert compared.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        small = compared.evaluate(
            """() => [...document.querySelectorAll('main a, button, input:not([type=hidden]), select, summary')]
                .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 39.5)
                .map((element) => element.outerHTML.slice(0, 120))"""
        )
        assert small == [], path
