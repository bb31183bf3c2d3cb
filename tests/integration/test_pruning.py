"""Retention: what is older goes, what is younger stays, and running it again changes nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from clusters.models import Cluster
from monitoring import partitions, pruning
from monitoring.models import Collection, Event, Resource, Transition
from tests.integration.snapshots import NOW, apply, complete, event, external_secret, make_cluster

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def test_each_table_keeps_its_own_time(settings: Settings) -> None:
    settings.COLLECTION_RETENTION_DAYS, settings.EVENT_RETENTION_DAYS, settings.TRANSITION_RETENTION_DAYS = 14, 30, 400
    cluster = make_cluster()
    secret = external_secret("db", fingerprint=1)
    apply(cluster, complete(cluster, [secret], events=[event(secret.key, "x", fingerprint=2)]), NOW)
    apply(cluster, complete(cluster, [secret]), NOW + 20 * DAY)
    found = []
    for age in (13, 15, 31, 401):
        deleted = pruning.prune(NOW + age * DAY)
        assert sum(pruning.prune(NOW + age * DAY).values()) == 0
        found.append(
            (sum(deleted.values()), Collection.objects.count(), Event.objects.count(), Transition.objects.count())
        )
    assert found == [(0, 2, 1, 1), (1, 1, 1, 1), (1, 1, 0, 1), (2, 0, 0, 0)]
    assert Resource.objects.count() == 1


def test_more_than_a_batch_goes_in_several() -> None:
    cluster = make_cluster()
    for number in range(5):
        apply(cluster, complete(cluster, []), NOW + number * timedelta(minutes=1))
    assert pruning.prune(NOW + 400 * DAY, batch=2)["monitoring_collection"] == 5


@pytest.fixture
def without_partitions() -> Iterator[None]:
    """Leaves no partition behind: what is made in a test that commits would stay."""
    yield
    partitions.drop_before(NOW + 4000 * DAY)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_partitions")
def test_nothing_that_is_kept_is_lost_while_collections_run(settings: Settings) -> None:
    """Two clusters turn every few days over a year; beside them partitions are made and old months dropped."""
    settings.TRANSITION_RETENTION_DAYS = 200
    clusters = [make_cluster(name) for name in ("prod-eu", "prod-us")]
    done = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        kept = pool.submit(keep_house, done)
        writers = [pool.submit(turn, cluster) for cluster in clusters]
        told = [at for writer in writers for at in writer.result()]
        done.set()
        rounds = kept.result()
    assert rounds > 3
    cutoff = NOW - 200 * DAY
    found = sorted(Transition.objects.filter(at__gte=cutoff).values_list("at", flat=True))
    assert found == sorted(at for at in told if at >= cutoff)
    assert not Transition.objects.filter(at__lt=cutoff - 31 * DAY).exists()
    with connection.cursor() as sql:
        sql.execute("SELECT count(*) FROM monitoring_transition_default")
        assert sql.fetchone() == (0,)


def keep_house(done: threading.Event) -> int:
    rounds = 0
    try:
        while True:
            last = done.is_set()
            partitions.ensure(NOW)
            pruning.prune(NOW, batch=7)
            rounds += 1
            if last:
                return rounds
    finally:
        connection.close()


def turn(cluster: Cluster) -> list[datetime]:
    """An ExternalSecret that breaks and heals; the moments at which it did."""
    moments = [NOW - (370 - 2 * number) * DAY for number in range(180)]
    try:
        for number, at in enumerate(moments):
            facts: dict[str, Any] = {"ready": number % 2 == 0, "condition_since": at}
            apply(cluster, complete(cluster, [external_secret("db", fingerprint=number + 1, at=at, **facts)]), at)
        return moments
    finally:
        connection.close()
