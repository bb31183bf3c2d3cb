"""Pages and API of a past moment."""

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils.http import urlencode

from clusters.models import Cluster
from monitoring import queries
from monitoring.health import Health
from monitoring.models import Gap, Resource, Revision, Transition
from monitoring.queries import past
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, MINUTE, finding
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db

LISTS = ("resources", "causes", "lints", "clusters", "transitions")
API_LISTS = (*LISTS, "collections")


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def healed(now: datetime) -> int:
    """A resource that failed from three hours ago until an hour ago."""
    cluster = make.cluster("prod-eu", now=now)
    row = make.resource(cluster, "payments/db", now=now, since=HOUR, signature="")
    make.transition(row, Health.HEALTHY, now - 10 * DAY)
    make.transition(row, Health.FAILING, now - 3 * HOUR, before=Health.HEALTHY, began=10 * DAY - 3 * HOUR)
    failing = finding(Health.FAILING, summary="It broke.", cause="permission denied", signature="0123456789abcdef")
    make.transition(
        row,
        Health.HEALTHY,
        now - HOUR,
        before=Health.FAILING,
        began=2 * HOUR,
        findings=(failing,),
        signature="0123456789abcdef",
    )
    return row.pk


@pytest.mark.usefixtures("healed")
def test_a_past_list_says_so_and_leads_back(viewer: Client, now: datetime) -> None:
    then = {"at": written(now - 2 * HOUR), "cluster": "prod-*"}
    page = unescape(viewer.get("/resources/", then).content.decode())
    assert "This is the past" in page
    assert 'href="/resources/?cluster=prod-' in page
    assert "data-live" not in page
    assert "permission denied" in page
    assert "Failing" in page
    assert f"?at={written(now - 2 * HOUR).replace(':', '%3A')}" in page
    today = viewer.get("/resources/").content.decode()
    assert "This is the past" not in today
    assert "permission denied" not in today


@pytest.mark.usefixtures("healed")
def test_the_api_answers_with_the_estate_of_then(viewer: Client, now: datetime) -> None:
    then = written(now - 2 * HOUR)
    body = viewer.get("/api/v1/resources/", {"at": then}).json()
    assert [(row["name"], row["health"], row["findings"][0]["cause"]) for row in body["results"]] == [
        ("db", "failing", "permission denied")
    ]
    assert body["as_of"] == then
    causes = viewer.get("/api/v1/causes/", {"at": then}).json()["results"]
    assert [cause["signature"] for cause in causes] == ["0123456789abcdef"]
    assert viewer.get("/api/v1/causes/").json()["results"] == []
    told = viewer.get("/api/v1/transitions/", {"at": then}).json()["results"]
    assert [change["to_health"] for change in told] == ["failing", "healthy"]
    (cluster,) = viewer.get("/api/v1/clusters/", {"at": then}).json()["results"]
    assert cluster["health"] == "failing"
    assert cluster["answered_at"] is None  # what is kept of it is of the present
    assert "given more than once" in viewer.get("/api/v1/resources/", {"at": [then, then]}).json()["errors"]["at"][0]
    assert "present only" in viewer.get("/api/v1/drift/", {"at": then}).json()["errors"]["at"][0]


def test_a_resource_of_then(viewer: Client, now: datetime, healed: int) -> None:
    page = viewer.get(f"/resources/{healed}/", {"at": written(now - 2 * HOUR)}).content.decode()
    assert "Failing." in page
    assert "It broke." in page
    assert "Look yourself" not in page
    assert "Look yourself" in viewer.get(f"/resources/{healed}/").content.decode()
    assert viewer.get(f"/resources/{healed + 1}/", {"at": written(now - HOUR)}).status_code == 404


@pytest.mark.usefixtures("healed")
def test_the_overview_of_then(viewer: Client, now: datetime) -> None:
    then = written(now - 2 * HOUR)
    page = unescape(viewer.get("/", {"at": then}).content.decode())
    assert "This is the past" in page
    assert "<h1>One problem needs someone.</h1>" in page
    assert "permission denied" in page
    assert f'href="/resources/?health=failing&at={then.replace(":", "%3A")}"' in page
    assert f'href="/causes/?at={then.replace(":", "%3A")}"' in page
    today = unescape(viewer.get("/").content.decode())
    assert "permission denied" not in today
    assert "As of another time" in today
    assert "lies in the future" in viewer.get("/", {"at": "2999-01-01"}).content.decode()


def test_families_of_then_hide_what_nobody_saw(now: datetime, healed: int) -> None:
    cluster = Cluster.objects.get()
    Gap.objects.create(cluster=cluster, kind="ExternalSecret", began_at=now - 5 * HOUR, ended_at=now - 2.5 * HOUR)
    shown = {
        hours: {
            health
            for row in past.family_totals(now - hours * HOUR, now, past.counts(now - hours * HOUR))
            for health, n in row.counts.items()
            if n
        }
        for hours in (0.5, 2, 2.8)
    }
    assert shown == {0.5: {Health.HEALTHY}, 2: {Health.FAILING}, 2.8: {Health.UNKNOWN}}


