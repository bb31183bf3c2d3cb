"""The rotations of one resource, and where a rotation leads."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from clusters.facts import RemoteKey, ResourceKey, key_digest
from clusters.models import Cluster
from monitoring import queries
from monitoring.filters.rotations import LedgerFilters
from monitoring.health import Health
from monitoring.models import Cursor, MountedVersion, Resource, Rotation
from monitoring.queries.ledger import ledger
from monitoring.rotation import policy
from monitoring.views.rotations import lines, panel
from tests.web import factories as make
from tests.web.api_data import client_for
from tests.web.factories import DAY, HOUR, MINUTE
from tests.web.rotations_data import rotation
from tests.web.test_journeys import PHONE, visitor
from tests.web.test_pages import text_of
from tests.web.test_waves import CUT, waving
from tests.web.waves_data import cluster as with_store
from tests.web.waves_data import mounts_in_three_clusters, reader, rotated

__all__ = ["visitor", "waving"]

pytestmark = pytest.mark.django_db


def panel_of(of: Resource, now: datetime) -> str:
    found = queries.resource(of.pk, now)
    assert found is not None
    context = {"rotations": panel(found), "now": now}
    return " ".join(render_to_string("monitoring/_resource_rotations.html", context).split())


@override_settings(ROTATION_POLICY=policy.parse([{"days": 20, "cluster_label": "env=prod", "namespace": "pay*"}]))
def test_the_panel_of_a_resource(now: datetime) -> None:
    of = with_store("prod", now, t2=False, labels={"env": "prod"})
    row = reader(of, "", now, "payments/db")
    text = panel_of(row, now)
    assert "None was seen since" in text
    assert "the value is at least that old" in text
    assert "It is not ready now" not in text
    assert "the tier T2 would prove each" in text
    assert "due at the latest" in text
    Resource.objects.filter(pk=row.pk).update(facts={**row.facts, "ready": False})
    assert "It is not ready now" in panel_of(row, now)
    make.cursor(of, "Secret", now, read_at=now, outcome="complete")
    assert "the tier T2" not in panel_of(row, now)
    for place in range(12):
        rotation(of, "payments/db", now - place * DAY, after=f"value-{place:02}")
    text = panel_of(row, now)
    assert "the last 10" in text
    assert text.index("value-00") < text.index("value-09")
    assert "value-10" not in text
    assert "Follow the wave" in text
    assert "?cluster=prod&amp;kind=ExternalSecret&amp;namespace=payments&amp;name=db" in text
    assert panel_of(make.resource(of, "payments/pod", kind="Pod", now=now), now).strip() == ""


def test_a_row_leads_to_its_wave(viewer: Client, now: datetime) -> None:
    row = reader(with_store("eu", now), "", now)
    rotation(row.cluster, "shop/db", now - HOUR)
    two = reader(row.cluster, "", now, "shop/two", *(key_named(name) for name in ("a", "b")))
    rotation(row.cluster, "shop/two", now - 2 * HOUR)
    rotation(row.cluster, "shop/gone", now - 3 * HOUR)
    body = viewer.get("/rotations/").content.decode()
    assert body.count("Follow the wave") == 2
    assert f'href="/waves/?resource={two.pk}"' in body
    found = client_for().get("/api/v1/rotations/").json()["results"]
    assert [len(told["waves"]) for told in found] == [1, 2, 0]
    assert client_for(name="other").get(found[0]["waves"][0]).status_code == 200


def test_an_object_of_a_class_leads_to_the_wave_of_that_object(now: datetime) -> None:
    of = make.cluster(now=now)
    facts = {"provider": "azure", "source": "6" * 16, "objects": ["db", "api"]}
    make.resource(of, "shop/vault", now=now, kind="SecretProviderClass", facts=facts)
    for name in ("db", "api"):
        MountedVersion.objects.create(
            source="6" * 16, object_id=f"secret/{name}", version="v2", changed_at=now, cluster=of
        )
    rotation(of, "shop/vault", now, kind="SecretProviderClass", source="mount", object="secret/api")
    (line,) = lines(ledger(LedgerFilters()).rows, now)
    assert line.wave == f"/waves/{'6' * 16}/{key_digest('secret/api', '')}/"
    (told,) = client_for().get("/api/v1/rotations/").json()["results"]
    assert told["waves"] == [f"/api/v1{line.wave}"]


def key_named(name: str) -> Any:
    return RemoteKey(store=ResourceKey("ClusterSecretStore", "", "vault"), key=name)


def test_how_many_mounts_have_a_version_by_now(viewer: Client, now: datetime) -> None:
    made = mounts_in_three_clusters(now)
    resource, ledger_page = f"/resources/{made['us'].pk}/", "/rotations/?source=mount"
    for page in (resource, ledger_page):
        assert "reached 4 of 7 mounts" in text_of(viewer, page)
        assert "it is not known" not in text_of(viewer, page)
    # What was reached stays so; of the other mounts nobody knows where we do not see them.
    for cluster, told in (("eu", "reached 4 of 7 mounts"), ("ap", "reached 4 of 7 mounts; of 1 it is not known")):
        Cursor.objects.filter(cluster__name=cluster).update(read_at=now - HOUR)
        for page in (resource, ledger_page):
            words = text_of(viewer, page)
            assert told in words
            assert ("it is not known" in words) == ("known" in told)
    make.transition(made["eu"], Health.HEALTHY, now - 30 * DAY)
    at = f"{now - 30 * MINUTE:%Y-%m-%dT%H:%M:%SZ}"
    for page in (f"{resource}?at={at}", f"{ledger_page}&at={at}"):
        assert "reached" not in text_of(viewer, page)


def test_how_far_rotations_got_is_one_statement(now: datetime) -> None:
    counted = []
    for number in (1, 30):
        Cluster.objects.all().delete()
        made = mounts_in_three_clusters(now)
        for place in range(number):
            rotated(made["ap"], now - place * HOUR, "v0", "v1", "secret/db")
        rows = ledger(LedgerFilters()).rows
        with CaptureQueriesContext(connection) as statements:
            assert all(line.far for line in lines(rows, now))
        assert not any(line.far for line in lines(rows, None))
        counted.append(len(statements))
    assert counted == [2, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("width", [1440, 1000, PHONE["width"]])
def test_the_panel_is_never_cut(waving: Page, live_server: LiveServer, width: int) -> None:
    row = Resource.objects.filter(kind="ExternalSecret", name="db", cluster__name="prod-eu").latest("pk")
    Rotation.objects.update(before="0b61c1a7f4fb4e3d9d0f", after="61681fc3ec558e682287")
    waving.set_viewport_size({"width": width, "height": 900})
    waving.goto(f"{live_server.url}/resources/{row.pk}/")
    expect(waving.get_by_role("link", name="Follow the wave").first).to_be_visible()
    assert waving.evaluate(CUT) == []
