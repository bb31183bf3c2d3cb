"""Trends on pages and in the API, strips and timelines with gaps, streaks."""

import json
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.models import Cluster
from monitoring import charts, queries, sampling
from monitoring.filters import ResourceFilters
from monitoring.health import WORST_FIRST, Health
from monitoring.models import Gap, HealthSample, Recovery, Resource
from monitoring.timelines import Moment, floored
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, HOUR, MINUTE, NOW
from tests.web.test_api_schema import strict
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db
__all__ = ["visitor"]
FIVE = 5 * MINUTE


def past(now: datetime, clusters: list[Cluster | None], *, missing: range = range(0)) -> None:
    """A day of samples: two failing, and 40 for an hour; none of the slots in `missing`, counted backwards."""
    newest = floored(now, FIVE)
    HealthSample.objects.bulk_create(
        HealthSample(
            at=newest - slot * FIVE,
            minutes=5,
            cluster=of,
            shown={"ExternalSecret": {"0": 300, "5": 40 if 30 <= slot < 42 else 2, "1": 7}},
        )
        for slot in range(289)
        if slot not in missing
        for of in clusters
    )


def figure_of(client: Client, url: str) -> dict[str, Any]:
    found = re.search(r'<script id="trend-figure"[^>]*>(.*?)</script>', client.get(url).content.decode(), re.DOTALL)
    assert found is not None
    figure: dict[str, Any] = json.loads(found[1])
    return figure


@pytest.mark.parametrize("url", ["/", "/clusters/prod-eu/"])
def test_the_panel_shows_what_is_not_healthy_and_leads_there(viewer: Client, now: datetime, url: str) -> None:
    of = make.cluster(now=now)
    past(now, [of, None], missing=range(100, 103))
    figure = figure_of(viewer, url)
    assert [trace["name"] for trace in figure["data"]] == ["Failing", "Unknown", "counts", "nobody counted"]
    assert max(figure["data"][0]["y"]) == 40
    page = viewer.get(url).content.decode()
    where = "cluster=prod-eu&" if "clusters" in url else ""
    assert f'data-at="/resources/?{where}health=not_healthy"' in unescape(page)
    rows = re.findall(r'<a href="(/resources/\?[^"]*at=[^"]*)">', page)
    assert len(rows) == 5
    began = (floored(now, FIVE) - 29 * FIVE).strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ")
    assert unescape(rows[0]) == f"/resources/?{where}health=not_healthy&at={began}"
    words = text_of(viewer, url)
    assert "counted every 5 minutes" in words
    assert "the highest of its" not in words
    assert "unknown: nobody counted" in words


def test_before_the_first_count_the_panel_says_so(viewer: Client, now: datetime) -> None:
    make.cluster(now=now)
    assert "Nothing was counted in the last 24 h yet. Workers count every 5 minutes." in text_of(viewer, "/")
    assert "Nothing that was at risk or worse was seen getting well" in text_of(viewer, "/clusters/prod-eu/")


@pytest.mark.parametrize("path", ["/", "/clusters/prod-eu/"])
def test_the_length_is_chosen_and_wrong_ones_are_refused(viewer: Client, now: datetime, path: str) -> None:
    make.cluster(now=now)
    sampling.sample(now)
    for code, moments in (("24h", 289), ("7d", 169), ("30d", 721), ("1y", 366)):
        assert len(figure_of(viewer, f"{path}?trend={code}")["data"][0]["y"]) == moments
    assert "trend" in text_of(viewer, f"{path}?trend=2d", 400)
    assert "24h, 7d, 30d, 1y" in text_of(viewer, f"{path}?trend=2d", 400)
    assert "one value" in text_of(viewer, f"{path}?trend=7d,30d", 400)
    assert "there is no such parameter" in text_of(viewer, f"{path}?tend=7d", 400)


def test_the_page_of_a_cluster_tells_how_long_recovering_takes(viewer: Client, now: datetime) -> None:
    of = make.cluster(now=now)
    for store, seconds in (("", 7200), ("ClusterSecretStore vault", 90_000)):
        Recovery.objects.create(cluster=of, store=store, day=(now - DAY).date(), count=2, seconds=seconds)
    words = text_of(viewer, "/clusters/prod-eu/")
    assert "what reads ClusterSecretStore vault 2 12 h 30 min the whole cluster 2 1 h" in words


def moments_of(counts: list[dict[Health, int] | None]) -> list[Moment]:
    zeros = dict.fromkeys(WORST_FIRST, 0)
    return [
        Moment(NOW + place * FIVE, None, FIVE) if some is None else Moment(NOW + place * FIVE, zeros | some)
        for place, some in enumerate(counts)
    ]


