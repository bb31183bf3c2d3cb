"""The page at /api/docs/ works in a browser under our content security policy."""

import re
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.web.api_data import add_cluster

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(page: Page, live_server: LiveServer, *, staff: bool = False) -> None:
    client = Client()
    client.force_login(User.objects.create_user("somebody", is_staff=staff))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])


def try_out(page: Page, operation: str, values: dict[str, str]) -> Locator:
    """Send a request from the page; the status of its answer."""
    section = page.locator(f"#operations-{operation}")
    section.click()
    section.get_by_role("button", name="Try it out").click()
    for placeholder, value in values.items():
        section.get_by_placeholder(placeholder, exact=True).fill(value)
    section.get_by_role("button", name="Execute").click()
    return section.locator(".live-responses-table .response .response-col_status").first


def test_the_page_shows_endpoints_and_tries_them(page: Page, live_server: LiveServer) -> None:
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(re.sub(r"^(\w+://[^/]*|data:).*", r"\1", request.url)))
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/api/docs/")
    expect(try_out(page, "collections-listCollections", {})).to_contain_text("200")
    assert complaints == []
    assert hosts <= {live_server.url, "data:"}


def test_staff_can_change_something_from_the_page(page: Page, live_server: LiveServer) -> None:
    add_cluster("prod", datetime.now(UTC))
    sign_in(page, live_server, staff=True)
    page.goto(f"{live_server.url}/api/docs/")
    expect(try_out(page, "clusters-collectCluster", {"name": "prod"})).to_contain_text("202")
