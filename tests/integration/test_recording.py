"""From a snapshot to rows: what is written, what is not, and that no transition is missing or told twice."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from clusters.facts import ResourceKey
from clusters.observations import Failure, KindResult, Outcome, Problem, Snapshot
from monitoring import pipeline
from monitoring.health import Health
from monitoring.models import (
    ClusterState,
    Collection,
    Cursor,
    Event,
    HealthCount,
    Lease,
    Reference,
    Resource,
    Transition,
)
from tests.integration.snapshots import (
    NOW,
    apply,
    complete,
    event,
    external_secret,
    failed,
    make_cluster,
    mount,
    secret_store,
    stopped,
)

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def told(**filters):
    rows = Transition.objects.filter(turned=True, **filters).order_by("at", "id")
    return [(t.name, t.from_health, t.to_health) for t in rows]


def counted_rows():
    rows = Resource.objects.values("kind", "health").annotate(count=Count("id")).values_list("kind", "health", "count")
    return sorted(rows)


def counts():
    return sorted(HealthCount.objects.exclude(count=0).values_list("kind", "health", "count"))


def test_a_first_collection_adds_everything_with_transitions_counts_and_references():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]))
    assert Resource.objects.count() == 2
    assert sorted(told()) == [("db", None, Health.HEALTHY), ("vault", None, Health.HEALTHY)]
    assert counts() == counted_rows()
    assert set(Reference.objects.values_list("relation", "target_name")) == {("store", "vault"), ("target", "db")}
    collection = Collection.objects.get()
    assert (collection.result, collection.added, collection.transitions) == ("complete", 2, 2)


def test_an_unchanged_resource_is_not_written():
    cluster = make_cluster()
    resources = [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]
    apply(cluster, complete(cluster, resources))
    versions = sorted(row_versions())
    apply(cluster, complete(cluster, resources), NOW + MINUTE)
    assert sorted(row_versions()) == versions
    assert Collection.objects.latest("id").unchanged == 2
    assert Cursor.objects.get(kind="ExternalSecret").read_at == NOW + MINUTE


def row_versions():
    """Postgres moves a row's ctid and xmin with every write, even one that changes no value."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, ctid::text, xmin::text FROM monitoring_resource")
        return cursor.fetchall()


def test_a_change_of_health_is_one_transition_and_a_refresh_is_none():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=2, at=NOW + MINUTE)]), NOW + MINUTE)
    assert told() == [("db", None, Health.HEALTHY)]
    assert Resource.objects.get().refreshed_at == NOW + MINUTE
    broken = external_secret(
        "db",
        fingerprint=3,
        ready=False,
        reason="SecretSyncedError",
        message="could not get secret data from provider",
        condition_since=NOW + MINUTE,
    )
    apply(cluster, complete(cluster, [broken]), NOW + 2 * MINUTE)
    assert told()[1:] == [("db", Health.HEALTHY, Health.FAILING)]
    row = Resource.objects.get()
    assert (row.health, row.since) == (Health.FAILING, NOW + MINUTE)
    assert counts() == counted_rows()


def test_absence_counts_only_in_a_complete_list():
    cluster = make_cluster()
    both = [external_secret("db", fingerprint=1), external_secret("api", fingerprint=2)]
    apply(cluster, complete(cluster, both))
    for number, outcome in enumerate((Outcome.FAILED, Outcome.FORBIDDEN, Outcome.NOT_INSTALLED), start=1):
        result = KindResult(kind="ExternalSecret", outcome=outcome)
        apply(cluster, Snapshot(cluster_id=cluster.pk, kinds={"ExternalSecret": result}), NOW + number * MINUTE)
    problem = Problem(failure=Failure.TIMEOUT, message="No answer within 20 s.")
    apply(cluster, failed(cluster, problem), NOW + 5 * MINUTE)
    assert Resource.objects.count() == 2
    assert Cursor.objects.get(kind="ExternalSecret").read_at == NOW
    apply(cluster, complete(cluster, both[:1]), NOW + 6 * MINUTE)
    assert [row.name for row in Resource.objects.all()] == ["db"]
    assert told(name="api") == [("api", None, Health.HEALTHY), ("api", Health.HEALTHY, None)]
    assert counts() == counted_rows()


def test_recreation_under_the_same_name_is_a_removal_and_an_addition():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=2, uid="another")]), NOW + MINUTE)
    assert told() == [("db", None, 0), ("db", 0, None), ("db", None, 0)]
    row = Resource.objects.get()
    assert (row.uid, row.first_seen_at) == ("another", NOW + MINUTE)
    assert counts() == counted_rows()
    collection = Collection.objects.latest("id")
    assert (collection.added, collection.removed, collection.transitions) == (1, 1, 2)


def test_a_store_that_breaks_puts_its_dependents_at_risk_and_back():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]))
    snapshot = complete(cluster, [secret_store(fingerprint=3, ready=False), external_secret("db", fingerprint=2)])
    apply(cluster, snapshot, NOW + MINUTE)
    assert Resource.objects.get(name="db").health == Health.AT_RISK
    snapshot = complete(cluster, [secret_store(fingerprint=4), external_secret("db", fingerprint=2)])
    apply(cluster, snapshot, NOW + 2 * MINUTE)
    assert told(name="db") == [
        ("db", None, Health.HEALTHY),
        ("db", Health.HEALTHY, Health.AT_RISK),
        ("db", Health.AT_RISK, Health.HEALTHY),
    ]
    assert counts() == counted_rows()