def test_a_figure_of_a_trend_draws_holes_and_leaves_healthy_out() -> None:
    counts: list[dict[Health, int] | None] = [{Health.HEALTHY: 900, Health.STALE: 3}, None, None, {Health.STALE: 5}]
    figure = charts.trend(moments_of(counts), FIVE)
    stale, told, unseen = figure["data"]
    assert (stale["name"], stale["y"], stale["line"]["shape"]) == ("Stale", [3, 0, 0, 5, 5], "hv")
    assert told["y"] == [3, None, None, 5]
    assert unseen["width"] == [600_000]
    assert unseen["x"] == [(NOW + 10 * MINUTE).isoformat()]
    assert "900" not in json.dumps(figure)
    assert not re.search(r"#|<b>|style", json.dumps(figure))


def test_a_figure_hatches_the_part_of_an_hour_that_nobody_counted() -> None:
    zeros = dict.fromkeys(WORST_FIRST, 0)
    missing = (0 * MINUTE, 15 * MINUTE, 15 * MINUTE, HOUR, 0 * MINUTE)
    moments = [Moment(NOW + place * HOUR, None if lost == HOUR else zeros, lost) for place, lost in enumerate(missing)]
    unseen = charts.trend(moments, HOUR)["data"][-1]
    assert (unseen["y"], unseen["width"]) == ([0.25, 1], [7_200_000, 3_600_000])
    assert unseen["customdata"][0].replace("\N{NO-BREAK SPACE}", " ").startswith("15 min of each 1 h<br>")


@pytest.mark.parametrize(
    ("window", "minutes", "said"), [("7d", 60, "the highest of its hour"), ("1y", 1440, "the highest of its day")]
)
def test_what_nobody_counted_is_said_on_the_page_and_in_the_api(
    viewer: Client, now: datetime, window: str, minutes: int, said: str
) -> None:
    step = minutes * MINUTE
    at = floored(now, step) - step
    make.cluster(now=now)
    HealthSample.objects.create(at=at, minutes=minutes, cluster=None, shown={"ExternalSecret": {"0": 9}}, samples=1)
    words = text_of(viewer, f"/?trend={window}")
    assert said in words
    assert "0 0 0 0 0 55 min" in words if minutes == 60 else "0 0 0 0 0 23 h 55 min" in words
    (row,) = (row for row in client_for().get(f"/api/v1/trend/?window={window}").json()["results"] if row["counts"])
    assert (row["uncounted_seconds"], row["counts"]["healthy"]) == (60 * minutes - 300, 9)


@pytest.mark.parametrize("number", [0, 3, 500])
def test_a_figure_counts_in_whole_numbers(number: int) -> None:
    axis = charts.trend(moments_of([{Health.FAILING: number}]), FIVE)["layout"]["yaxis"]
    assert ("dtick" in axis) == (number < 5)


def test_the_api_tells_the_same(now: datetime) -> None:
    of, other = make.cluster(now=now), make.cluster("prod-us", now)
    past(now, [of, other, None], missing=range(1, 3))
    Recovery.objects.create(cluster=of, day=(now - DAY).date(), count=2, seconds=7201)
    answer = client_for().get("/api/v1/trend/?cluster=prod-*&kind=ExternalSecret").json()
    assert (answer["window"], answer["step_seconds"], len(answer["results"])) == ("24h", 300, 289)
    assert [row["counts"] and row["counts"]["failing"] for row in answer["results"][-4:]] == [4, None, None, 4]
    assert answer["results"][-1]["counts"].keys() == {health.code for health in Health}
    assert answer["recovered"] == [{"cluster": "prod-eu", "store": "", "count": 2, "mean_seconds": 3600}]
    assert answer["coverage"]["clusters"] == 2


