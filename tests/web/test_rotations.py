"""The rotation ledger: queries, page and API."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.models import Cluster
from monitoring.filters.rotations import (
    AGE_PARAMETERS,
    LEDGER_PARAMETERS,
    LedgerFilters,
)
from monitoring.health import Health
from monitoring.models import Resource, Rotation
from monitoring.queries.ledger import MOST_A_DAY, calendar, export, ledger
from monitoring.queries.paging import encode
from monitoring.rotation.base import Confidence
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, HOUR, MINUTE, NOW, SECOND
from tests.web.rotations_data import every_kind, rotation
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import HOSTILE, text_of
from tests.web.test_waves import CUT, SMALL
from tests.web.test_waves_api import problems

__all__ = ["visitor"]
pytestmark = pytest.mark.django_db


def sources(filters: LedgerFilters = LedgerFilters(), **more: Any) -> list[str]:  # noqa: B008 - it is immutable
    return [row.source.value for row in ledger(filters, **more).rows]


ALL = ["target", "updated", "mount", "resealed", "renewed"]
FILTERS = [
    (LedgerFilters(), ALL),
    (LedgerFilters(clusters=("us",)), ["updated", "mount"]),
    (LedgerFilters(clusters=("no*",)), []),
    (LedgerFilters(kinds=("ExternalSecret",)), ["target", "updated"]),
    (LedgerFilters(namespaces=("billing",), names=("api",)), ["updated"]),
    (LedgerFilters(q="LLING/A"), ["updated"]),
    (LedgerFilters(q="g/."), []),
    (LedgerFilters(confidences=(Confidence.PROVED,)), ["target", "mount", "renewed"]),
    (LedgerFilters(sources=("mount", "renewed")), ["mount", "renewed"]),
    (LedgerFilters(since=NOW - 3 * DAY), ["target", "updated", "mount"]),
    (LedgerFilters(until=NOW - 3 * DAY), ["resealed", "renewed"]),
    (LedgerFilters(since=NOW - 9 * DAY, until=NOW - DAY, clusters=("eu",)), ["resealed"]),
]


@pytest.mark.parametrize(("filters", "wanted"), FILTERS, ids=str)
def test_filters_of_the_ledger(filters: LedgerFilters, wanted: list[str]) -> None:
    every_kind()
    assert sources(filters) == wanted
    assert [row.source.value for row in export(filters)] == wanted


def test_until_a_moment() -> None:
    every_kind()
    assert sources(at=NOW - 3 * DAY + MINUTE) == ["mount", "resealed", "renewed"]
    assert [row.source for row in export(LedgerFilters(), at=NOW - 9 * DAY + MINUTE)] == ["resealed", "renewed"]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_together_are_the_whole_ledger(limit: int) -> None:
    of = make.cluster()
    for place in range(20):  # several at one moment
        rotation(of, f"shop/s{place}", NOW - (place // 4) * HOUR)
    paged: list[int] = []
    cursor = ""
    while True:
        page = ledger(LedgerFilters(), cursor, limit)
        paged += [row.id for row in page.rows]
        cursor = page.next
        if not cursor:
            break
    assert paged == [row.id for row in ledger(LedgerFilters(), limit=100).rows]
    assert len(set(paged)) == 20
    assert [row.id for row in export(LedgerFilters(), chunk=3)] == paged


def test_the_page_says_how_sure_and_how_we_know(viewer: Client, now: datetime) -> None:
    every_kind(now)
    words = text_of(viewer, "/rotations/")
    assert "5 rotations in the last 13 weeks, renewals of sealing keys included." in words
    for told in (
        "● proved the hash of the target's data changed 3f9c21ab → 77aa0102",
        "◐ likely External Secrets reported that it wrote the target not known",
        "● proved a mount changed to another version v1 → v2",
        "○ inferred sealed anew, and unsealed since",
        "● proved a sealing key was renewed → 9f00aa11",
    ):
        assert told in words
    assert "Provider class · secret/db" in words
    words = text_of(viewer, "/rotations/?source=target,updated,mount,resealed&cluster=eu")
    assert "2 rotations in the last 13 weeks." in words
    assert "a sealing key was renewed 9f00" not in words
    assert f'href="/resources/{Resource.objects.get().pk}/"' in viewer.get("/rotations/").content.decode()


def test_the_calendar_counts_days_by_the_filters_and_leads_to_them(viewer: Client, now: datetime) -> None:
    of = make.cluster(now=now)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for ago, number in ((0, 1), (1, 5), (8, 2), (200, 3)):
        for place in range(number):
            rotation(of, f"shop/s{place}", today - ago * DAY + place * MINUTE, source="mount" if ago == 8 else "target")
    days = calendar(LedgerFilters(), now)
    assert (days[0].date.weekday(), days[-1].date) == (0, today.date())
    assert 85 <= len(days) <= 91
    assert [day.number for day in days if day.number] == [2, 5, 1]
    assert sum(day.number for day in calendar(LedgerFilters(sources=("mount",), since=now), now)) == 2
    assert sum(day.number for day in calendar(LedgerFilters(), now, at=today - 8 * DAY + 30 * SECOND)) == 1
    body = viewer.get(f"/rotations/?source=target&from={(today - 100 * DAY).date()}").content.decode()
    yesterday = (today - DAY).date()
    link = f"/rotations/?source=target&amp;from={yesterday}&amp;to={today.date()}"
    assert f'href="{link}" aria-label="5 rotations on {yesterday.day} {yesterday:%b %Y}"' in body
    assert "5 rows" in text_of(viewer, link.replace("&amp;", "&"))
    last = f"/rotations/?source=target&amp;from={today.date()}"
    assert f'<a class="level-2" href="{last}" aria-label="1 rotation on' in body
    assert "1 row " in text_of(viewer, last.replace("&amp;", "&"))


def test_days_before_our_first_record_are_unknown(viewer: Client, now: datetime) -> None:
    of = make.cluster(now=now)
    make.transition(make.resource(of, now=now), Health.HEALTHY, now - 5 * DAY)
    rotation(of, at=now - 7 * DAY)  # the first reading told of it
    days = calendar(LedgerFilters(), now)
    first, told = (now - 5 * DAY).date(), (now - 7 * DAY).date()
    assert [day.known for day in days] == [day.date >= first or day.date == told for day in days]
    assert "1 rotation in the 7 days that we know of" in text_of(viewer, "/rotations/")
    young = make.cluster("young", now=now)
    make.transition(make.resource(young, "shop/new", now=now), Health.HEALTHY, now - DAY)
    assert sum(day.known for day in calendar(LedgerFilters(clusters=("young",)), now)) == 2
    body = viewer.get("/rotations/").content.decode()
    before = (now - 8 * DAY).date()
    assert f'aria-label="unknown: {before.day} {before:%b %Y} lies before our first record"' in body
    assert f"from={before}&amp;" not in body
    for address in ("/rotations/", "/api/v1/rotations/"):
        assert viewer.get(f"{address}?from={(now - 7 * DAY).date()}").status_code == 200
        refused = viewer.get(f"{address}?from={before}")
        assert refused.status_code == 400
        assert "before our first record, of" in refused.content.decode()
        assert viewer.get(f"{address}?to={before}").status_code == 200


def test_counting_a_day_stops(viewer: Client, now: datetime) -> None:
    of = make.cluster(now=now)
    at = (now - 2 * DAY).astimezone(UTC).replace(hour=1, minute=0)
    Rotation.objects.bulk_create(
        Rotation(
            cluster=of,
            kind="ExternalSecret",
            namespace="a",
            name=f"{n}",
            at=at,
            seen_at=at,
            confidence=3,
            source="target",
        )
        for n in range(MOST_A_DAY + 5)
    )
    assert max(day.number for day in calendar(LedgerFilters(), now)) == MOST_A_DAY
    words = text_of(viewer, "/rotations/")
    assert "More than 1,000 rotations in the" in words
    assert "Counting stops at 1,000 a day." in words


def test_the_past_of_the_ledger(viewer: Client, now: datetime) -> None:
    every_kind(now)
    at = (now - 5 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = text_of(viewer, f"/rotations/?at={at}")
    assert "This is the past" in words
    assert "2 rotations in the last 13 weeks" in words
    assert "a mount changed to another version v1" not in words
    assert "lies before our first record" in text_of(viewer, "/rotations/?at=2020-01-01", status=400)


QUERIES = [
    ("kind=Secret", "kind"),
    ("confidence=sure", "confidence"),
    ("source=guess", "source"),
    ("from=yesterday", "from"),
    ("to=2026-13-01", "to"),
    ("from=2026-02-01&to=2026-02-01", "from"),
    ("from=2999-01-01", "from"),
    ("at=2999-01-01", "at"),
    ("q=ab", "q"),
    ("cluster=no-such", "cluster"),
    ("cursor=nonsense", "cursor"),
    (f"cursor={encode(('a', 1))}", "cursor"),
    ("limit=0", "limit"),
    ("colour=red", "colour"),
]
OF_FILES = [
    ("format=xls", "format"),
    ("format=csv&cursor=x", "cursor"),
    ("format=csv&limit=5", "limit"),
    ("format=csv&cluster=no-such", "cluster"),
]
OF_AGES = [
    ("kind=SealingKey", "kind"),
    ("age=8", "age"),
    ("age=0-7,7-30", "age"),
    ("seen=maybe", "seen"),
    ("policy=yes", "policy"),
    ("at=2026-01-01", "at"),
    ("cursor=nonsense", "cursor"),
    ("cluster=no-such", "cluster"),
    ("colour=red", "colour"),
]


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        *(("rotations/", *case) for case in [*QUERIES, *OF_FILES]),
        *(("rotations/ages/", *case) for case in [*OF_AGES, *OF_FILES]),
    ],
)
def test_wrong_parameters_are_named(viewer: Client, path: str, query: str, parameter: str) -> None:
    assert parameter in text_of(viewer, f"/{path}?{query}", status=400)
    if (query, parameter) not in OF_FILES:
        answer = client_for().get(f"/api/v1/{path}?{query}")
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == [parameter]


@pytest.mark.parametrize("path", ["/api/v1/rotations/", "/api/v1/rotations/ages/"])
def test_the_api_has_no_files(path: str) -> None:
    assert list(client_for().get(f"{path}?format=csv").json()["errors"]) == ["format"]


def test_names_are_escaped_on_the_pages(viewer: Client, now: datetime) -> None:
    of = make.cluster(now=now)
    rotation(of, f"shop/{HOSTILE.replace('/', '')}", now, before=HOSTILE, after=HOSTILE, object=HOSTILE)
    make.resource(of, f"shop/{HOSTILE.replace('/', '')}", now=now)
    for path in ("/rotations/", "/rotations/ages/"):
        body = viewer.get(path).content.decode()
        assert "<script>alert" not in body, path
        assert "alert(1)" in body, path


def test_an_empty_ledger_says_what_it_takes(viewer: Client) -> None:
    assert "No rotation was seen yet." in text_of(viewer, "/rotations/")
    assert "Nothing in the ledger fits these filters" in text_of(viewer, "/rotations/?kind=SealedSecret")
    assert "Nothing here can rotate." in text_of(viewer, "/rotations/ages/")


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(viewer: Client, now: datetime) -> None:
    counted: list[list[int]] = []
    make.transition(make.resource(make.cluster("first", now), now=now), Health.HEALTHY, now - 40 * DAY)
    for number in (2, 40):
        of = make.cluster(f"c{number}", now)
        for place in range(number):
            row = make.resource(of, f"shop/s{place}", now=now, counted=False, rotated_at=now - place * DAY)
            rotation(of, f"{row.namespace}/{row.name}", now - (place + 2) * HOUR)
        found = []
        for path in ("/rotations/", "/rotations/?cluster=*", "/rotations/ages/", "/rotations/?at=" + an_hour_ago(now)):
            with CaptureQueriesContext(connection) as statements:
                viewer.get(path)
            found.append(len(statements))
        counted.append(found)
    assert counted[0] == counted[1]
    assert max(counted[0]) <= 14


def an_hour_ago(now: datetime) -> str:
    return (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_api_answers_as_it_is_described() -> None:
    now = datetime.now(UTC)
    every_kind(now)
    api = client_for()
    answer = api.get("/api/v1/rotations/?limit=2").json()
    assert problems("/api/v1/rotations/", answer) == []
    assert len(answer["results"]) == 2
    assert api.get(answer["next"]).json()["results"] != answer["results"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [("/api/v1/rotations/", LEDGER_PARAMETERS), ("/api/v1/rotations/ages/", AGE_PARAMETERS)],
)
def test_every_filter_is_described(path: str, parameters: Any) -> None:
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    named = {parameter["name"] for parameter in schema["paths"][path]["get"]["parameters"]}
    assert named == {parameter.name for parameter in parameters} | {"cursor", "limit"}


@pytest.fixture
def ledgers(visitor: Page, now: datetime) -> Page:
    """A visitor of a fleet with a quarter of a year of rotations."""
    fleet = list(Cluster.objects.exclude(name="edge-7"))
    for ago in range(90):
        for place in range((ago * 7) % 5):
            event = {"confidence": 2, "source": "updated", "before": "", "after": ""} if place % 2 else {}
            of, name = fleet[(ago + place) % len(fleet)], f"{('payments', 'billing', 'web')[place % 3]}/db"
            rotation(of, name, now - ago * DAY - place * HOUR, **event)
    mount = {"kind": "SecretProviderClass", "source": "mount", "object": "secret/db-password"}
    versions = {"before": "0b61c1a7f4fb4e3d9d0f", "after": "61681fc3ec558e682287"}
    rotation(fleet[0], "search/search-secrets", now - 5 * MINUTE, **mount, **versions)
    renewal = {"kind": "SealingKey", "source": "renewed", "before": "", "after": "9f00aa11"}
    rotation(fleet[1], "kube-system/", now - 9 * MINUTE, **renewal)
    Resource.objects.filter(namespace="payments", name="db").update(rotated_at=now - 3 * DAY)
    Resource.objects.filter(namespace="billing", name="db").update(rotated_at=now - 120 * DAY)
    return visitor


@pytest.mark.django_db(transaction=True)
def test_the_ledger_as_a_file(ledgers: Page) -> None:
    ledgers.get_by_role("link", name="Rotations", exact=True).click()
    ledgers.get_by_role("combobox", name="How sure").select_option("proved")
    ledgers.get_by_role("button", name="Filter").click()
    expect(ledgers.get_by_role("link", name="confidence proved")).to_be_visible()
    with ledgers.expect_download() as download:
        ledgers.get_by_role("link", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert {row["confidence"] for row in rows} == {"proved"}
    assert len(rows) == Rotation.objects.filter(confidence=3).count()
    ledgers.get_by_role("link", name="rotations on").last.click()
    expect(ledgers.get_by_role("link", name="from ")).to_be_visible()


@pytest.mark.django_db(transaction=True)
def test_the_ledger_on_a_phone(ledgers: Page, live_server: LiveServer) -> None:
    ledgers.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/rotations/", "/rotations/?kind=SealedSecret", "/rotations/ages/", "/rotations/ages/?age=0-7"):
        ledgers.goto(live_server.url + path)
        assert ledgers.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert ledgers.evaluate(SMALL) == [], path
        assert ledgers.evaluate(CUT) == [], path
    ledgers.goto(f"{live_server.url}/rotations/")
    expect(ledgers.locator(".calendar tbody tr").first.get_by_role("link").last).to_be_in_viewport()
