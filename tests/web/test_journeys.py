"""Journeys in a real browser: no console error, no request to another host, nothing that the policy forbids."""

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from monitoring.models import Resource
from tests.web import seed

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"
PHONE = {"width": 390, "height": 844}


class Witness:
    """Writes down what a browser complains about and whom it asks."""

    def __init__(self, page: Page, host: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.host = host
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _see(self, url: str) -> None:
        if urlsplit(url).netloc not in ("", self.host):
            self.foreign.append(url)


@pytest.fixture
def visitor(page: Page, live_server: LiveServer, now: datetime) -> Iterator[Page]:
    """A page of somebody who signed in by the form, in front of the fleet on paper. Complaints fail the test."""
    seed.fleet(now)
    User.objects.create_user("ana", password=PASSWORD, is_staff=True)
    witness = Witness(page, urlsplit(live_server.url).netloc)
    page.goto(live_server.url)
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("problems need someone")
    page.wait_for_load_state()  # the heading is there before the scripts listen
    yield page
    assert witness.complaints == []
    assert witness.foreign == []


def test_from_the_overview_to_a_failing_secret_in_two_clicks(visitor: Page) -> None:
    visitor.get_by_role("link", name="vault-prod Not ready").click()
    expect(visitor.get_by_role("link", name="Permission denied", exact=True)).to_be_visible()
    visitor.get_by_role("link", name="payments/db", exact=True).click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("Failing.")
    expect(visitor.get_by_text("permission denied").first).to_be_visible()
    expect(visitor.locator("#chart .main-svg").first).to_be_visible()
    expect(visitor.locator("#chart .bars path")).to_have_count(2)


def test_filter_and_page(visitor: Page) -> None:
    visitor.get_by_role("link", name="Resources", exact=True).click()
    visitor.get_by_role("combobox", name="Health").select_option("not_healthy")
    visitor.get_by_role("textbox", name="Cluster").fill("prod-*")
    visitor.get_by_role("button", name="Filter").click()
    expect(visitor).to_have_url(re.compile(r"\?health=not_healthy&cluster=prod-\*$"))
    rows = visitor.locator("tbody tr")
    expect(rows).to_have_count(50)
    first = rows.first.text_content()
    visitor.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(50)
    assert rows.first.text_content() != first
    visitor.get_by_role("link", name="First page").click()
    visitor.get_by_role("link", name="cluster prod-*").click()
    expect(visitor).to_have_url(re.compile(r"\?health=not_healthy$"))


def test_search_by_keyboard(visitor: Page) -> None:
    visitor.keyboard.press("/")
    visitor.keyboard.type("payments/stripe")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("tbody tr")).to_have_count(5)


def test_the_timeline_and_its_table(visitor: Page, live_server: LiveServer) -> None:
    stale = Resource.objects.get(cluster__name="prod-eu", namespace="payments", name="db")
    visitor.goto(f"{live_server.url}/resources/{stale.pk}/")
    expect(visitor.locator("#chart .bars path")).to_have_count(2)
    visitor.get_by_text("As a table").click()
    expect(visitor.get_by_role("region", name="Timeline as a table").locator("tbody tr")).to_have_count(2)
    visitor.get_by_role("link", name="30 d").click()
    expect(visitor.get_by_role("link", name="30 d")).to_have_attribute("aria-current", "true")


def test_an_unreachable_cluster_is_unknown(visitor: Page) -> None:
    visitor.get_by_role("link", name="prod-ap unreachable since").click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("Unreachable since")
    visitor.get_by_label("Resources by health").get_by_role("link", name="Unknown").click()
    expect(visitor.get_by_text("cluster unreachable since").first).to_be_visible()
    expect(visitor.locator("tbody .health.unknown")).to_have_count(50)


def test_the_live_part_follows_the_data(visitor: Page) -> None:
    Resource.objects.filter(cluster__name="prod-us", name="vault-prod").delete()
    expect(visitor.get_by_text("Not ready since")).to_be_visible()
    visitor.evaluate("document.querySelector('[data-live]').dispatchEvent(new CustomEvent('live-refresh'))")
    expect(visitor.get_by_text("Not ready since")).to_have_count(0)


def test_an_ended_session_leads_to_the_sign_in_page(visitor: Page) -> None:
    visitor.context.clear_cookies()
    visitor.evaluate("document.querySelector('[data-live]').dispatchEvent(new CustomEvent('live-refresh'))")
    expect(visitor.get_by_label("Password")).to_be_visible()
    assert visitor.locator("[data-live]").count() == 0


def test_the_chart_survives_a_refresh(visitor: Page, live_server: LiveServer) -> None:
    stale = Resource.objects.get(cluster__name="prod-eu", namespace="payments", name="db")
    visitor.goto(f"{live_server.url}/resources/{stale.pk}/")
    expect(visitor.locator("#chart .bars path")).to_have_count(2)
    with visitor.expect_response(lambda response: response.request.headers.get("hx-request") == "true"):
        visitor.evaluate("document.querySelector('[data-live]').dispatchEvent(new CustomEvent('live-refresh'))")
    expect(visitor.locator("#chart .bars path")).to_have_count(2)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_scrolls_sideways_on_a_phone(visitor: Page, live_server: LiveServer, theme: str) -> None:
    visitor.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    visitor.set_viewport_size(PHONE)  # type: ignore[arg-type]
    failing = Resource.objects.filter(namespace="legacy").get()
    pages = ["/", "/resources/", f"/resources/{failing.pk}/", "/clusters/", "/clusters/prod-ap/", "/transitions/"]
    for path in [*pages, "/add-cluster/", "/components/"]:
        visitor.goto(live_server.url + path)
        assert visitor.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_touch_targets_on_a_phone(visitor: Page, live_server: LiveServer) -> None:
    visitor.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/", "/resources/", "/clusters/prod-ap/", "/transitions/", "/add-cluster/"):
        visitor.goto(live_server.url + path)
        small = visitor.evaluate(
            """() => [...document.querySelectorAll('main a, button, input:not([type=hidden]), select, summary')]
                .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 39.5)
                .map((element) => element.outerHTML.slice(0, 120))"""
        )
        assert small == [], path


def test_a_cluster_is_registered_in_the_browser(visitor: Page, live_server: LiveServer) -> None:
    visitor.goto(f"{live_server.url}/clusters/")
    visitor.get_by_role("link", name="Add a cluster").click()
    visitor.get_by_label("Name", exact=True).fill("new-1")
    visitor.get_by_label("Address of the API server").fill("https://10.0.0.1:6443")
    visitor.get_by_label("Token").fill("a-token")
    visitor.get_by_role("button", name="Add", exact=True).click()
    expect(visitor.get_by_role("status").first).to_contain_text("Registered: new-1.")
    expect(visitor.get_by_role("link", name="new-1", exact=True)).to_be_visible()


def test_everything_is_there_without_javascript(
    new_context: object, live_server: LiveServer, now: datetime, transactional_db: None
) -> None:
    seed.fleet(now)
    User.objects.create_user("ana", password=PASSWORD)
    page: Page = new_context(java_script_enabled=False).new_page()  # type: ignore[operator]
    page.goto(live_server.url)
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="vault-prod Not ready").click()
    page.get_by_role("link", name="payments/db", exact=True).click()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("region", name="Timeline as a table").locator("tbody tr")).to_have_count(2)
