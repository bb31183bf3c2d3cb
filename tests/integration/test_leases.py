"""Who reads which cluster when: due order, two dispatchers at once, dead holders, backoff."""

import threading
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from django.db import connection, transaction

from clusters.models import Credential
from clusters.observations import Failure, KindResult, Outcome, Problem
from monitoring import leases
from monitoring.models import Lease
from tests.integration.snapshots import NOW, apply, complete, external_secret, make_cluster

HOLD = timedelta(minutes=2)


def claimed(claims):
    return sorted(cluster_id for claim in claims for cluster_id in claim.cluster_ids)


@pytest.mark.django_db
def test_a_new_cluster_is_due_at_once_and_then_at_its_interval():
    cluster = make_cluster(interval_seconds=60)
    assert claimed(leases.claim_due(NOW, uuid4(), hold=HOLD)) == [cluster.pk]
    due = (Lease.objects.get().due_at - NOW).total_seconds()
    assert 54 <= due <= 60


@pytest.mark.django_db
def test_a_held_cluster_is_not_claimed_again_until_the_lease_runs_out():
    cluster = make_cluster(interval_seconds=10)
    leases.claim_due(NOW, uuid4(), hold=HOLD)
    assert leases.claim_due(NOW + timedelta(seconds=30), uuid4(), hold=HOLD) == []
    assert claimed(leases.claim_due(NOW + HOLD, uuid4(), hold=HOLD)) == [cluster.pk]


@pytest.mark.django_db
def test_a_disabled_cluster_is_never_claimed():
    make_cluster(enabled=False)
    assert leases.claim_due(NOW, uuid4(), hold=HOLD) == []


@pytest.mark.django_db
def test_shards_are_bounded_and_failed_clusters_wait_apart():
    for number in range(leases.SHARD_SIZE + 5):
        make_cluster(f"c{number}")
    leases.claim_due(NOW, uuid4(), hold=timedelta(0))
    slow = set(Lease.objects.order_by("cluster_id").values_list("cluster_id", flat=True)[:3])
    Lease.objects.filter(cluster_id__in=slow).update(failures=1, slow=True)
    claims = leases.claim_due(NOW + timedelta(minutes=5), uuid4(), hold=HOLD)
    assert [(len(claim.cluster_ids), claim.slow) for claim in claims] == [(50, False), (2, False), (3, True)]
    assert set(claims[-1].cluster_ids) == slow


@pytest.mark.django_db
def test_at_most_one_shard_of_slow_clusters_is_out_at_a_time():
    for number in range(leases.SHARD_SIZE + 5):
        make_cluster(f"c{number}")
    leases.claim_due(NOW, uuid4(), hold=timedelta(0))
    Lease.objects.update(failures=1, slow=True)
    moment = NOW + timedelta(minutes=5)
    assert len(claimed(leases.claim_due(moment, uuid4(), hold=HOLD))) == leases.SHARD_SIZE
    assert leases.claim_due(moment, uuid4(), hold=HOLD) == []
    Lease.objects.update(held_until=None)
    assert len(claimed(leases.claim_due(moment, uuid4(), hold=HOLD))) == 5


@pytest.mark.django_db(transaction=True)
def test_two_dispatchers_at_once_share_the_clusters_between_them():
    ids = sorted(make_cluster(f"c{number}").pk for number in range(20))
    leases.claim_due(NOW, uuid4(), hold=timedelta(0))
    moment = NOW + timedelta(minutes=5)
    found = []

    def other():
        try:
            found.append(claimed(leases.claim_due(moment, uuid4(), hold=HOLD)))
        finally:
            connection.close()

    with transaction.atomic():
        found.append(claimed(leases.claim_due(moment, uuid4(), hold=HOLD, limit=8)))
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "the second dispatcher waited for the first"
    assert len(found[0]) == 8
    assert sorted(found[0] + found[1]) == ids


@pytest.mark.django_db
def test_only_the_holder_gives_a_lease_back():
    cluster = make_cluster()
    holder = uuid4()
    leases.claim([cluster.pk], NOW, holder, hold=HOLD)
    leases.give_back(cluster.pk, uuid4(), failures=3, slow=True, retry_at=None)
    assert Lease.objects.get().holder == holder
    leases.give_back(cluster.pk, holder, failures=0, slow=False, retry_at=None)
    assert Lease.objects.get().held_until is None


@pytest.mark.parametrize(
    ("failures", "retry_after", "shortest", "longest"),
    [(1, None, 54, 60), (2, None, 108, 120), (9, None, 270, 300), (1, 300, 300, 300)],
)
def test_backoff_doubles_to_five_minutes_and_honours_retry_after(failures, retry_after, shortest, longest):
    again = leases.retry_at(NOW, timedelta(seconds=60), failures, retry_after)
    assert again is not None
    assert shortest <= (again - NOW).total_seconds() <= longest


def test_a_cluster_that_answered_keeps_its_rhythm():
    assert leases.retry_at(NOW, timedelta(seconds=60), 0, None) is None


@pytest.mark.django_db
def test_a_shortened_interval_counts_from_the_last_claim():
    cluster = make_cluster(interval_seconds=3600)
    leases.claim_due(NOW, uuid4(), hold=timedelta(0))
    soon = NOW + timedelta(seconds=61)
    assert leases.claim_due(soon, uuid4(), hold=HOLD) == []
    type(cluster).objects.update(interval_seconds=60)
    assert claimed(leases.claim_due(soon, uuid4(), hold=HOLD)) == [cluster.pk]


@pytest.mark.django_db
def test_a_new_credential_does_not_wait_out_the_backoff_of_the_old_one():
    cluster = make_cluster()
    leases.claim_due(NOW, uuid4(), hold=timedelta(0))
    Lease.objects.update(failures=5, slow=True, due_at=NOW + timedelta(minutes=10))
    soon = NOW + timedelta(seconds=10)
    assert leases.claim_due(soon, uuid4(), hold=HOLD) == []
    Credential.objects.create(cluster=cluster, sealed=b"x", updated_at=NOW + timedelta(seconds=5))
    assert claimed(leases.claim_due(soon, uuid4(), hold=HOLD)) == [cluster.pk]


@pytest.mark.django_db
def test_a_cluster_that_takes_its_whole_deadline_waits_apart_at_its_own_rhythm():
    cluster = make_cluster()
    problem = Problem(failure=Failure.TIMEOUT, message="Not read before the deadline.", retry_after=600)
    hung = KindResult(kind="SecretStore", outcome=Outcome.FAILED, problem=problem)
    snapshot = complete(cluster, [external_secret("db", fingerprint=1)])
    apply(cluster, msgspec.structs.replace(snapshot, kinds={**snapshot.kinds, "SecretStore": hung}))
    lease = Lease.objects.get()
    assert (lease.failures, lease.slow) == (0, True)
    assert lease.due_at == NOW + timedelta(seconds=600), "what the server asks for is honoured for one kind, too"
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]), NOW + timedelta(minutes=11))
    assert Lease.objects.get().slow is False
