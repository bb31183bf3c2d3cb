"""The pages with Django's client: who may see them, what they say, what they escape, what they cost."""

import re
from datetime import datetime
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import Cursor, Resource
from monitoring.rules.durations import moment_words
from tests.web import factories as make
from tests.web import seed
from tests.web.factories import DAY, HOUR, MINUTE, SECOND

pytestmark = pytest.mark.django_db
LISTS = ["/", "/resources/", "/transitions/", "/clusters/"]
HOSTILE = '"><script>alert(1)</script>\N{RIGHT-TO-LEFT OVERRIDE}'


def text_of(client: Client, url: str, status: int = 200, **extra: str) -> str:
    """The words of a page, as a person reads them."""
    response = client.get(url, headers=extra)
    assert response.status_code == status
    words = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]*>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(words)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("url", [*LISTS, "/resources/1/", "/clusters/prod-eu/", "/add-cluster/", "/components/", "/x/"])
def test_nothing_is_shown_without_signing_in(client: Client, url: str) -> None:
    response = client.get(url)
    assert response.status_code in (302, 404)
    assert b"prod-eu" not in response.content
    if response.status_code == 302:
        assert response.headers["Location"].startswith("/sign-in/?next=")


def test_signing_in_and_out(client: Client) -> None:
    User.objects.create_user("ana", password="correct horse")
    wrong = client.post("/sign-in/", {"username": "ana", "password": "wrong"})
    assert b"correct" in wrong.content
    right = client.post("/sign-in/?next=/resources/", {"username": "ana", "password": "correct horse"})
    assert right.headers["Location"] == "/resources/"
    assert client.get("/").status_code == 200
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


def test_too_many_wrong_passwords_lock_the_name(client: Client) -> None:
    User.objects.create_user("ana", password="correct horse")
    for _ in range(10):
        answer = client.post("/sign-in/", {"username": "ana", "password": "wrong"})
    assert answer.status_code == 429
    assert b"Too many wrong passwords." in answer.content
    assert client.post("/sign-in/", {"username": "ana", "password": "correct horse"}).status_code == 429


def test_signing_in_leads_to_no_other_host(client: Client) -> None:
    User.objects.create_user("ana", password="correct horse")
    answer = client.post("/sign-in/?next=https://evil.example/", {"username": "ana", "password": "correct horse"})
    assert answer.headers["Location"] == "/"


def test_pages_of_an_empty_installation_say_what_to_do(viewer: Client) -> None:
    assert "No cluster is registered yet" in text_of(viewer, "/")
    assert "importclusters --kubeconfig FILE" in text_of(viewer, "/")
    assert "No cluster is registered yet" in text_of(viewer, "/resources/")
    assert "No change was recorded yet" in text_of(viewer, "/transitions/")
    assert "importclusters" in text_of(viewer, "/clusters/")


def test_the_overview_says_how_wide_and_since_when(viewer: Client, now: datetime) -> None:
    seed.fleet(now)
    words = text_of(viewer, "/")
    assert "4 of 6 clusters reporting" in words
    assert "prod-ap unreachable since" in words
    assert "edge-7 waiting for its first collection" in words
    assert "1 of 6 clusters cannot be seen. Five problems need someone." in words
    assert "One of them looks healthy to its controller." in words
    assert "44 resources in prod-us" in words
    assert "permission denied" in words


def test_what_the_default_rights_refuse_is_no_trouble(viewer: Client, now: datetime) -> None:
    cluster = make.cluster("prod-eu", now=now, forbidden=("Pod", "ExternalSecret"))
    make.cursor(cluster, "Secret", now, read_at=None, outcome="forbidden")
    words = text_of(viewer, "/clusters/prod-eu/")
    assert "as the default rights intend; deploy/rbac/t1.yaml would add it" in words
    assert "as the default rights intend; deploy/rbac/t2.yaml would add it" in words
    assert "secretsdash-reader may not list this kind" in words


def test_a_quiet_fleet_is_called_quiet_only_as_far_as_it_is_seen(viewer: Client, now: datetime) -> None:
    make.resource(make.cluster(now=now), now=now)
    assert "Nothing needs someone." in text_of(viewer, "/")
    make.cluster("edge", now=now, read=None)
    assert "Nothing needs someone among what we can see." in text_of(viewer, "/")


