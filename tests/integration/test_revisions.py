"""Revisions through the pipeline: what changed between two readings is noted once, and found where something fails."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.facts import Facts, Reference, Relation, ResourceKey, SealingKeyFacts, StoreFacts, WorkloadFacts
from clusters.models import Cluster
from clusters.observations import Observation, Snapshot
from monitoring import queries
from monitoring.models import Resource, Revision
from tests.integration.snapshots import NOW, STORE, apply, complete, external_secret, make_cluster

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OPERATOR = ResourceKey("Deployment", "external-secrets", "external-secrets")
OTHER_OPERATOR = ResourceKey("Deployment", "kube-system", "sealed-secrets-controller")
SEALING_KEY = ResourceKey("SealingKey", "kube-system", "sealed-secrets-key1")


def observed(key: ResourceKey, facts: Facts, fingerprint: int, *, uid: str = "", **fields: Any) -> Observation:
    return Observation(
        key=key, uid=uid or f"uid-{key.name}", fingerprint=fingerprint, created_at=NOW - HOUR, facts=facts, **fields
    )


def told() -> list[tuple[str, str, str, str, str]]:
    return list(Revision.objects.order_by("id").values_list("kind", "what", "before", "after", "by"))


def fleet_at(step: int) -> list[Observation]:
    """An ExternalSecret with its store and operators: everything is written anew with each step."""
    written: dict[str, Any] = {"generation": step, "spec_written_at": NOW + step * MINUTE, "spec_written_by": "argocd"}
    store = StoreFacts(ready=True, provider="vault", **{**written, "spec_written_at": NOW + step * 2 * MINUTE})
    failing: dict[str, Any] = (
        {"ready": False, "reason": "SecretSyncedError", "condition_since": NOW + 10 * MINUTE} if step > 1 else {}
    )
    return [
        external_secret("db", fingerprint=step, **(written | failing)),
        observed(STORE, store, step + 100),
        observed(OPERATOR, WorkloadFacts(role="external-secrets", version=f"v2.{step}.0", ready=1), step + 200),
        observed(OTHER_OPERATOR, WorkloadFacts(role="sealed-secrets", version=f"0.{step}.0", ready=1), step + 300),
    ]


def test_a_first_sight_is_no_revision_and_a_change_is_one_with_time_and_writer() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, fleet_at(1)))
    assert told() == []
    apply(cluster, complete(cluster, fleet_at(2)), NOW + 5 * MINUTE)
    assert set(told()) == {
        ("ExternalSecret", "spec", "generation 1", "generation 2", "argocd"),
        ("SecretStore", "spec", "generation 1", "generation 2", "argocd"),
        ("Deployment", "version", "v2.1.0", "v2.2.0", ""),
        ("Deployment", "version", "0.1.0", "0.2.0", ""),
    }
    times = dict(Revision.objects.values_list("kind", "at"))
    assert times["SecretStore"] == NOW + 4 * MINUTE
    assert times["Deployment"] == NOW + 5 * MINUTE
    assert set(Revision.objects.values_list("seen_at", flat=True)) == {NOW + 5 * MINUTE}


def test_a_snapshot_that_brings_nothing_new_notes_nothing() -> None:
    cluster = make_cluster()
    for moment in (NOW, NOW + MINUTE):
        apply(cluster, complete(cluster, fleet_at(1)), moment)
    assert told() == []


def test_times_are_ours_and_never_in_the_future() -> None:
    cluster = make_cluster()
    ahead = timedelta(minutes=30)
    apply(cluster, with_clock(complete(cluster, fleet_at(1)), NOW + ahead))
    later = [external_secret("db", fingerprint=9, generation=2, spec_written_at=NOW + ahead + MINUTE)]
    apply(cluster, with_clock(complete(cluster, later), NOW + 5 * MINUTE + ahead), NOW + 5 * MINUTE)
    assert Revision.objects.get().at == NOW + MINUTE
    wrong = [external_secret("db", fingerprint=10, generation=3, spec_written_at=NOW + 9 * HOUR)]
    apply(cluster, with_clock(complete(cluster, wrong), NOW + 6 * MINUTE + ahead), NOW + 6 * MINUTE)
    assert Revision.objects.latest("id").at == NOW + 6 * MINUTE


def with_clock(snapshot: Snapshot, told: datetime) -> Snapshot:
    return msgspec.structs.replace(snapshot, server_time=told)


def test_recreated_and_removed() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, fleet_at(1)))
    again = [observed(STORE, StoreFacts(generation=1, spec_written_by="helm"), 900, uid="another")]
    apply(cluster, complete(cluster, again), NOW + MINUTE)
    apply(cluster, complete(cluster, [], kinds=["SecretStore", "ExternalSecret"]), NOW + 2 * MINUTE)
    assert told() == [
        ("SecretStore", "spec", "recreated", "generation 1", "helm"),
        ("SecretStore", "spec", "generation 1", "absent", ""),
    ]


def test_sealing_keys_are_news_only_in_a_cluster_whose_keys_are_known() -> None:
    cluster = make_cluster()
    first = observed(SEALING_KEY, SealingKeyFacts(state="active"), 1)
    second = observed(SEALING_KEY._replace(name="sealed-secrets-key2"), SealingKeyFacts(state="active"), 2)
    apply(cluster, complete(cluster, [first]))
    assert told() == []
    apply(cluster, complete(cluster, [first, second]), NOW + MINUTE)
    marked = observed(SEALING_KEY, SealingKeyFacts(state="compromised"), 3)
    apply(cluster, complete(cluster, [marked, second]), NOW + 2 * MINUTE)
    apply(cluster, complete(cluster, [second]), NOW + 3 * MINUTE)
    assert [row[1:4] for row in told()] == [
        ("key", "absent", "active"),
        ("key", "active", "compromised"),
        ("key", "compromised", "absent"),
    ]


def served(cluster: Cluster, version: str) -> Snapshot:
    snapshot = complete(cluster, fleet_at(1))
    kinds = {
        kind: msgspec.structs.replace(result, served_version=version) if kind == "ExternalSecret" else result
        for kind, result in snapshot.kinds.items()
    }
    return msgspec.structs.replace(snapshot, kinds=kinds)


def test_another_served_version_is_one_of_the_cluster() -> None:
    cluster = make_cluster()
    for place, version in enumerate(("", "v1beta1", "v1beta1", "", "v1", "v1")):
        apply(cluster, served(cluster, version), NOW + place * MINUTE)
    row = Revision.objects.get()
    assert (row.kind, row.name, row.what) == ("Cluster", "ExternalSecret", "served version")
    assert (row.before, row.after, row.at) == ("v1beta1", "v1", NOW + 4 * MINUTE)


def test_one_statement_notes_them_whatever_their_number() -> None:
    counted = []
    for size in (3, 60):
        cluster = make_cluster(f"cluster-{size}")
        for generation in (1, 2):
            rows = [
                external_secret(f"n{n}", fingerprint=generation * 1000 + n, generation=generation) for n in range(size)
            ]
            with CaptureQueriesContext(connection) as found:
                apply(cluster, complete(cluster, rows), NOW + generation * MINUTE)
        assert Revision.objects.filter(cluster=cluster).count() == size
        counted.append(sum("monitoring_revision" in query["sql"] for query in found))
    assert counted == [2, 2]  # and the one that writes cursors


def test_a_failing_resource_names_what_changed_shortly_before_nearest_first() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, fleet_at(1)))
    apply(cluster, complete(cluster, fleet_at(2)), NOW + 11 * MINUTE)
    found = queries.suspects(shown("db"))
    assert found is not None
    # It fails since 12:10. The operators of others are no suspects.
    assert [(s.kind, s.relation, s.at - NOW) for s in found] == [
        ("Deployment", "operator", 11 * MINUTE),
        ("SecretStore", "store", 4 * MINUTE),
        ("ExternalSecret", "itself", 2 * MINUTE),
    ]
    assert all(s.resource_id == Resource.objects.get(kind=s.kind, name=s.name).pk for s in found)


def test_only_the_day_before_counts() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, fleet_at(1)))
    apply(cluster, complete(cluster, fleet_at(2)), NOW + 11 * MINUTE)
    row = Resource.objects.get(kind="ExternalSecret")
    day = 24 * 60
    for unwell, number in ((1, 3), (0, 2), (-9, 0), (day + 2, 3), (day + 3, 2), (day + 5, 1), (day + 12, 0)):
        row.unwell_since = NOW + unwell * MINUTE
        row.save()
        found = queries.suspects(shown("db"))
        assert found is not None
        assert len(found) == number, unwell
    row.unwell_since = None
    row.save()
    assert queries.suspects(shown("db")) is None


def shown(name: str) -> queries.JudgedResource:
    found = queries.resource(Resource.objects.get(kind="ExternalSecret", name=name).pk, NOW + 12 * MINUTE)
    assert found is not None
    return found


def test_sealing_keys_concern_sealed_secrets_and_a_class_its_mounts() -> None:
    cluster = make_cluster()
    mounted = ResourceKey("SecretProviderClassPodStatus", "search", "pod")
    rows = {
        key: Resource.objects.create(
            cluster=cluster,
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            uid="u",
            fingerprint=1,
            first_seen_at=NOW,
            health=5,
            since=NOW,
            recorded_at=NOW,
            unwell_since=NOW,
            facts={},
        )
        for key in (ResourceKey("SealedSecret", "shop", "db"), mounted)
    }
    reference = Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "search", "api"))
    rows[mounted].references.create(
        cluster=cluster,
        relation=reference.relation,
        target_kind=reference.target.kind,
        target_namespace=reference.target.namespace,
        target_name=reference.target.name,
    )
    for key, what in ((SEALING_KEY, "key"), (reference.target, "spec"), (ResourceKey("CSIDriver", "", "d"), "options")):
        Revision.objects.create(
            cluster=cluster, kind=key.kind, namespace=key.namespace, name=key.name, what=what, at=NOW, seen_at=NOW
        )
    suspects = {
        key.kind: {s.kind for s in queries.suspects(found) or ()}
        for key, row in rows.items()
        if (found := queries.resource(row.pk, NOW))
    }
    assert suspects == {
        "SealedSecret": {"SealingKey"},
        "SecretProviderClassPodStatus": {"SecretProviderClass", "CSIDriver"},
    }
