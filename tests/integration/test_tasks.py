"""Through a real worker and a real broker: what beat sends ends as rows, and only ids travel."""

from collections.abc import Iterator

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.db import connections

from demo.apiserver import Fleet, running
from monitoring import tasks
from monitoring.models import Collection, Lease, Resource
from secretsdash.celery import app
from tests.envtest.server import wait_until
from tests.integration.test_whole_way import external_secret, store
from tests.integration.whole_way import register

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = ("collect", "slow", "default")


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    broker = redis.Redis.from_url(settings.REDIS_URL)
    broker.delete(*QUEUES)
    yield broker
    broker.delete(*QUEUES)
    broker.close()


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    fleet.add("prod-eu").load([store(), external_secret()])
    with running(fleet):
        simulated = fleet.clusters["prod-eu"]
        register("prod-eu", url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token)
        yield fleet


def test_a_worker_collects_what_beat_dispatches(broker: redis.Redis, fleet: Fleet) -> None:
    with start_worker(app, pool="solo", queues=QUEUES, perform_ping_check=False, shutdown_timeout=30):
        tasks.dispatch_due.delay()
        wait_until(lambda: Collection.objects.filter(result="complete").exists(), "the cluster is read")
        wait_until(lambda: Lease.objects.get().held_until is None, "the lease is given back")
        tasks.recheck_due.delay()
        tasks.prune.delay()
        wait_until(lambda: not any(broker.llen(queue) for queue in QUEUES), "every message is taken")
    connections.close_all()
    assert Resource.objects.filter(name="db").count() == 1


def test_only_ids_travel(broker: redis.Redis, fleet: Fleet) -> None:
    tasks.dispatch_due()
    message = str(broker.lrange("collect", 0, -1))
    assert "monitoring.tasks.collect" in message
    for secret in (fleet.clusters["prod-eu"].token, fleet.clusters["prod-eu"].url):
        assert secret not in message


def test_a_lost_message_costs_one_lease(broker: redis.Redis, fleet: Fleet) -> None:
    tasks.dispatch_due()
    assert broker.llen("collect") == 1
    tasks.dispatch_due()
    assert broker.llen("collect") == 1, "a held cluster is not handed out twice"
    broker.delete("collect")
    Lease.objects.update(held_until="2020-01-01T00:00:00Z", due_at="2020-01-01T00:00:00Z")
    tasks.dispatch_due()
    assert broker.llen("collect") == 1