def test_an_event_alone_brings_the_cause():
    cluster = make_cluster()
    condition: dict[str, Any] = {
        "ready": False,
        "reason": "SecretSyncedError",
        "message": "could not get secret data from provider",
    }
    broken = external_secret("db", fingerprint=1, refreshed_at=NOW - MINUTE, **condition)
    apply(cluster, complete(cluster, [broken]))
    cause = event(broken.key, "permission denied: role is not bound", fingerprint=5, at=NOW + MINUTE)
    apply(cluster, complete(cluster, [broken], events=[cause]), NOW + MINUTE)
    assert "permission denied" in Resource.objects.get().findings[0]["cause"]
    assert Event.objects.count() == 1
    assert len(told()) == 1


def test_a_mount_that_moves_on_makes_its_siblings_outdated():
    cluster = make_cluster()
    old = [mount(pod, "v1", fingerprint=n, written_at=NOW - MINUTE * 600) for n, pod in enumerate(("a", "b"), start=1)]
    apply(cluster, complete(cluster, old))
    moved = mount("a", "v2", fingerprint=3, written_at=NOW + MINUTE, generation=2)
    apply(cluster, complete(cluster, [moved, old[1]], kinds=["CSIDriver", "DaemonSet"]), NOW + MINUTE)
    later = NOW + timedelta(hours=2)
    apply(
        cluster,
        complete(cluster, [mount("a", "v2", fingerprint=4, written_at=NOW + MINUTE, generation=2), old[1]]),
        later,
    )
    healths = dict(Resource.objects.values_list("facts__pod", "health"))
    assert healths == {"a": Health.HEALTHY, "b": Health.STALE}


def test_the_number_of_statements_does_not_grow_with_the_number_of_resources():
    counted = []
    for size in (5, 400):
        cluster = make_cluster(f"cluster-{size}")
        first = [secret_store(fingerprint=1), *(external_secret(f"n{n}", fingerprint=n + 10) for n in range(size))]
        second = [
            secret_store(fingerprint=2, ready=False),
            *(external_secret(f"n{n}", fingerprint=n + 9000) for n in range(size)),
        ]
        for moment, resources in ((NOW, first), (NOW + MINUTE, second), (NOW + 2 * MINUTE, second[:1])):
            snapshot = complete(cluster, resources, kinds=["ExternalSecret"])
            with CaptureQueriesContext(connection) as queries:
                apply(cluster, snapshot, moment)
            counted.append(len(queries))
    assert counted[:3] == counted[3:]
    assert max(counted) <= 40


def test_an_idle_collection_takes_few_statements():
    cluster = make_cluster()
    resources = [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]
    apply(cluster, complete(cluster, resources))
    snapshot = complete(cluster, resources)
    with CaptureQueriesContext(connection) as queries:
        apply(cluster, snapshot, NOW + MINUTE)
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    # two of them load what the shard knows, two claim the lease; a shard of clusters does those once
    assert len(statements) <= 10, statements


def test_a_snapshot_of_somebody_who_lost_the_lease_changes_nothing():
    cluster = make_cluster()
    snapshot = complete(cluster, [external_secret("db", fingerprint=1)])
    apply(cluster, complete(cluster, []))
    Lease.objects.update(holder=None)
    pipeline.apply(cluster, snapshot, {}, uuid4(), stopped(NOW))
    assert Resource.objects.count() == 0
    assert Collection.objects.count() == 1


def test_text_that_postgres_cannot_store_fails_this_collection_only():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    odd = external_secret("x" * 300, fingerprint=2)
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1), odd]), NOW + MINUTE)
    collection = Collection.objects.latest("id")
    assert (collection.result, collection.failure) == ("failed", Failure.BAD_ANSWER)
    assert [row.name for row in Resource.objects.all()] == ["db"]


def test_zero_bytes_in_strings_are_left_out():
    cluster = make_cluster()
    odd = external_secret("db", fingerprint=1, ready=False, message="a\x00b \\u0000 c\\\x00d")
    apply(cluster, complete(cluster, [odd]))
    assert Resource.objects.get().facts["message"] == "ab \\u0000 c\\d"


def test_a_failed_collection_backs_off_and_is_remembered_since_the_first():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    problem = Problem(failure=Failure.UNREACHABLE, message="The connection was refused.")
    due = []
    for number in range(1, 5):
        apply(cluster, failed(cluster, problem), NOW + number * MINUTE)
        lease = Lease.objects.get()
        due.append((lease.due_at - (NOW + number * MINUTE)).total_seconds())
        assert lease.failures == number
    assert due == sorted(due)
    assert 54 <= due[0] <= 60
    assert due[-1] <= 600
    state = ClusterState.objects.get()
    assert (state.failing_since, state.answered_at) == (NOW + MINUTE, NOW)
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]), NOW + 9 * MINUTE)
    assert ClusterState.objects.get().failing_since is None
    assert Lease.objects.get().failures == 0


def test_references_follow_the_newest_observation():
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    other = ResourceKey("ClusterSecretStore", "", "aws")
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=2, store=other)]), NOW + MINUTE)
    assert list(Reference.objects.filter(relation="store").values_list("target_kind", "target_name")) == [
        ("ClusterSecretStore", "aws")
    ]
    apply(cluster, complete(cluster, [], kinds=["ExternalSecret"]), NOW + 2 * MINUTE)
    assert Reference.objects.count() == 0