def test_a_failing_resource_is_two_links_from_the_overview(viewer: Client, now: datetime) -> None:
    seed.fleet(now)
    first = re.search(r'class="what" href="(/causes/[0-9a-f]{16}/)"', viewer.get("/").content.decode())
    assert first is not None
    rows = viewer.get(unescape(first[1])).content.decode()
    assert rows.count('<td class="object">') == 44
    second = re.search(r'<td class="object"><a href="([^"]+)"', rows)
    assert second is not None
    assert "Failing." in text_of(viewer, second[1])


def test_an_unreachable_cluster_is_unknown_everywhere(viewer: Client, now: datetime) -> None:
    cluster = make.cluster("prod-ap", now, read=42 * MINUTE, failing=41 * MINUTE)
    made = make.resource(cluster, now=now)
    assert "cluster unreachable since" in text_of(viewer, "/resources/?health=unknown")
    assert "last known healthy" in text_of(viewer, "/resources/?health=unknown")
    assert "No resource fits" in text_of(viewer, "/resources/?health=healthy")
    detail = text_of(viewer, f"/resources/{made.pk}/")
    assert "Unknown. Cluster prod-ap is unreachable since" in detail
    assert "Last known: healthy." in detail
    assert "Unreachable since" in text_of(viewer, "/clusters/prod-ap/")


def test_the_page_of_a_silently_stale_secret(viewer: Client, now: datetime) -> None:
    seed.fleet(now)
    made = Resource.objects.get(cluster__name="prod-eu", namespace="payments", name="db")
    words = text_of(viewer, f"/resources/{made.pk}/")
    for part in (
        "Stale. Not refreshed since",
        "silent",
        "3 h 57 min late",
        "Periodic, every 1h",
        "Ready=True, SecretSynced",
        "vault-prod",
        "kubectl --context prod-eu -n payments describe externalsecret.external-secrets.io/db",
        "Healthy → Stale",
    ):
        assert part in words


def test_the_page_of_a_cluster_says_what_failed_and_why(viewer: Client, now: datetime) -> None:
    seed.fleet(now)
    denied = text_of(viewer, "/clusters/stg-us/")
    assert "may not be read" in denied
    assert "secretsdash-reader may not list this kind" in denied
    assert "The newest sealing key is of" in denied
    gone = text_of(viewer, "/clusters/prod-ap/")
    assert "Nothing answered within 10 seconds." in gone
    assert "checkcluster prod-ap" in gone
    assert "not installed" in text_of(viewer, "/clusters/dev-1/")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("/resources/?health=purple", ["health", "purple", "at_risk"]),
        ("/resources/?cursor=x", ["cursor", "was not made by this list"]),
        ("/resources/?cluster=nowhere", ["cluster", "there is no cluster 'nowhere'"]),
        ("/resources/?colour=red", ["colour", "there is no such parameter", "namespace"]),
        ("/resources/?q=ab", ["q", "at least 3 characters"]),
        ("/resources/?limit=0", ["limit", "from 1 to 200"]),
        ("/transitions/?resource=x", ["resource", "whole number"]),
        ("/transitions/?cursor=WzEsMl0", ["cursor"]),
        ("/clusters/?health=stale", ["health", "there is no such parameter"]),
        ("/clusters/?cursor=x", ["cursor"]),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(viewer: Client, url: str, parts: list[str]) -> None:
    words = text_of(viewer, url, 400)
    assert all(part in words for part in parts)


def test_a_wrong_window_is_a_400(viewer: Client, now: datetime) -> None:
    made = make.resource(make.cluster(now=now), now=now)
    assert "5d, 30d, 1y" in text_of(viewer, f"/resources/{made.pk}/?window=9y", 400)


@pytest.mark.parametrize(
    "url", ["/resources/1/", f"/resources/{9**30}/", "/clusters/nowhere/", "/nope/", "/components/"]
)
def test_what_does_not_exist_is_a_404(viewer: Client, url: str) -> None:
    assert "There is nothing at this address." in text_of(viewer, url, 404)


@pytest.mark.parametrize("url", LISTS)
def test_pages_are_only_read(viewer: Client, url: str) -> None:
    assert viewer.post(url).status_code == 405


