"""Retention: what is older goes, what is younger stays, and running it again changes nothing."""

from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from monitoring import pruning
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
