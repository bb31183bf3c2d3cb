"""The commands that collect in the foreground: once, and the back story of the demo fleet."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from clusters.models import DEFAULT_INTERVAL, Cluster
from demo.apiserver import Fleet, running
from monitoring import leases
from monitoring.filters.rotations import WaveFilters
from monitoring.management.commands.replaydemo import own_intervals, read_every, steps
from monitoring.models import Collection, Gap, HealthSample, Lease, Resource, Revision, Rotation, Transition
from monitoring.queries.waves import key_rows
from monitoring.rotation.waves import Standing
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
        assert "1 days to go" in run("replaydemo", control=started["control"], days=2, step=120)
        epoch = datetime.fromisoformat(json.loads((tmp_path / "story.json").read_text())["epoch"])
    assert Collection.objects.count() >= 24 * Cluster.objects.count()
    assert Resource.objects.count() > 100
    assert Transition.objects.filter(to_health__gte=3, at__lt=epoch - timedelta(days=1)).exists()
    labels = dict(Cluster.objects.values_list("name", "labels"))
    assert {name: of["stage"] for name, of in labels.items()} == {
        "prod-eu": "production",
        "prod-us": "production",
        "staging": "staging",
    }
    assert set(Cluster.objects.values_list("interval_seconds", flat=True)) == {settings.POLL_INTERVAL}
    assert_ledger_and_waves(epoch)
    # Only where nothing listened for a while.
    gaps = Gap.objects.values_list("cluster__name", "began_at", "ended_at").distinct()
    assert set(gaps) == {("prod-us", epoch - timedelta(hours=10), epoch - timedelta(hours=6))}
    fine = HealthSample.objects.filter(cluster=None, minutes=5, at__gte=epoch - timedelta(days=1), at__lt=epoch)
    assert fine.count() == 24 * 12
    assert len({str(sample.shown) for sample in fine}) > 5  # each step was counted, not the first one again and again
    assert HealthSample.objects.filter(cluster=None, minutes=60).count() >= 24
    suspected = set(Revision.objects.values_list("kind", "what", "by"))
    assert suspected >= {
        ("ExternalSecret", "spec", "argocd-controller"),
        ("SecretStore", "spec", "kubectl-edit"),
        ("Deployment", "version", ""),
    }


def assert_ledger_and_waves(epoch: datetime) -> None:
    """Rotations of every source; one that arrived where its key is read, but for one reader that has fallen silent."""
    # The demo's controllers write a hash beside all data, so managed fields alone tell of nothing.
    told = set(Rotation.objects.values_list("source", flat=True))
    assert told == set(Rotation.Source) - {Rotation.Source.WRITTEN}
    (row,) = key_rows(WaveFilters(key="platform/registry", property="dockerconfigjson"), epoch)
    assert len(row.waves[0].arrivals) == 4
    assert {reader.cluster: row.standings[reader.reader.id] for reader in row.readers} == {
        "prod-eu": Standing.ARRIVED,
        "prod-us": Standing.ARRIVED,
        "staging": Standing.LAGS,
    }


def test_intervals_are_as_before_also_after_an_error() -> None:
    cluster = register("prod-eu", url="https://192.0.2.1", ca_pem="", token="none")

    def interrupted() -> None:
        with own_intervals([cluster]):
            read_every([cluster], timedelta(minutes=30))
            assert Cluster.objects.get().interval_seconds == 1800
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Cluster.objects.get().interval_seconds == DEFAULT_INTERVAL


@pytest.mark.parametrize(
    ("days", "least", "expected"),
    [
        (30, 0, {120: 300, 60: 96, 15: 96}),
        (2, 120, {120: 24}),
        (0.1, 0, {15: 9, 9: 1}),
    ],
)
def test_steps_come_closer_towards_the_end(days: float, least: int, expected: dict[int, int]) -> None:
    end = datetime(2026, 11, 24, 6, tzinfo=UTC)
    found = list(steps(end - timedelta(days=days), end, timedelta(minutes=least)))
    assert found[-1][0] == end
    assert Counter(pace // timedelta(minutes=1) for _, pace in found[:-1]) == expected
    for (at, pace), (following, _) in pairwise(found):
        assert at + pace == following
