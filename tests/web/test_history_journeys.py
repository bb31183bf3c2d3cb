"""Journeys through history in a real browser: along a rotation to the cluster that lags, and back to yesterday."""

import csv
import io
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from monitoring.health import Health
from monitoring.models import Resource
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, finding
from tests.web.test_journeys import visitor
from tests.web.waves_data import NEW, OLD, cluster, reader, rotated, tag

__all__ = ["visitor"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spread(now: datetime) -> Resource:
    """One password in three clusters: two have the new value, the third still has the old one."""
    east, west, north = (cluster(name, now) for name in ("shop-east", "shop-west", "shop-north"))
    first = reader(east, tag(NEW), now)
    rotated(first, now - 3 * HOUR, OLD, NEW)
    rotated(reader(west, tag(NEW), now), now - 2 * HOUR, OLD, NEW)
    reader(north, tag(OLD), now)
    return first


def test_from_a_resource_to_its_rotation_to_the_wave_to_the_cluster_that_lags(
    visitor: Page, live_server: LiveServer, spread: Resource
) -> None:
    visitor.goto(f"{live_server.url}/resources/{spread.pk}/")
    panel = visitor.get_by_role("region", name="Rotations", exact=True).last
    expect(panel).to_contain_text("proved")
    panel.get_by_role("link", name="Follow the wave").click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("1 of 3 resources still has an older value")
    lagging = visitor.get_by_role("row").filter(has_text="shop-north")
    expect(lagging).to_contain_text("lags")
    expect(visitor.get_by_role("row").filter(has_text="shop-west")).to_contain_text("1 h")
    lagging.get_by_role("link", name="shop-north").click()
    expect(visitor).to_have_url(f"{live_server.url}/clusters/shop-north/")


def test_back_to_yesterday_and_to_now_again(visitor: Page, live_server: LiveServer, now: datetime) -> None:
    row = make.resource(make.cluster("shop-east", now), "shop/db", now=now, since=HOUR, signature="")
    make.transition(row, Health.HEALTHY, now - 9 * DAY)
    make.transition(row, Health.FAILING, now - 3 * DAY, before=Health.HEALTHY, began=6 * DAY)
    failing = finding(Health.FAILING, summary="It broke.", cause="permission denied: role db")
    make.transition(row, Health.HEALTHY, now - HOUR, before=Health.FAILING, began=3 * DAY - HOUR, findings=(failing,))
    visitor.goto(f"{live_server.url}/resources/?q=shop/db")
    expect(visitor.get_by_text("permission denied: role db")).to_have_count(0)
    visitor.get_by_text("As of another time").click()
    yesterday = (now - DAY).replace(hour=14, minute=0, second=0)
    visitor.get_by_label("Moment in UTC").fill(f"{yesterday:%Y-%m-%dT%H:%M}")
    visitor.get_by_role("button", name="Go there").click()
    expect(visitor.get_by_role("status").filter(has_text="This is the past")).to_contain_text(f"{yesterday:%H:%M:%S}")
    expect(visitor.get_by_text("permission denied: role db")).to_be_visible()
    visitor.get_by_role("link", name="shop/db", exact=True).click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("Failing.")
    expect(visitor.get_by_text("This is the past")).to_be_visible()
    visitor.get_by_role("link", name="Back to now").click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("Healthy.")
    expect(visitor.get_by_text("This is the past")).to_have_count(0)


def test_the_ledger_as_a_table_for_a_spreadsheet(
    visitor: Page, live_server: LiveServer, spread: Resource, tmp_path: Path
) -> None:
    visitor.goto(f"{live_server.url}/rotations/?cluster=shop-*")
    with visitor.expect_download() as download:
        visitor.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "ledger.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "ledger.csv").read_text())))
    assert [(row["cluster"], row["name"], row["confidence"]) for row in rows] == [
        ("shop-west", "db", "proved"),
        ("shop-east", "db", "proved"),
    ]
    assert download.value.suggested_filename.startswith("rotations-")
