"""The commands that collect in the foreground: once, and the back story of the demo fleet."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from clusters.models import Cluster
from demo.apiserver import Fleet, running
from monitoring import leases
from monitoring.models import Collection, Lease, Resource, Transition
from tests.integration.test_demo import demo
from tests.integration.test_whole_way import external_secret, store
from tests.integration.whole_way import register

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_collect_reads_once_and_says_how_it_went() -> None:
    fleet = Fleet()
    simulated = fleet.add("prod-eu")
    simulated.load([store(), external_secret()])
    with running(fleet):
        cluster = register("prod-eu", url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token)
        assert "prod-eu: complete, 2 added" in run("collect", "prod-eu")
        assert "0 added, 0 changed, 0 removed, 2 unchanged" in run("collect")
        with pytest.raises(CommandError, match="No enabled cluster named nowhere"):
            run("collect", "nowhere")
        lease = Lease.objects.get()
        assert leases.claim([cluster.pk], lease.due_at, uuid4(), hold=timedelta(days=1)) == [cluster.pk]
        with pytest.raises(CommandError, match="Read by a worker at this moment: prod-eu"):
            run("collect")


def test_the_back_story_comes_through_the_pipeline(tmp_path: Path) -> None:
    with demo(tmp_path) as started:
        run("importclusters", kubeconfig=str(tmp_path / "kubeconfig"), local=True)
        assert "days to go" in run("replaydemo", control=started["control"], step=720)
    assert Collection.objects.count() >= 10 * Cluster.objects.count()
    assert Resource.objects.count() > 100
    spread = Transition.objects.earliest("at").at, Transition.objects.latest("at").at
    assert spread[1] - spread[0] > timedelta(days=3)
    assert Transition.objects.filter(to_health__gte=3).exists()
