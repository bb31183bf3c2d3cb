"""One hung, one resetting and one garbage-answering cluster among eight: the other five never notice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from clusters.models import Cluster
from demo.apiserver import Fleet, running
from monitoring import leases, pipeline, queries
from monitoring.health import Health
from monitoring.models import ClusterState, Collection, Resource, Transition
from tests.integration.test_whole_way import external_secret, store
from tests.integration.whole_way import register

pytestmark = pytest.mark.django_db

BROKEN = {"c0": "hang", "c3": "reset", "c6": "garbage"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    for number in range(8):
        fleet.add(f"c{number}").load([store(), external_secret()])
    with running(fleet):
        yield fleet


def sweep(now: datetime) -> list[leases.Claim]:
    """One round of the dispatcher, and of workers that take what it hands out."""
    claims = leases.claim_due(now, uuid4(), hold=2 * MINUTE)
    for claim in claims:
        pipeline.collect(claim.cluster_ids, claim.holder, now)
    return claims


def results(now: datetime) -> dict[str, str]:
    return dict(Collection.objects.filter(started_at=now).values_list("cluster__name", "result"))


def test_broken_clusters_cost_the_others_nothing(fleet: Fleet, settings: Settings) -> None:
    settings.COLLECTION_DEADLINE = 2
    start = datetime.now(UTC)
    clusters = [
        register(name, url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token, now=start)
        for name, simulated in fleet.clusters.items()
    ]
    sweep(start)
    assert set(results(start).values()) == {"complete"}
    before = Transition.objects.count()

    for name, fault in BROKEN.items():
        fleet.clusters[name].faults.set(fault)
    second = start + MINUTE
    sweep(second)
    assert {name for name, result in results(second).items() if result == "failed"} == set(BROKEN)
    fresh = ClusterState.objects.filter(complete_at=second).values_list("cluster__name", flat=True)
    assert set(fresh) == {cluster.name for cluster in clusters} - set(BROKEN)
    failures = dict(ClusterState.objects.exclude(failure="").values_list("cluster__name", "failure"))
    assert failures.keys() == BROKEN.keys()
    assert failures["c0"] == "timeout"
    assert all(ClusterState.objects.exclude(failure="").values_list("message", flat=True))
    # Nothing of theirs was removed or judged anew: it is unknown when looked at, once our knowledge is too old.
    assert Resource.objects.filter(kind="ExternalSecret").count() == 8
    assert Transition.objects.count() == before

    claims = sweep(start + 3 * MINUTE)
    slow = [cluster_id for claim in claims if claim.slow for cluster_id in claim.cluster_ids]
    assert set(Cluster.objects.filter(pk__in=slow).values_list("name", flat=True)) == set(BROKEN)
    totals = queries.health_totals(start + 4 * MINUTE)
    assert (totals[Health.UNKNOWN], totals[Health.HEALTHY]) == (2 * 3, 2 * 5)

    for name in BROKEN:
        fleet.clusters[name].faults.clear()
    last = start + 20 * MINUTE
    sweep(last)
    assert set(results(last).values()) == {"complete"}
    assert Transition.objects.count() == before