def test_the_answer_is_as_described(now: datetime) -> None:
    past(now, [None], missing=range(1, 3))
    Recovery.objects.create(cluster=make.cluster(now=now), day=(now - DAY).date(), count=2, seconds=7201)
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    operation = schema["paths"]["/api/v1/trend/"]["get"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {"window", "cluster", "kind"}
    described = operation["responses"]["200"]["content"]["application/json"]["schema"]
    whole = strict({**described, "components": schema["components"]})
    answer = client_for().get("/api/v1/trend/").json()
    assert [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(answer)] == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("window=2d", "window"),
        ("window=24h&window=7d", "window"),
        ("cluster=nowhere", "cluster"),
        ("kind=CSINode", "kind"),
        ("limit=5", "limit"),
        ("cursor=x", "cursor"),
        ("health=stale", "health"),
    ],
)
def test_a_wrong_parameter_of_the_api_is_named(query: str, name: str) -> None:
    make.cluster()
    answer = client_for().get(f"/api/v1/trend/?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])


def test_the_api_of_a_trend_needs_a_sign_in(client: Client) -> None:
    assert client.get("/api/v1/trend/").status_code == 401


def gap(of: Cluster, began: timedelta, ended: timedelta, kind: str = "ExternalSecret") -> None:
    Gap.objects.create(cluster=of, kind=kind, began_at=NOW - began, ended_at=NOW - ended)


def strip_of(name: str) -> list[tuple[int, Health | None]]:
    rows = queries.resources(ResourceFilters(names=(name,)), NOW).rows
    return [(run.length, run.health) for run in queries.strips(rows, NOW)[0]]


def test_strips_show_past_gaps_of_their_own_cluster_and_kind() -> None:
    here, away = make.cluster(), make.cluster("prod-us")
    broken = make.resource(here, "a/broken", Health.FAILING)
    make.transition(broken, Health.FAILING, NOW - 3 * HOUR, before=Health.HEALTHY)
    make.resource(here, "a/sealed", kind="SealedSecret")
    make.resource(here, "a/young")
    Resource.objects.filter(name="young").update(first_seen_at=NOW - 6 * HOUR)
    make.resource(away, "a/other")
    gap(here, 10 * HOUR, 4 * HOUR)
    gap(here, 60 * HOUR, 55 * HOUR)
    assert strip_of("broken") == [(40, Health.HEALTHY), (6, Health.UNKNOWN), (1, Health.HEALTHY), (3, Health.FAILING)]
    assert strip_of("sealed") == strip_of("other") == [(50, Health.HEALTHY)]
    assert strip_of("young") == [(44, None), (2, Health.UNKNOWN), (4, Health.HEALTHY)]


def test_changes_of_findings_alone_are_no_changes_of_health() -> None:
    made = make.resource(make.cluster(), health=Health.STALE)
    make.transition(made, Health.STALE, NOW - 9 * HOUR, before=Health.HEALTHY)
    make.transition(made, Health.STALE, NOW - 5 * HOUR, before=Health.STALE)
    assert strip_of("db") == [(41, Health.HEALTHY), (9, Health.STALE)]
    found = queries.resource(made.pk, NOW)
    assert found is not None
    line = queries.timeline(found, NOW, DAY)
    assert ([piece.health for piece in line.stretches], len(line.changes)) == ([Health.HEALTHY, Health.STALE], 1)


def test_a_timeline_shows_past_gaps_and_what_was_before_its_oldest_change() -> None:
    of = make.cluster(read=HOUR, failing=HOUR)
    made = make.resource(of, health=Health.STALE)
    make.transition(made, Health.STALE, NOW - 20 * HOUR, before=Health.HEALTHY, began=3 * DAY)
    gap(of, 10 * HOUR, 8 * HOUR)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    with CaptureQueriesContext(connection) as statements:
        line = queries.timeline(found, NOW, 5 * DAY)
    assert [(NOW - piece.start, piece.health) for piece in line.stretches] == [
        (92 * HOUR, Health.HEALTHY),
        (20 * HOUR, Health.STALE),
        (10 * HOUR, Health.UNKNOWN),
        (8 * HOUR, Health.STALE),
        (HOUR, Health.UNKNOWN),
    ]
    assert len(statements) == 3


def test_what_was_before_more_changes_than_are_drawn_is_unknown() -> None:
    made = make.resource(make.cluster(), health=Health.HEALTHY)
    moments = [NOW - number * 5 * MINUTE for number in range(1, 502)]
    for place, at in enumerate(moments):
        before, after = (Health.FAILING, Health.HEALTHY)[:: -1 if place % 2 else 1]
        make.transition(made, after, at, before=before, began=5 * MINUTE)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    oldest, *_ = queries.timeline(found, NOW, 5 * DAY).stretches
    assert (oldest.start, oldest.health, oldest.end) == (NOW - 5 * DAY, Health.UNKNOWN, moments[500])
    (strip,) = queries.strips([found], NOW)
    assert (strip[0].health, strip[0].length) == (Health.UNKNOWN, 33)  # 200 changes are 16 h 40 min


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=4))
def test_a_strip_shows_no_health_in_a_gap(gaps: list[tuple[int, int]]) -> None:
    of = make.cluster(f"c-{next(make.numbers)}")
    made = make.resource(of, "a/b", Health.FAILING)
    make.transition(made, Health.FAILING, NOW - 20 * HOUR, before=Health.HEALTHY)
    for ended, length in gaps:
        gap(of, (ended + length) * HOUR, ended * HOUR)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    for run in queries.strips([found], NOW)[0]:
        for slot in range(50 - run.first - run.length, 50 - run.first):
            if any(ended <= slot < ended + length for ended, length in gaps):
                assert run.health is Health.UNKNOWN
            elif not any(slot == ended - 1 for ended, _ in gaps):  # a change soon after a gap ends is part of it
                assert run.health is (Health.FAILING if slot < 20 else Health.HEALTHY)


