"""What changed shortly before a resource failed, on its page."""

from datetime import datetime

import pytest
from django.test import Client

from clusters.facts import ResourceKey
from monitoring.health import Health
from monitoring.models import Resource, Revision
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, MINUTE
from tests.web.test_pages import HOSTILE, text_of

pytestmark = pytest.mark.django_db
STORE = ResourceKey("ClusterSecretStore", "", "vault")


def suspicious(now: datetime) -> Resource:
    made = make.cluster(now=now)
    row = make.resource(made, "payments/db", Health.FAILING, now, since=HOUR, findings=(make.finding(Health.FAILING),))
    make.reference(row, "store", "ClusterSecretStore", "vault")
    make.resource(made, "vault", now=now, kind="ClusterSecretStore")
    for key, what, before, after, by, ago in (
        (STORE, "spec", "generation 3", "generation 4", "argocd", HOUR + 2 * MINUTE),
        (ResourceKey("ExternalSecret", "payments", "db"), "labels", "", "", HOSTILE, 2 * HOUR),
        (ResourceKey("Cluster", "", "ExternalSecret"), "served version", "v1beta1", "v1", "", 5 * HOUR),
        (ResourceKey("ExternalSecret", "payments", "other"), "spec", "generation 1", "generation 2", "", HOUR),
        (STORE, "spec", "generation 2", "generation 3", "", 2 * DAY),
    ):
        Revision.objects.create(
            **{"kind": key.kind, "namespace": key.namespace, "name": key.name, "what": what, "by": by},
            **{"cluster": made, "at": now - ago, "seen_at": now, "before": before, "after": after},
        )
    return row


def test_a_failing_resource_names_its_suspects(viewer: Client, now: datetime) -> None:
    row = suspicious(now)
    words = text_of(viewer, f"/resources/{row.pk}/")
    assert "What changed shortly before" in words
    told = [
        "Spec of ClusterSecretStore vault by argocd generation 3 → generation 4",
        "Labels of this ExternalSecret by",
        "Served version of the API server for ExternalSecret v1beta1 → v1",
    ]
    places = [words.index(line) for line in told]
    assert places == sorted(places)
    assert "generation 2" not in words
    assert "<script>alert" not in viewer.get(f"/resources/{row.pk}/").content.decode()
    told_there = viewer.get(f"/api/v1/resources/{row.pk}/").json()["suspects"]
    assert [suspect["what"] for suspect in told_there] == ["spec", "labels", "served version"]
    assert (told_there[0]["by"], told_there[0]["after"]) == ("argocd", "generation 4")


def test_no_suspect_is_said_and_a_healthy_resource_has_no_panel(viewer: Client, now: datetime) -> None:
    row = suspicious(now)
    Revision.objects.all().delete()
    assert "Nothing that we watch changed in the day before" in text_of(viewer, f"/resources/{row.pk}/")
    well = make.resource(row.cluster, "payments/well", now=now)
    assert "What changed shortly before" not in text_of(viewer, f"/resources/{well.pk}/")
    assert viewer.get(f"/api/v1/resources/{well.pk}/").json()["suspects"] is None