@pytest.mark.usefixtures("healed")
def test_a_moment_that_nobody_saw_is_told_once(viewer: Client, now: datetime) -> None:
    cluster = Cluster.objects.get()
    Gap.objects.create(cluster=cluster, kind="ExternalSecret", began_at=now - 5 * HOUR, ended_at=now - 3.5 * HOUR)
    asked = {"from": written(now - 4 * HOUR), "to": written(now - 2 * HOUR)}
    body = viewer.get("/api/v1/diff/", asked).json()
    assert body["results"] == []
    assert body["unseen"] == [{"cluster": "prod-eu", "kinds": ["ExternalSecret"], "before": True, "after": False}]
    assert body["as_of"] == asked["to"]
    page = text_of(viewer, f"/diff/?{urlencode(asked)}")
    assert "prod-eu : ExternalSecret not seen then, not compared" in page


def test_of_an_event_that_went_on_only_its_beginning_is_told(now: datetime, healed: int) -> None:
    row = Resource.objects.get(pk=healed)
    make.event(row, "UpdateFailed", "denied", now - HOUR, first_at=now - 3 * HOUR, count=40)
    make.event(row, "Later", "denied", now - HOUR, first_at=now - 1.5 * HOUR)
    found = past.resource(healed, now - 2 * HOUR, now)
    assert found is not None
    (event,) = queries.events(found, until=now - 2 * HOUR)
    assert (event.reason, event.last_at, event.count) == ("UpdateFailed", now - 3 * HOUR, 1)
    assert len(queries.events(found)) == 2


def test_nothing_that_came_later_is_a_suspect(now: datetime, healed: int) -> None:
    row = Resource.objects.get(pk=healed)
    began = now - 3 * HOUR
    Transition.objects.update(unwell_since=began)
    key = {"cluster": row.cluster, "kind": row.kind, "namespace": row.namespace, "name": row.name}
    for minutes in (-5, 5):
        at = began + minutes * MINUTE
        Revision.objects.create(**key, at=at, seen_at=at, what="spec")
    assert told_after(healed, began, 2, now) == [-5 * MINUTE]
    assert told_after(healed, began, 7, now) == [-5 * MINUTE, 5 * MINUTE]


def told_after(healed: int, began: datetime, minutes: int, now: datetime) -> list[timedelta]:
    """How far from the beginning the suspects lie, as a page so many minutes after it tells them."""
    found = past.resource(healed, began + minutes * MINUTE, now)
    assert found is not None
    return sorted(suspect.at - began for suspect in queries.suspects(found) or ())


@pytest.mark.usefixtures("healed")
def test_what_is_different_between_two_moments(viewer: Client, now: datetime) -> None:
    asked = {"from": written(now - 4 * HOUR), "to": written(now - 2 * HOUR)}
    (change,) = viewer.get("/api/v1/diff/", asked).json()["results"]
    assert (change["name"], change["from_health"], change["to_health"]) == ("db", "healthy", "failing")
    assert change["findings_after"][0]["cause"] == "permission denied"
    page = viewer.get("/diff/", asked).content.decode()
    assert "payments/db" in page
    assert "Nothing that we saw was different" in viewer.get("/diff/", {"from": asked["from"]}).content.decode()
    assert "Two moments are compared" in viewer.get("/diff/").content.decode()


WRONG = [
    ("yesterday", "is not a moment such as"),
    ("2026-13-01", "is not a moment such as"),
    ("9999-12-31T23:59:59-12:00", "is not a moment such as"),
    ("2999-01-01", "lies in the future"),
    ("1999-01-01", "lies before our first record, of"),
    ("2026-11-23T25:00", "is not a moment such as"),
    ("\x00", "is not a moment such as"),
]


@pytest.mark.usefixtures("healed")
@pytest.mark.parametrize(("text", "reason"), WRONG)
def test_a_wrong_moment_is_refused_everywhere(viewer: Client, text: str, reason: str) -> None:
    for name in LISTS:
        answer = viewer.get(f"/{name}/", {"at": text})
        assert answer.status_code == 400
        assert reason in unescape(answer.content.decode()), name
    for name in API_LISTS:
        answer = viewer.get(f"/api/v1/{name}/", {"at": text})
        assert answer.status_code == 400
        assert reason in answer.json()["errors"]["at"][0]


WRONG_PAIRS = [
    ({}, "from", "is missing"),
    ({"from": -1, "to": -2}, "from", "must lie before"),
    ({"from": -2, "to": -2}, "from", "must lie before"),
    ({"from": -24 * 40}, "from", "more than 31 days"),
    ({"from": -24 * 20}, "from", "before our first record"),
    ({"from": -1, "to": 1}, "to", "in the future"),
]


@pytest.mark.usefixtures("healed")
@pytest.mark.parametrize(("hours", "parameter", "reason"), WRONG_PAIRS)
def test_wrong_pairs_of_moments(
    viewer: Client, now: datetime, hours: dict[str, int], parameter: str, reason: str
) -> None:
    asked = {name: written(now + timedelta(hours=number)) for name, number in hours.items()}
    answer = viewer.get("/api/v1/diff/", asked)
    assert answer.status_code == 400
    assert reason in answer.json()["errors"][parameter][0]
    if asked:
        assert viewer.get("/diff/", asked).status_code == 400


@pytest.mark.usefixtures("healed")
def test_what_only_the_present_knows_is_refused(viewer: Client, now: datetime) -> None:
    answer = viewer.get("/api/v1/resources/", {"at": written(now - HOUR), "store": "vault"})
    assert answer.status_code == 400
    assert "cannot be asked of the past" in answer.json()["errors"]["store"][0]
