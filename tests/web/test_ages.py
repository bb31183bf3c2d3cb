"""How old values are, against a policy: queries, page and API."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from clusters.models import Cluster
from monitoring.filters.rotations import AGES, AgeFilters
from monitoring.models import Resource
from monitoring.queries.ages import Histogram, ages_of, histogram
from monitoring.rotation import policy
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, MINUTE, NOW
from tests.web.test_journeys import visitor
from tests.web.test_pages import text_of
from tests.web.test_rotations import ledgers
from tests.web.test_waves_api import problems

__all__ = ["ledgers", "visitor"]
pytestmark = pytest.mark.django_db

RULES = policy.parse(
    [{"days": 20, "cluster_label": "env=prod", "namespace": "pay*"}, {"days": 100, "kind": "SealedSecret"}]
)


def aged(now: datetime = NOW) -> dict[str, Resource]:
    """Resources by their ages in days; what was never seen to rotate was first seen 30 days ago."""
    prod, dev = make.cluster("prod", now, labels={"env": "prod"}), make.cluster("dev", now, labels={"env": "dev"})

    def put(of: Cluster, name: str, days: int | None, kind: str = "ExternalSecret", own: int = 0) -> Resource:
        facts = {"rotate_after_days": own} if own else {}
        rotated_at = None if days is None else now - days * DAY - MINUTE
        return make.resource(of, f"payments/{name}", now=now, kind=kind, facts=facts, rotated_at=rotated_at)

    return {
        "fresh": put(prod, "fresh", 1),
        "late": put(prod, "late", 25),
        "unknown": put(prod, "unknown", None),
        "own": put(prod, "own", 25, own=400),
        "dev": put(dev, "dev", 25),
        "sealed": put(dev, "sealed", 99, "SealedSecret"),
        "old": put(dev, "old", 700, "SecretProviderClass"),
        "never": put(dev, "never", None, "SealedSecret"),
        "store": put(dev, "store", 25, "ClusterSecretStore"),
    }


def names(filters: AgeFilters, rules: Any = RULES) -> list[str]:
    return [row.key.name for row in ages_of(filters, rules, NOW).rows]


def counts(found: Histogram) -> dict[str, tuple[int, int]]:
    return {bucket.code: (bucket.rotated, bucket.not_seen) for bucket in found.buckets if bucket.total}


def test_ages_never_pretend_to_know_what_was_not_seen() -> None:
    aged()
    found = histogram(AgeFilters(), RULES, NOW)
    assert counts(found) == {"0-7": (1, 0), "7-30": (3, 0), "30-90": (0, 2), "90-180": (1, 0), "365-": (1, 0)}
    assert (found.total, found.not_seen) == (8, 2)
    assert (found.past_policy, found.ruled, found.own) == (2, 6, 1)
    assert counts(histogram(AgeFilters(clusters=("prod",), kinds=("ExternalSecret",)), (), NOW)) == {
        "0-7": (1, 0),
        "7-30": (2, 0),
        "30-90": (0, 1),
    }


AGE_CASES = [
    (AgeFilters(), ["old", "sealed", "unknown", "never", "late", "own", "dev", "fresh"]),
    (AgeFilters(policy="past"), ["unknown", "late"]),
    (AgeFilters(policy="past", clusters=("dev",)), []),
    (AgeFilters(seen="not_seen"), ["unknown", "never"]),
    (AgeFilters(seen="rotated", age="30-90"), []),
    (AgeFilters(age="7-30", clusters=("d*",)), ["dev"]),
    (AgeFilters(kinds=("SealedSecret",)), ["sealed", "never"]),
    (AgeFilters(q="nts/ol"), ["old"]),
    (AgeFilters(namespaces=("payments",), names=("own",)), ["own"]),
    (AgeFilters(clusters=("x*",)), []),
]


@pytest.mark.parametrize(("filters", "wanted"), AGE_CASES, ids=str)
def test_what_can_rotate_the_oldest_first(filters: AgeFilters, wanted: list[str]) -> None:
    aged()
    assert names(filters) == wanted


def test_every_bucket_lists_what_it_counts() -> None:
    aged()
    for code, bucket in zip(AGES, histogram(AgeFilters(), RULES, NOW).buckets, strict=True):
        for seen, number in (("rotated", bucket.rotated), ("not_seen", bucket.not_seen)):
            assert len(names(AgeFilters(age=code, seen=seen))) == number


def test_what_is_due_next() -> None:
    aged()
    found = {row.key.name: row for row in ages_of(AgeFilters(), RULES, NOW).rows}
    assert found["fresh"].due_at == NOW - DAY - MINUTE + 20 * DAY
    assert (found["own"].days, found["own"].own, found["own"].past_policy) == (400, True, False)
    assert (found["unknown"].rotated_at, found["unknown"].due_at) == (None, NOW - 10 * DAY)
    assert found["old"].due_at is None


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_ages_together_are_the_whole_list(limit: int) -> None:
    aged()
    whole, paged, cursor = names(AgeFilters()), [], ""
    while True:
        page = ages_of(AgeFilters(), RULES, NOW, cursor, limit)
        paged += [row.key.name for row in page.rows]
        cursor = page.next
        if not cursor:
            break
    assert paged == whole


LABELS = st.sampled_from([{}, {"env": "prod"}, {"env": "dev"}])
SOME_RULES = st.lists(
    st.builds(
        policy.Rule,
        days=st.integers(1, 100),
        label=st.sampled_from(["", "env"]),
        value=st.sampled_from(["prod", "dev"]),
        namespace=st.sampled_from(["", "*", "pay*", "p?y", "a.b", "a[b]", "(", "a+b", "a_b", "a%b", "a\\b"]),
        kind=st.sampled_from(["", *policy.KINDS]),
    ),
    max_size=4,
)
NAMESPACES = ("pay", "payments", "a.b", "axb", "a[b]", "(", "a+b", "aab", "a_b", "a%b", "a\\b")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(rules=SOME_RULES, labels=LABELS, own=st.sampled_from([0, 7]))
def test_the_database_reads_a_policy_as_python_does(
    db: None, rules: list[policy.Rule], labels: dict[str, str], own: int
) -> None:
    Cluster.objects.all().delete()
    of = make.cluster(labels=labels)
    for namespace in NAMESPACES:
        for kind in policy.KINDS:
            facts = {"rotate_after_days": own} if own else {}
            make.resource(of, f"{namespace}/db", kind=kind, counted=False, facts=facts)
    for row in ages_of(AgeFilters(), rules, NOW).rows:
        assert row.days == policy.days_of(rules, row.key.kind, row.key.namespace, labels, own)


def test_the_page_of_ages(viewer: Client, now: datetime) -> None:
    aged(now)
    words = text_of(viewer, "/rotations/ages/")
    assert "8 resources can rotate" not in words
    assert "Nothing is known to be past its policy: 1 resource of 8 has one." in words
    assert "No policy is set; 1 object says by annotation when it is to be rotated" in words


@override_settings(ROTATION_POLICY=RULES)
def test_the_page_of_ages_with_a_policy(viewer: Client, now: datetime) -> None:
    aged(now)
    words = text_of(viewer, "/rotations/ages/")
    assert "2 resources of 6 are past their policy." in words
    assert "20 d for namespace pay*, clusters with env=prod" in words
    assert "at least 30 d none since" in words
    assert "400 d its own" in words
    past = text_of(viewer, "/rotations/ages/?policy=past")
    assert "payments/late" in past
    assert "payments/fresh" not in past
    assert "5 d late" in past
    body = viewer.get("/rotations/ages/").content.decode()
    assert 'href="/rotations/ages/?age=90-180"' in body
    assert 'href="/rotations/ages/?policy=past"' in body


def test_the_api_answers_as_it_is_described() -> None:
    aged(datetime.now(UTC))
    api = client_for()
    answer = api.get("/api/v1/rotations/ages/?limit=2").json()
    assert problems("/api/v1/rotations/ages/", answer) == []
    assert len(answer["results"]) == 2
    assert api.get(answer["next"]).json()["results"] != answer["results"]
    told = api.get("/api/v1/rotations/ages/?age=365-").json()
    assert [row["name"] for row in told["results"]] == ["old"]
    assert {bucket["age"]: bucket["rotated"] for bucket in told["histogram"]}["365-"] == 1
    assert (told["past_policy"], told["with_policy"]) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_from_ages_to_a_resource(ledgers: Page) -> None:
    ledgers.get_by_role("link", name="Rotations", exact=True).click()
    ledgers.get_by_role("link", name="Ages", exact=True).click()
    ledgers.get_by_role("link", name="90 to 180 d").click()
    ledgers.get_by_role("link", name="billing/db").first.click()
    expect(ledgers.locator(".subject")).to_contain_text("billing/db")