def test_everything_from_a_cluster_is_escaped(viewer: Client, now: datetime) -> None:
    finding = make.finding(Health.FAILING, summary=HOSTILE, cause=HOSTILE, hint=HOSTILE)
    cluster = make.cluster(now=now, findings=(finding,), labels={HOSTILE: HOSTILE})
    facts = {"store": f"SecretStore {HOSTILE}", "message": HOSTILE, "reason": HOSTILE, "interval": HOSTILE}
    made = make.resource(cluster, f"ns/{HOSTILE}", Health.FAILING, now, findings=(finding,), facts=facts)
    make.transition(made, Health.FAILING, now - HOUR, findings=(finding,))
    make.event(made, HOSTILE, HOSTILE, now - HOUR)
    make.reference(made, "store", "SecretStore", f"ns/{HOSTILE}")
    make.collection(cluster, now, "failed", message=HOSTILE, failure=HOSTILE)
    for url in (*LISTS, f"/resources/{made.pk}/", "/clusters/prod-eu/", "/resources/?store=%3Cscript%3Ealert(1)"):
        page = viewer.get(url).content.decode()
        assert "<script>alert" not in page
        assert 'title="">' not in page


@pytest.mark.parametrize("url", [*LISTS, "/resources/?health=not_healthy", "/clusters/prod-us/", "/components/"])
def test_no_page_holds_inline_script_or_style(staff: Client, now: datetime, url: str) -> None:
    seed.fleet(now)
    response = staff.get(url)
    page = response.content.decode()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", page)
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("url", [*LISTS, "/clusters/prod-us/"])
def test_htmx_gets_the_live_part_of_the_same_address(viewer: Client, now: datetime, url: str) -> None:
    seed.fleet(now)
    part = viewer.get(url, headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert part.content.decode().strip()[:60] in viewer.get(url).content.decode()
    assert "HX-Request" in part.headers["Vary"]
    assert "private" in part.headers["Cache-Control"]


@pytest.mark.parametrize("url", [*LISTS, "/resources/?health=not_healthy&q=load", "/clusters/prod-eu/"])
def test_the_number_of_statements_of_a_page_does_not_grow(viewer: Client, now: datetime, url: str) -> None:
    cluster = make.cluster(now=now)
    make.many(cluster, 10, Health.STALE, now, findings=(make.finding(Health.STALE),))
    viewer.get(url)
    with CaptureQueriesContext(connection) as few:
        viewer.get(url)
    make.many(cluster, 450, Health.STALE, now, findings=(make.finding(Health.STALE),))
    for number in range(5):
        other = make.cluster(f"prod-{number}", now, read=HOUR if number % 2 else SECOND)
        make.many(other, 8, Health.STALE, now, findings=(make.finding(Health.STALE),))
    for made in Resource.objects.all()[:60]:
        make.transition(made, Health.STALE, now)
    with CaptureQueriesContext(connection) as many:
        viewer.get(url)
    assert len(many) == len(few) <= 20


def test_the_number_of_statements_of_a_resource_page_does_not_grow(viewer: Client, now: datetime) -> None:
    cluster = make.cluster(now=now)
    store = make.resource(cluster, "vault", Health.FAILING, now, kind="ClusterSecretStore")

    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            viewer.get(f"/resources/{store.pk}/")
        return len(found)

    def add(number: int) -> None:
        for place in range(number):
            made = make.resource(cluster, f"load/{number}-{place}", now=now, counted=False)
            make.reference(made, "store", "ClusterSecretStore", "vault")
            make.reference(store, "target", "ExternalSecret", f"load/{number}-{place}")
            make.transition(store, Health.FAILING, now - HOUR)
            make.event(store, "Failed", "no", now)

    add(2)
    viewer.get("/")
    few = statements()
    add(60)
    assert statements() == few <= 14


def test_the_next_page_keeps_the_filters(viewer: Client, now: datetime) -> None:
    cluster = make.cluster(now=now)
    make.many(cluster, 7, Health.STALE, now)
    make.many(cluster, 7, Health.HEALTHY, now)
    page = viewer.get("/resources/?health=stale&limit=5").content.decode()
    found = re.search(r'href="([^"]+)" rel="next"', page)
    assert found is not None
    second = viewer.get(unescape(found[1])).content.decode()
    assert second.count('<td class="object">') == 2
    assert "First page" in second


def test_the_api_call_asks_for_the_same(viewer: Client, now: datetime) -> None:
    make.cluster(now=now)
    words = text_of(viewer, "/resources/?health=stale,failing&cluster=prod-*&cursor=")
    assert "/api/v1/resources/?health=stale%2Cfailing&cluster=prod-%2A" in words


def test_the_page_of_components_is_for_staff(staff: Client) -> None:
    assert "Components, in every state" in text_of(staff, "/components/")


def test_the_page_of_a_cluster_that_may_not_be_read_says_what_to_do(viewer: Client, now: datetime) -> None:
    make.cluster("shut", now=now, forbidden=JUDGED_KINDS)
    make.cluster("half", now=now, forbidden=("SealedSecret",))
    make.resource(make.cluster("ajar", now=now, forbidden=("SealedSecret",)), now=now)
    make.cluster("bare", now=now, not_installed=JUDGED_KINDS)
    shut, half, ajar = (text_of(viewer, f"/clusters/{name}/") for name in ("shut", "half", "ajar"))
    assert "Unknown. We may not read any kind that we watch: apply deploy/rbac/t0.yaml in this cluster." in shut
    assert "Unknown. We may not read SealedSecret: apply deploy/rbac/t0.yaml in this cluster." in half
    assert "Unknown. 1 resource, nothing to complain about. We may not read SealedSecret:" in ajar
    assert "None of the three is installed" in text_of(viewer, "/clusters/bare/")
    assert "Healthy." not in shut + half + ajar + text_of(viewer, "/clusters/bare/")


def test_the_page_of_a_cluster_names_kinds_that_could_not_be_read(viewer: Client, now: datetime) -> None:
    others = tuple(kind for kind in JUDGED_KINDS if kind != "ExternalSecret")
    make.cluster(now=now, not_installed=others)
    Cursor.objects.filter(kind="ExternalSecret").update(outcome="failed", failure="server error")
    assert "Unknown. ExternalSecret could not be read; the table says why." in text_of(viewer, "/clusters/prod-eu/")


def test_a_cluster_switched_off_is_told_apart(viewer: Client, now: datetime) -> None:
    make.cluster("old", now, read=HOUR, enabled=False)
    only = text_of(viewer, "/")
    assert "Every cluster is switched off." in only
    assert "No cluster is registered yet" not in only
    make.resource(make.cluster(now=now), now=now)
    words = text_of(viewer, "/")
    assert "1 of 1 cluster reporting" in words
    assert "1 switched off" in words
    assert "Nothing needs someone." in words
    assert "Switched off since" in text_of(viewer, "/clusters/old/")


def test_stored_times_read_short_and_relative(viewer: Client, now: datetime) -> None:
    at, before = now - 27 * HOUR, now - 400 * DAY
    summary = f"Failing since {moment_words(at)} (<b>no</b>); the value is of {moment_words(before)}."
    found = make.finding(Health.FAILING, summary=summary)
    made = make.resource(make.cluster(now=now), "a/b", Health.FAILING, now, findings=(found,))
    words = text_of(viewer, f"/resources/{made.pk}/")
    assert f"Since {at.day} {at:%b %H:%M} (1 d 3 h ago; <b>no</b>); the value" in words
    assert f"the value is of {before.day} {before:%b %Y %H:%M} (400 d ago)." in words
    assert f'<time datetime="{at.replace(second=0, microsecond=0).isoformat()}"' in viewer.get("/").content.decode()
    assert viewer.get(f"/api/v1/resources/{made.pk}/").json()["findings"][0]["summary"] == summary


@pytest.mark.parametrize("text", ["31 Feb 2026 09:10 UTC", "9 Nov 0000 09:10 UTC", "9 Nov 2026 25:10 UTC"])
def test_what_only_looks_like_a_time_stays(viewer: Client, now: datetime, text: str) -> None:
    found = make.finding(Health.FAILING, summary=f"Since {text}.")
    made = make.resource(make.cluster(now=now), "a/b", Health.FAILING, now, findings=(found,))
    assert f"Since {text}." in text_of(viewer, f"/resources/{made.pk}/")
