"""Drift: the same object in several clusters, as far as we see it, and its pages."""

import re
from datetime import datetime
from html import unescape

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.facts import RemoteKey
from clusters.models import Cluster
from monitoring.drift import Values
from monitoring.filters import DriftFilters, WrongParameter
from monitoring.health import Health
from monitoring.models import Resource
from monitoring.views.drift import matrix, said
from tests.web import factories as make
from tests.web.drift_data import ALL, STORE, cluster, drift, one, secret
from tests.web.factories import HOUR, MINUTE, NOW
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import HOSTILE, text_of

__all__ = ["visitor"]

pytestmark = pytest.mark.django_db


def test_equal_specs_and_values_are_no_difference() -> None:
    for name in ("eu", "us"):
        secret(cluster(name), "x", interval="1h0m0s" if name == "us" else "")
    row = one()
    assert (row.specs, row.conflicts, row.differs) == ({}, (), False)
    assert row.values
    assert row.values.verdict is Values.EQUAL
    assert drift(DriftFilters(), NOW).rows == ()
    assert drift(DriftFilters(), NOW).compared == 1


def test_what_is_in_one_cluster_only_is_not_compared() -> None:
    secret(cluster("eu"), "x")
    cluster("us")
    assert drift(ALL, NOW).rows == ()


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
    assert (row.values.verdict, row.values.unknown) == (Values.UNKNOWN, ("ap",))
    assert "values are equal in 2 clusters; not seen now in 1 cluster" in said(row)


def test_what_is_seen_and_judged_unknown_is_compared() -> None:
    for name, interval in (("eu", "1h"), ("us", "5m")):
        health = Health.UNKNOWN if name == "us" else Health.HEALTHY
        secret(cluster(name), "x", interval=interval, health=health)
    assert list(one().specs) == ["interval"]


def test_mounts_of_pods_that_are_gone_do_not_count() -> None:
    for name in ("eu", "us"):
        made = cluster(name)
        source = {"provider": "aws", "source": "6" * 16, "objects": ["db"]}
        make.resource(made, "shop/api", kind="SecretProviderClass", counted=False, facts=source)
        orphaned = make.finding(Health.HEALTHY, "csi-orphaned-status")
        for pod, version, findings in (("p1", "2", ()), *([("gone", "1", (orphaned,))] if name == "us" else [])):
            mount = make.resource(
                made,
                f"shop/{pod}",
                kind="SecretProviderClassPodStatus",
                counted=False,
                findings=findings,
                facts={"pod": pod, "class_name": "api", "objects": [{"id": "db", "version": version}]},
            )
            make.reference(mount, "class", "SecretProviderClass", "shop/api")
    assert one().versions == ()


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
    row = one(DriftFilters(agree=(("stage", "prod"),)))
    assert set(row.cells) == {"eu", "us"}
    assert row.conflicts
    assert drift(DriftFilters(agree=(("stage", "prod"),), differ="stage"), NOW).rows[0].shared == ()
    assert one(DriftFilters(clusters=("eu", "stg"), differ="stage")).shared == (("eu", "stg"),)


@pytest.mark.parametrize(
    ("filters", "parameter"),
    [
        (DriftFilters(agree=(("stage", "nowhere"),)), "agree"),
        (DriftFilters(differ="nothing"), "differ"),
        (DriftFilters(clusters=("no-such",)), "cluster"),
    ],
)
def test_what_no_cluster_has_is_a_wrong_parameter(filters: DriftFilters, parameter: str) -> None:
    cluster("eu")
    with pytest.raises(WrongParameter) as refused:
        drift(filters, NOW)
    assert refused.value.parameter == parameter


def test_the_page_says_what_differs_and_where(viewer: Client, now: datetime) -> None:
    for name, value, interval in (("eu", "x", "1h"), ("us", "y", "30m"), ("ap", "x", "1h")):
        secret(cluster(name, now, labels={"stage": name}), value, now, interval=interval)
    secret(cluster("dev", now, t2=False), "", now)
    cluster("empty", now)
    make.compared()
    words = text_of(viewer, "/drift/?differ=stage")
    assert "1 of 1 object differs between clusters; 1 has one value where values must differ." in words
    assert "Values must differ by stage. Compare all clusters" in words
    assert "spec: interval" in words
    assert "all other values differ, as they must; not known without T2 in 1 cluster" in words
    assert "values differ; not known without T2 in 1 cluster" in text_of(viewer, "/drift/")
    assert "missing in empty" in words
    assert "Must differ one value in clusters whose label stage differs payments/db has one value in ap , eu ." in words
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
    make.compared()
    body = viewer.get("/drift/").content.decode()
    assert "<script>alert" not in body
    addresses = re.findall(r'<th scope="row" class="wrap"><a href="([^"]+)"', body)
    assert len(addresses) == 3
    for address in addresses:
        detail = viewer.get(unescape(address))
        assert detail.status_code == 200, address
        assert b"<script>alert" not in detail.content


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
    make.compared()
    return visitor


@pytest.mark.django_db(transaction=True)
def test_from_drift_to_what_differs(compared: Page) -> None:
    compared.get_by_role("link", name="Drift", exact=True).click()
    expect(compared.get_by_role("heading", level=1)).to_contain_text("differ between clusters")
    compared.get_by_role("textbox", name="Namespace").fill("shop")
    compared.get_by_text("What should agree").click()
    compared.get_by_role("textbox", name="Values must differ by").fill("stage")
    compared.get_by_role("button", name="Compare").click()
    expect(compared.get_by_role("region", name=re.compile("^Must differ"))).to_contain_text(
        "shop/password has one value in prod-eu, prod-us, stg-us."
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


@pytest.mark.django_db(transaction=True)
def test_an_object_is_a_card_with_chips_on_a_phone_and_a_row_of_a_table_elsewhere(
    compared: Page, live_server: LiveServer
) -> None:
    compared.goto(f"{live_server.url}/drift/?differ=stage")
    card = compared.get_by_role("region", name="Objects by cluster").locator("tr", has_text="shop/api")
    key = card.locator("td", has_text="dev/api")
    expect(key).to_contain_text("dev/api, property token")
    expect(card.get_by_text("prod-us", exact=True)).to_be_hidden()
    compared.set_viewport_size(PHONE)  # type: ignore[arg-type]
    expect(key.get_by_text("dev/api")).to_be_hidden()
    expect(card.get_by_text("spec: interval, immutable, key token")).to_be_visible()
    expect(card.get_by_text("prod-us", exact=True)).to_be_visible()
    expect(card.get_by_role("link", name="Healthy prod-us")).to_be_visible()  # the word is there to be read aloud
    assert card.evaluate("card => card.scrollWidth <= card.clientWidth && card.offsetHeight < innerHeight / 2")
    compared.goto(f"{live_server.url}/drift/ExternalSecret/shop/api/")
    expect(compared.get_by_role("heading", name="Field by field")).to_be_hidden()
    expect(compared.get_by_role("link", name="Healthy prod-us")).to_be_visible()
    expect(compared.get_by_role("region", name="The same everywhere")).to_contain_text("policy")
    compared.set_viewport_size({"width": 1440, "height": 900})
    expect(compared.get_by_role("heading", name="Field by field")).to_be_visible()
    expect(compared.get_by_role("heading", name="The same everywhere")).to_be_hidden()
