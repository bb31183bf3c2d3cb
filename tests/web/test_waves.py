"""Waves: one key in several clusters, and who picked up its newest value when."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.facts import RemoteKey, key_digest
from clusters.models import Cluster
from monitoring.filters.rotations import WaveFilters
from monitoring.health import Health
from monitoring.models import ClusterState, Resource, Rotation
from monitoring.queries.provider_keys import ProviderKey, keys_of
from monitoring.queries.waves import key_row, key_rows
from monitoring.rotation.waves import How
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, HOUR, MINUTE, NOW
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import HOSTILE, text_of
from tests.web.waves_data import (
    ADDRESS,
    CLASS_SOURCE,
    DIGEST,
    NEW,
    OLD,
    SOURCE,
    STORE,
    cluster,
    mounts_in_three_clusters,
    reader,
    rotated,
    standings,
    tag,
    the_row,
    three_clusters,
)

__all__ = ["visitor"]
pytestmark = pytest.mark.django_db


def test_who_arrived_who_lags_and_how_long_it_takes_so_far() -> None:
    three_clusters()
    row = the_row()
    assert standings(row) == {"eu": "arrived", "us": "arrived", "ap": "lags"}
    (wave,) = row.waves
    assert [(arrival.how, arrival.pickup.at) for arrival in wave.arrivals] == [
        (How.FIRST, NOW - 3 * HOUR),
        (How.VALUE, NOW - 3 * HOUR + 12 * MINUTE),
    ]
    assert row.under_way
    assert row.took == 3 * HOUR
    assert row.names == (("prod/db", "password"),)
    assert row.path == "https://vault.example.com/kv"


def test_a_wave_that_arrived_everywhere_took_until_its_last_arrival() -> None:
    made = three_clusters()
    rotated(made["ap"], NOW - 2 * HOUR, OLD, NEW)
    row = the_row()
    assert set(standings(row).values()) == {"arrived"}
    assert not row.under_way
    assert row.took == HOUR


VALUES = [
    ("another key of the installation", tag(OLD, "sha3.22222222"), "unknown"),
    ("another algorithm", tag(OLD, "md5.11111111"), "unknown"),
    ("no tag", "", "unknown"),
    ("a value that no other had", tag("c" * 32), "unknown"),
    ("the old value", tag(OLD), "lags"),
    ("the new value, its arrival was not seen", tag(NEW), "has"),
    ("the same beginning as the new value", tag(NEW[:8] + "0" * 24), "unknown"),
]


@pytest.mark.parametrize(("value", "standing"), [case[1:] for case in VALUES], ids=[case[0] for case in VALUES])
def test_older_and_equal_is_said_only_of_comparable_tags(value: str, standing: str) -> None:
    three_clusters()
    Resource.objects.filter(cluster__name="ap", kind="Secret").update(facts={"data_tag": value})
    assert standings(the_row())["ap"] == standing


def test_nothing_is_claimed_without_t2_where_the_cluster_is_not_seen_and_before_the_interval_is_over() -> None:
    three_clusters()
    reader(cluster("t0", t2=False), tag(OLD))
    reader(cluster("silent", read=HOUR), tag(OLD))
    unread = cluster("unread", t2=False)
    make.cursor(unread, "Secret", NOW, read_at=NOW - HOUR, outcome="failed")
    reader(unread, tag(OLD))
    reader(cluster("slow", t2=False), "", interval="4h")
    young = reader(cluster("young", t2=False))
    Resource.objects.filter(pk=young.pk).update(created_at=NOW - MINUTE)
    row = the_row()
    found = standings(row)
    assert {name: found[name] for name in ("t0", "silent", "unread", "slow", "young")} == {
        "t0": "unknown",
        "silent": "unknown",
        "unread": "unknown",
        "slow": "awaited",
        "young": "made later",
    }
    assert {other.cluster for other in row.readers if other.health is Health.UNKNOWN} == {"silent"}


def test_events_alone_make_a_wave_by_their_time_and_say_so(viewer: Client, now: datetime) -> None:
    for name, ago in (("eu", 3 * HOUR), ("us", 3 * HOUR - 20 * MINUTE), ("ap", None)):
        made = reader(cluster(name, now, t2=False), "", now)
        if ago:
            rotated(made, now - ago)
    row = the_row(now)
    assert standings(row) == {"eu": "arrived", "us": "arrived", "ap": "unknown"}
    assert [arrival.how for arrival in row.waves[0].arrivals] == [How.FIRST, How.TIME]
    words = text_of(viewer, ADDRESS)
    assert "2 of 3 picked it up within 20 min, as far as Events tell; of 1 it is not known." in words
    assert "by its time alone" in words
    assert "lags" not in words.partition("Times are by our clock")[0]


RESERVES = [
    ("equal values", [(OLD, NEW), (OLD, NEW)], "All 2 picked it up within 20 min.", "equal values"),
    ("Events alone", [("", ""), ("", "")], "within 20 min, as far as Events tell.", "Events alone"),
    (
        "one by a tag",
        [("", ""), (OLD, NEW)],
        "within 20 min, 1 of them as far as Events tell.",
        "Events alone for 1 of them",
    ),
    (
        "values in two forms",
        [(OLD, NEW), ("c" * 32, "d" * 32)],
        "within 20 min, as far as their times tell.",
        "their times alone",
    ),
]


@pytest.mark.parametrize(
    ("tags", "sentence", "of_earlier"), [case[1:] for case in RESERVES], ids=[c[0] for c in RESERVES]
)
def test_a_wave_rests_on_events_only_where_nothing_better_tells(
    viewer: Client, now: datetime, tags: list[tuple[str, str]], sentence: str, of_earlier: str
) -> None:
    for place, (before, after) in enumerate(tags):
        row = reader(cluster(f"c{place}", now), tag(after) if after else "", now)
        rotated(row, now - 3 * HOUR + place * 20 * MINUTE, before, after)
        rotated(row, now - 9 * DAY + place * 20 * MINUTE, before[:4] and f"1{before}", after[:4] and f"1{after}")
    assert sentence in text_of(viewer, "/waves/")
    words = text_of(viewer, ADDRESS)
    assert sentence in words
    assert f"20 min {of_earlier} " in words.partition("Earlier waves")[2]


def test_moments_are_compared_by_our_clock() -> None:
    three_clusters()
    ClusterState.objects.filter(cluster__name="us").update(clock_offset_ms=-600_000)
    (wave,) = the_row().waves
    assert [arrival.pickup.at for arrival in wave.arrivals] == [NOW - 3 * HOUR, NOW - 3 * HOUR + 22 * MINUTE]


def test_another_source_property_or_a_store_without_one_is_another_key() -> None:
    three_clusters()
    reader(cluster("elsewhere", source="7" * 32), tag(OLD))
    reader(cluster("untold", source=""), tag(OLD))
    reader(Cluster.objects.get(name="eu"), "", NOW, "shop/user", RemoteKey(store=STORE, key="prod/db", property="user"))
    assert the_row().clusters == ("ap", "eu", "us")
    assert key_row(SOURCE, key_digest("prod/db", ""), NOW) is None


def test_mounts_of_one_object_are_a_key_too(viewer: Client, now: datetime) -> None:
    mounts_in_three_clusters(now)
    digest = key_digest("secret/db", "")
    row = key_row(CLASS_SOURCE, digest, now)
    assert row is not None
    assert standings(row) == {"eu": "arrived", "us": "lags", "ap": "lags"}
    gone = Resource.objects.filter(kind="SecretProviderClassPodStatus", cluster__name="us", name="pod-1")
    gone.update(findings=[{"rule": "csi-orphaned-status"}])
    row = key_row(CLASS_SOURCE, digest, now)
    assert row is not None
    assert standings(row) == {"eu": "arrived", "us": "arrived", "ap": "lags"}
    gone.update(findings=[])
    words = text_of(viewer, f"/waves/{CLASS_SOURCE}/{digest}/")
    assert "2 of 3 resources still have an older value" in words
    assert "2 of 3 mounts" in words
    assert "0 of 1 mount" in words
    text_of(viewer, f"/waves/{CLASS_SOURCE}/{'0' * 16}/", status=404)
    assert [found.key for found in key_rows(WaveFilters(), now)] == [ProviderKey(CLASS_SOURCE, digest, "secret/db")]
    assert [found.key for found in key_rows(WaveFilters(key="db"), now)] == [row.key]


def test_the_page_says_who_lags_first(viewer: Client, now: datetime) -> None:
    made = three_clusters(now)
    words = text_of(viewer, ADDRESS)
    assert "prod/db · password" in words
    assert "1 of 3 resources still has an older value, 3 h after the first got the new one." in words
    table = words.partition("Who picked it up when")[2]
    assert table.index("lags: still an older value") < table.index("arrived") < table.index("12 min")
    assert "expected by" in table
    rotated(made["eu"], now - 5 * DAY, "9", OLD)
    assert "Earlier waves" in text_of(viewer, ADDRESS)
    rotated(made["ap"], now - HOUR, OLD, NEW)
    assert "All 3 picked it up within 2 h." in text_of(viewer, ADDRESS)


def test_a_key_without_rotations_has_a_page(viewer: Client, now: datetime) -> None:
    reader(cluster("eu", now), "", now)
    words = text_of(viewer, ADDRESS)
    assert "No rotation of this key was seen." in words
    assert "It is read in one cluster only" in words
    assert "no rotation seen" in words


def test_the_list_has_what_is_under_way_first_and_keys_read_together_once(viewer: Client, now: datetime) -> None:
    three_clusters(now)
    user = RemoteKey(store=STORE, key="prod/mail", property="user")
    password = RemoteKey(store=STORE, key="prod/mail", property="password")
    for name in ("eu", "us"):
        row = reader(Cluster.objects.get(name=name), "", now, "shop/mail", user, password)
        rotated(row, now - HOUR, "1", "2")
    alone = reader(Cluster.objects.get(name="ap"), "", now, "shop/one", RemoteKey(store=STORE, key="prod/one"))
    rotated(alone, now - MINUTE, "1", "2")
    rows = key_rows(WaveFilters(), now)
    assert [row.names for row in rows] == [
        (("prod/db", "password"),),
        (("prod/mail", "password"), ("prod/mail", "user")),
    ]
    words = text_of(viewer, "/waves/")
    assert "1 wave is under way." in words
    assert words.index("prod/db · password") < words.index("prod/mail · password, prod/mail · user")
    assert "prod/one" not in words
    assert "2 resources in 2 clusters" in words


def test_a_key_and_a_resource_can_be_asked_for(viewer: Client, now: datetime) -> None:
    made = three_clusters(now)
    assert keys_of([made["eu"].pk, 0]) == {made["eu"].pk: (ProviderKey(SOURCE, DIGEST),)}
    for query in ("key=prod/db&property=password", f"resource={made['ap'].pk}"):
        assert "prod/db · password" in text_of(viewer, f"/waves/?{query}"), query
    assert "No key that several clusters read fits these filters." in text_of(viewer, "/waves/?key=prod/db")
    Rotation.objects.all().delete()
    assert "No wave was seen in the last 30 days." in text_of(viewer, "/waves/")
    assert "none seen" in text_of(viewer, "/waves/?key=prod/db&property=password")


WRONG = [
    ("property=a", "property"),
    ("key=a&resource=1", "resource"),
    ("resource=x", "resource"),
    ("resource=0", "resource"),
    ("key=%00", "key"),
    (f"key={'x' * 513}", "key"),
    ("cursor=x", "cursor"),
    ("limit=5", "limit"),
    ("colour=red", "colour"),
    ("at=2026-01-01", "at"),
]


@pytest.mark.parametrize(("query", "parameter"), WRONG)
def test_wrong_parameters_are_named(viewer: Client, query: str, parameter: str) -> None:
    assert parameter in text_of(viewer, f"/waves/?{query}", status=400)
    answer = client_for().get(f"/api/v1/waves/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [parameter]


@pytest.mark.parametrize("path", [f"{SOURCE}/{DIGEST}", "x/y", f"{SOURCE}/{'g' * 16}", f"{'5' * 33}/{DIGEST}", "%00/1"])
def test_an_address_that_names_no_key_is_not_found(viewer: Client, path: str) -> None:
    text_of(viewer, f"/waves/{path}/", status=404)
    assert client_for().get(f"/api/v1/waves/{path}/").status_code == 404


def test_a_wave_takes_no_parameters(viewer: Client) -> None:
    assert "window" in text_of(viewer, f"{ADDRESS}?window=5d", status=400)


def test_hostile_names_are_escaped(viewer: Client, now: datetime) -> None:
    odd = RemoteKey(store=STORE, key=HOSTILE, property=HOSTILE)
    for name in ("eu", "us"):
        rotated(reader(cluster(name, now), "", now, "shop/odd", odd), now - HOUR, "1", "2")
    for path in ("/waves/", f"/waves/{SOURCE}/{key_digest(HOSTILE, HOSTILE)}/"):
        body = viewer.get(path).content.decode()
        assert "<script>alert" not in body, path
        assert "alert(1)" in body, path


def test_tags_are_never_shown_whole(viewer: Client, now: datetime) -> None:
    three_clusters(now)
    api = client_for()
    for client, path in ((viewer, ADDRESS), (viewer, "/waves/"), (api, f"/api/v1{ADDRESS}"), (api, "/api/v1/waves/")):
        body = client.get(path).content.decode()
        assert OLD not in body, path
        assert NEW not in body, path


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows() -> None:
    counted = []
    for number in (2, 30):
        Cluster.objects.all().delete()
        for place in range(number):
            of = cluster(f"c{place}")
            for name in range(3):
                key = RemoteKey(store=STORE, key=f"key-{name}")
                rotated(reader(of, tag(NEW), NOW, f"shop/s{name}", key), NOW - place * MINUTE, OLD, NEW)
        with CaptureQueriesContext(connection) as found:
            assert len(key_rows(WaveFilters(), NOW)) == 3
            assert key_row(SOURCE, key_digest("key-1", ""), NOW)
        counted.append(len(found))
    assert counted[0] == counted[1] == 5


@pytest.fixture
def waving(visitor: Page, now: datetime) -> Page:
    """A visitor of a fleet with a wave under way, one of Events alone and one of mounts."""
    for name, value in (("prod-eu", NEW), ("prod-us", NEW), ("stg-us", OLD), ("dev-1", "")):
        of = Cluster.objects.get(name=name)
        facts = {"ready": True, "provider": "vault", "path": "https://vault.example.com/kv", "source": SOURCE}
        Resource.objects.filter(cluster=of, name="vault-prod").update(name="vault", facts=facts)
        if value:
            make.cursor(of, "Secret", now, read_at=now - MINUTE, outcome="complete")
        row = reader(of, tag(value) if value else "", now)
        mail = reader(of, "", now, "shop/mail", RemoteKey(store=STORE, key="prod/mail"))
        rotated(mail, now - 2 * DAY + of.pk * MINUTE)
        if value == NEW:
            rotated(row, now - 3 * HOUR + timedelta(minutes=of.pk % 30), OLD, NEW)
            rotated(row, now - 40 * DAY + timedelta(minutes=of.pk % 30), "1", OLD)
    return visitor


@pytest.mark.django_db(transaction=True)
def test_from_the_ledger_to_the_wave_to_the_cluster_that_lags(waving: Page) -> None:
    waving.get_by_role("link", name="Rotations", exact=True).click()
    expect(waving.get_by_role("heading", level=1)).to_contain_text("that we know of")
    waving.get_by_role("link", name="Follow the wave").first.click()
    expect(waving.get_by_role("heading", level=1)).to_contain_text("still has an older value")
    expect(waving.locator("#wave-chart .main-svg").first).to_be_visible()
    expect(waving.locator("#wave-chart .points path")).to_have_count(2)
    lagging = waving.get_by_role("region", name="Who picked it up when").locator("tbody tr").first
    expect(lagging).to_contain_text("lags: still an older value")
    lagging.get_by_role("link", name="stg-us").click()
    expect(waving.get_by_role("heading", level=1)).to_contain_text("At risk")


@pytest.mark.django_db(transaction=True)
def test_waves_on_a_phone(waving: Page, live_server: LiveServer) -> None:
    waving.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/waves/", ADDRESS):
        waving.goto(live_server.url + path)
        assert waving.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert waving.evaluate(SMALL) == [], path
        assert waving.evaluate(CUT) == [], path


@pytest.mark.django_db(transaction=True)
def test_no_two_ticks_of_a_wave_are_labelled_alike(waving: Page, live_server: LiveServer) -> None:
    for key in ("prod/db", "prod/mail"):
        waving.goto(f"{live_server.url}/waves/")
        waving.get_by_role("link", name=key).click()
        ticks = waving.locator("#wave-chart .xtick text")
        expect(ticks.first).to_be_visible()
        labels = ticks.all_text_contents()
        assert len(set(labels)) == len(labels) > 1


SMALL = """() => [...document.querySelectorAll('main a, button, input:not([type=hidden]), select, summary')]
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 39.5)
    .map((element) => element.outerHTML.slice(0, 120))"""
# Lists that should fit any width, and are cut all the same.
CUT = """() => [...document.querySelectorAll('.scroll.cards, .scroll:has(> .ages)')]
    .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.ariaLabel)"""
