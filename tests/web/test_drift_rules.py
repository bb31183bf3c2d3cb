"""Rules of agreement on pages and in the API: which clusters are compared, what may differ, and what must."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from clusters.facts import RemoteKey
from monitoring import queries
from monitoring.agreement import Agreement
from monitoring.filters import DriftFilters
from monitoring.views.drift import matrix
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.drift_data import ALL, STORE, cluster, drift, one, secret
from tests.web.factories import NOW
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db

PRODUCTION = Agreement(name="production", agree=(("stage", "production"),), excepted=("key", "path of the store"))
STAGES = Agreement(name="stages", differ="stage", excepted=("interval",))


@pytest.fixture
def rules(settings: Any) -> None:
    settings.DRIFT_RULES = (PRODUCTION, STAGES)


def key(path: str, name: str = "password") -> RemoteKey:
    return RemoteKey(store=STORE, key=path, property="password", secret_key=name)


def fleet(now: datetime = NOW) -> None:
    """Two production clusters at two providers that read one value from two places, and staging, which shares it."""
    for name, stage, interval in (("eu", "production", "1h"), ("us", "production", "1h"), ("stg", "staging", "5m")):
        made = cluster(name, now, labels={"stage": stage})
        secret(made, "x", now, interval=interval, keys=(key(f"{name}/db"), key("apps/user", "user")))
        store = {"provider": "vault", "path": f"https://{name}"}
        make.resource(made, "vault", now=now, kind="ClusterSecretStore", facts=store)
        secret(made, f"of-{name}" if stage == "production" else "other", now, "payments/other", interval=interval)
    make.compared()


def test_fields_that_may_differ_are_no_difference() -> None:
    fleet()
    row = one(DriftFilters(only="all", names=("db",)))
    assert list(row.specs) == ["interval", "key password", "path of the store"]
    row = one(DriftFilters(only="all", names=("db",), excepted=("key", "path")))
    assert list(row.specs) == ["interval"]
    assert row.odd == {"stg"}
    row = one(DriftFilters(only="all", names=("db",), rule=PRODUCTION))
    assert (dict(row.specs), row.differs, row.odd, set(row.cells)) == ({}, False, frozenset(), {"eu", "us"})
    notes = {line.field: line.note for line in matrix(row, ["eu", "us"]) if line.note}
    assert notes == dict.fromkeys(["key password", "path of the store"], "may differ")
    assert not any(odd for line in matrix(row, ["eu", "us"]) for _, odd in line.cells)


def test_what_differs_only_where_it_may_is_not_listed() -> None:
    fleet()
    listed = drift(DriftFilters(rule=PRODUCTION, excepted=("key", "path", "value")), NOW)
    assert (listed.rows, listed.compared) == ((), 2)
    assert [row.key.name for row in drift(DriftFilters(rule=PRODUCTION), NOW).rows] == ["other"]


def test_mounted_versions_may_differ() -> None:
    for name, version in (("eu", "2"), ("us", "1")):
        made = cluster(name)
        make.resource(made, "shop/api", kind="SecretProviderClass", facts={"provider": "azure", "source": "s"})
        facts = {"objects": [{"id": "db", "version": version}], "class_name": "api"}
        mount = make.resource(made, "shop/pod-api", kind="SecretProviderClassPodStatus", facts=facts)
        make.reference(mount, "class", "SecretProviderClass", "shop/api")
    assert one().versions
    assert one(DriftFilters(only="all", excepted=("version of db",))).versions == ()
    assert one(DriftFilters(only="all", excepted=("version of other",))).versions


def test_values_that_differ_where_they_must_are_no_difference() -> None:
    stages = {"eu": "production", "us": "production", "stg": "staging", "free": ""}
    made = {name: cluster(name, labels={"stage": stage} if stage else {}) for name, stage in stages.items()}
    values = {"eu": "x", "us": "x", "stg": "y"}
    for name, value in values.items():
        secret(made[name], value)
    assert one().conflicts
    row = one(DriftFilters(only="all", differ="stage"))
    assert (row.differs, row.odd) == (False, frozenset())
    assert [line.note for line in matrix(row, ["eu", "stg"]) if line.field == "value"] == ["must differ"]
    assert drift(DriftFilters(differ="stage"), NOW).rows == ()
    secret(made["free"], "y")  # has no say, so it should have what the others have
    row = one(DriftFilters(differ="stage"))
    assert [[clusters for _, clusters in values.groups] for values in row.conflicts] == [[("eu", "us"), ("free",)]]
    assert row.odd == {"free"}


def test_the_list_takes_the_first_rule_and_says_so(viewer: Client, now: datetime, rules: None) -> None:
    fleet(now)
    words = text_of(viewer, "/drift/")
    assert "1 of 2 objects differs between clusters." in words
    assert "production stages all clusters" in words
    assert (
        "Rule production: only clusters with stage=production are compared; key and path of the store may differ. "
        "Compare all clusters" in words
    )
    body = viewer.get("/drift/").content.decode()
    assert 'href="/drift/?rule=production" aria-current="true">production' in body
    assert 'href="/drift/?rule=none">Compare all clusters' in body
    assert 'href="/drift/ExternalSecret/payments/other/?rule=production"' in body
    assert "/api/v1/drift/?rule=production" in body
    assert '<input type="hidden" name="rule" value="production">' in body


def test_another_rule_none_and_what_an_address_overrules(viewer: Client, now: datetime, rules: None) -> None:
    fleet(now)
    assert "Rule stages: values must differ by stage; interval may differ." in text_of(viewer, "/drift/?rule=stages")
    everything = text_of(viewer, "/drift/?rule=none")
    assert "2 of 2 objects differ between clusters." in everything
    assert "Rule" not in everything
    changed = text_of(viewer, "/drift/?rule=production&except=interval")
    assert (
        "Rule production, changed by this address: only clusters with stage=production are compared; interval may"
        in (changed)
    )
    assert "interval may differ." in text_of(viewer, "/drift/?except=interval").lower()
    assert "Interval may differ." in text_of(viewer, "/drift/?except=interval")


def test_a_rule_that_fits_no_cluster_is_a_page_that_says_so(viewer: Client, now: datetime, settings: Any) -> None:
    fleet(now)
    settings.DRIFT_RULES = (Agreement(name="gone", agree=(("stage", "gone"),)), Agreement(name="odd", differ="team"))
    assert "No cluster has the labels that the rule asks for. Compare all clusters" in text_of(viewer, "/drift/")
    words = text_of(viewer, "/drift/?rule=odd")
    assert "No cluster that is compared has the label team , so nothing must differ." in words
    text_of(viewer, "/drift/?agree=stage=gone", status=400)
    text_of(viewer, "/drift/?rule=gone&differ=team", status=400)


def test_an_unknown_rule_is_a_wrong_parameter_with_the_rules_there_are(viewer: Client, rules: None) -> None:
    for path in ("/drift/", "/drift/ExternalSecret/payments/db/"):
        words = text_of(viewer, f"{path}?rule=other", status=400)
        assert "rule : 'other' is not the name of a rule" in words
        assert "production, stages, none" in words
    answer = client_for().get("/api/v1/drift/?rule=other")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["rule"])
    assert "production" in answer.content.decode()


def test_the_page_of_an_object_keeps_to_the_rule(viewer: Client, now: datetime, rules: None) -> None:
    fleet(now)
    path = "/drift/ExternalSecret/payments/db/"
    words = text_of(viewer, path)
    assert "Nothing that we can compare differs." in words
    assert "ExternalSecret in 2 clusters" in words
    assert "Rule production: only clusters" in words
    assert "key password may differ" in words
    assert "May differ by agreement" in words
    assert "key password eu/db, property password 1 eu us/db, property password 1 us" in words
    assert "It differs between clusters." in text_of(viewer, f"{path}?rule=none")
    body = viewer.get(path).content.decode()
    assert 'href="/drift/?rule=production"' in body
    assert "/api/v1/drift/?rule=production&amp;kind=ExternalSecret" in body
    assert "under the rule production has this object" in text_of(
        viewer, "/drift/ExternalSecret/payments/none/", status=404
    )


def test_objects_that_share_a_value_come_first(viewer: Client, now: datetime, rules: None) -> None:
    fleet(now)
    path = 'href="/drift/ExternalSecret/payments/db/?rule=stages"'
    for query in ("", "&only=missing", "&only=all"):
        url = f"/drift/?rule=stages{query}"
        words = text_of(viewer, url)
        assert "payments/db has one value in eu , stg , us ." in words
        assert "1 has one value where values must differ." in words
        body = viewer.get(url).content.decode()
        assert path in body
        assert body.index(path) < body.find('aria-label="Drift"') or 'aria-label="Drift"' not in body
    assert 'aria-label="Drift"' not in viewer.get("/drift/?rule=stages&only=missing").content.decode()


def test_equal_in_everything_is_found_where_values_must_differ() -> None:
    for name in ("prod", "stg"):
        secret(cluster(name, labels={"stage": name}), "x")
    found = drift(DriftFilters(differ="stage"), NOW)
    (row,) = found.rows
    assert (found.sharing, row.disagrees, row.differs) == ((row,), False, True)
    missing = drift(DriftFilters(differ="stage", only="missing"), NOW)
    assert (missing.rows, missing.sharing) == ((), (row,))


@pytest.mark.parametrize("only", ["differences", "missing", "all"])
def test_pages_together_name_everything_that_shares(only: str) -> None:
    made = [cluster(name, labels={"stage": name}) for name in ("prod", "stg")]
    for number in range(9):
        for of in made:
            secret(of, f"v{number}", full_name=f"shop/s{number}")
    found: list[queries.DriftRow] = []
    cursor, pages = "", 0
    while (pages == 0 or cursor) and pages < 9:
        page = drift(DriftFilters(only=only, differ="stage"), NOW, cursor, 4)
        assert len(page.sharing) <= 4
        found += page.sharing
        cursor, pages = page.next, pages + 1
    assert [row.key.name for row in found] == [f"s{number}" for number in range(9)]


def test_the_api_takes_a_rule_when_it_is_asked(rules: None) -> None:
    now = NOW.now(NOW.tzinfo)
    fleet(now)

    client = client_for()

    def rows(query: str) -> dict[str, Any]:
        answer = client.get(f"/api/v1/drift/?name=db&only=all&{query}").json()
        (row,) = answer["results"]
        return {**row, "hashes": {cell["cluster"]: cell["spec"] for cell in row["clusters"]}}

    assert len(rows("")["spec_drift"]) == 3
    ruled = rows("rule=production")
    assert ruled["spec_drift"] == []
    assert ruled["hashes"]["eu"] == ruled["hashes"]["us"]
    excepted = rows("except=key&except=path")
    assert [entry["field"] for entry in excepted["spec_drift"]] == ["interval"]
    assert excepted["hashes"]["eu"] == excepted["hashes"]["us"] != excepted["hashes"]["stg"]
    assert rows("rule=stages")["must_differ"] == [["eu", "stg", "us"]]


@pytest.mark.parametrize(("query", "parameter"), [("except=intervall", "except"), ("agree=a=b,a=c", "agree")])
def test_wrong_fields_and_labels_are_named(viewer: Client, query: str, parameter: str) -> None:
    assert parameter in text_of(viewer, f"/drift/?{query}", status=400)
    answer = client_for().get(f"/api/v1/drift/?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [parameter])


def test_of_several_labels_a_cluster_must_have_all() -> None:
    for name, labels in (("a", {"s": "p", "r": "eu"}), ("b", {"s": "p", "r": "eu"}), ("c", {"s": "p", "r": "us"})):
        secret(cluster(name, labels=labels), "x")
    row = one(DriftFilters(only=ALL.only, agree=(("s", "p"), ("r", "eu"))))
    assert set(row.cells) == {"a", "b"}


def test_a_cell_shows_the_first_key_and_one_that_differs_before_it(viewer: Client, now: datetime) -> None:
    for name, path in (("eu", "apps/user"), ("us", "apps/user"), ("ap", "apps/other")):
        secret(cluster(name, now), "", now, keys=(key("apps/db"), key(path, "user"), key("apps/tls", "tls")))
    make.compared()
    body = viewer.get("/drift/").content.decode()
    assert (
        body.count('<bdi class="clip" title="key password: apps/db, property password">apps/db, property password') == 2
    )
    assert '<bdi class="clip odd" title="key user: apps/other, property password">apps/other, property password' in body
    assert text_of(viewer, "/drift/").count("property password +2") == 3
    words = text_of(viewer, "/drift/ExternalSecret/payments/db/")
    assert "apps/tls, property password" in words