def streak(made: Resource, now: datetime = NOW) -> str:
    found = queries.resource(made.pk, now)
    assert found is not None
    context = {"resource": found, "timeline": queries.timeline(found, now, 5 * DAY), "now": now}
    words = re.sub(r"<[^>]*>", "", render_to_string("monitoring/_streak.html", context))
    return words.replace("\N{NO-BREAK SPACE}", " ").strip()


def test_the_streak_and_flapping() -> None:
    made = make.resource(make.cluster(), health=Health.FAILING, since=2 * HOUR)
    assert streak(made) == ""
    Resource.objects.update(unwell_since=NOW - 3 * DAY)
    assert streak(made) == "· unwell for 3 d"
    for number in range(6):
        make.transition(made, Health.FAILING, NOW - number * HOUR, before=Health.HEALTHY)
        make.transition(made, Health.HEALTHY, NOW - number * HOUR - MINUTE, before=Health.FAILING)
    assert streak(made) == "· unwell for 3 d · flapping: 6 times in 24 h"


def test_nothing_is_said_of_a_streak_that_nobody_sees() -> None:
    made = make.resource(make.cluster(read=HOUR, failing=HOUR), health=Health.FAILING, since=2 * HOUR)
    Resource.objects.update(unwell_since=NOW - 3 * DAY)
    assert streak(made) == ""


def test_strips_cost_the_same_for_many_rows() -> None:
    of = make.cluster()
    make.many(of, 3)
    with CaptureQueriesContext(connection) as few:
        queries.strips(queries.resources(ResourceFilters(), NOW).rows, NOW)
    for number in range(4):
        other = make.cluster(f"prod-{number}")
        make.many(other, 30)
        gap(other, 9 * HOUR, 8 * HOUR)
    with CaptureQueriesContext(connection) as many:
        queries.strips(queries.resources(ResourceFilters(), NOW, limit=200).rows, NOW)
    assert len(few) == len(many) == 3


@pytest.fixture
def history(visitor: Page, now: datetime) -> Page:
    past(now, [None, *Cluster.objects.all()], missing=range(80, 120))
    return visitor


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/", "/clusters/prod-eu/"])
def test_the_chart_is_drawn_speaks_and_leads_to_the_moment(history: Page, live_server: LiveServer, path: str) -> None:
    history.goto(live_server.url + path)
    chart = history.locator("#trend-chart")
    expect(chart.locator(".main-svg").first).to_be_visible()
    expect(chart.locator(".js-fill")).to_have_count(2)
    expect(chart.locator(".bars path")).to_have_count(1)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    history.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    expect(chart.locator(".hovertext").first).to_contain_text("2 failing")
    history.mouse.move(box["x"] + box["width"] * 0.64, box["y"] + 60)
    expect(chart.locator(".hovertext").first).to_contain_text("Unknown: nobody counted")
    history.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    history.route("**/resources/?*", lambda route: route.fulfill(body="then"))  # what that page shows is its own matter
    history.mouse.down()
    history.mouse.up()
    expect(history).to_have_url(re.compile(r"/resources/\?.*health=not_healthy&at=\d{4}-\d\d-\d\dT\d\d:\d[05]:00Z$"))


@pytest.mark.django_db(transaction=True)
def test_the_chart_survives_a_refresh_and_fits_a_phone(history: Page, live_server: LiveServer) -> None:
    history.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/?trend=24h", "/clusters/prod-eu/"):
        history.goto(live_server.url + path)
        expect(history.locator("#trend-chart .js-fill")).to_have_count(2)
        with history.expect_response(lambda response: response.request.headers.get("hx-request") == "true"):
            history.evaluate("document.querySelector('[data-live]').dispatchEvent(new CustomEvent('live-refresh'))")
        expect(history.locator("#trend-chart .js-fill")).to_have_count(2)
        assert history.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    history.get_by_role("link", name="30 d").click()
    expect(history.get_by_role("link", name="30 d")).to_have_attribute("aria-current", "true")
