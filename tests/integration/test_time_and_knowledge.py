"""Order of time between collecting and judging again, and verdicts that follow what we can and cannot see."""

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from clusters.facts import (
    ParentFacts,
    Reference,
    Relation,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SecretFacts,
    WorkloadFacts,
)
from clusters.observations import EventNote, KindResult, Observation, Outcome, Snapshot
from monitoring import judging, known, leases, pipeline
from monitoring.context import Overlay
from monitoring.health import Health
from monitoring.models import ClusterState, Collection, Resource, Transition
from tests.integration.snapshots import (
    NOW,
    apply,
    complete,
    event,
    external_secret,
    make_cluster,
    mount,
    secret_store,
)

pytestmark = pytest.mark.django_db

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def health(name: str) -> Health:
    return Health(Resource.objects.get(name=name).health)


def without(snapshot: Snapshot, kind: str, outcome: Outcome) -> Snapshot:
    """The snapshot with one kind read otherwise."""
    kinds = {**snapshot.kinds, kind: KindResult(kind=kind, outcome=outcome)}
    return msgspec.structs.replace(snapshot, kinds=kinds)


def test_a_snapshot_applied_after_a_recheck_is_told_after_it() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    due = Resource.objects.get().recheck_at
    assert due is not None
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]), due - 30 * SECOND)
    began, holder, seconds = due - 5 * SECOND, uuid4(), [0.0]
    watch = pipeline.Watch(began, tick=lambda: seconds[0])
    leases.claim([cluster.pk], began, holder, hold=MINUTE)
    fingerprints = {"ExternalSecret": known.cursors([cluster.pk], began)[cluster.pk]["ExternalSecret"].known}
    touched = complete(cluster, [external_secret("db", fingerprint=2)])  # changed, but not refreshed
    pipeline.recheck_due(due)
    seconds[0] = 12.0
    pipeline.apply(cluster, touched, fingerprints, holder, watch)
    assert health("db") == Health.STALE
    steps = list(Transition.objects.order_by("id").values_list("to_health", flat=True))
    assert steps == [Health.HEALTHY, Health.STALE]
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=3, at=due)]), due + MINUTE)
    moments = list(Transition.objects.order_by("id").values_list("at", flat=True))
    assert moments == sorted(moments)
    assert Collection.objects.order_by("-id")[1].started_at == began


def test_the_clock_offset_is_taken_when_the_answer_came() -> None:
    def offset(server_time: datetime, after: float, before: float = 0) -> float:
        snapshot = Snapshot(
            cluster_id=1, server_time=server_time, server_time_after=after * SECOND, duration=20 * SECOND
        )
        return judging.clock_offset(snapshot, NOW, before * SECOND).total_seconds()

    assert offset(NOW + SECOND, after=1) == 0
    assert offset(NOW + 301 * SECOND, after=1) == 300
    assert offset(NOW + 301 * SECOND, after=1, before=299) == 299, "whole seconds must not make it jitter"
    assert offset(NOW + 301 * SECOND, after=1, before=200) == 300


def test_a_clock_ahead_is_judged_by_and_stored_as_ours() -> None:
    cluster = make_cluster()
    secret = external_secret("db", fingerprint=1, at=NOW + 10 * MINUTE)
    snapshot = msgspec.structs.replace(complete(cluster, [secret]), server_time=NOW + 10 * MINUTE)
    apply(cluster, snapshot)
    row = Resource.objects.get()
    assert row.due_at == NOW + 60 * MINUTE
    assert row.recheck_at is not None
    assert row.recheck_at - row.due_at < 10 * MINUTE


def parent(*, fingerprint: int) -> Observation:
    return Observation(
        key=ResourceKey("ClusterExternalSecret", "", "all"),
        uid="uid-all",
        fingerprint=fingerprint,
        created_at=NOW - DAY,
        facts=ParentFacts(ready=True, provisioned=1),
    )


def test_a_parent_recovers_when_its_bad_child_goes() -> None:
    cluster = make_cluster()
    bad = external_secret("db", fingerprint=1, ready=False, reason="SecretSyncedError", message="no", refreshed_at=None)
    child = msgspec.structs.replace(
        bad, references=(*bad.references, Reference(Relation.PARENT, ResourceKey("ClusterExternalSecret", "", "all")))
    )
    apply(cluster, complete(cluster, [parent(fingerprint=2), child]))
    assert health("all") == Health.FAILING
    apply(cluster, complete(cluster, [parent(fingerprint=2)], kinds=["ExternalSecret"]), NOW + MINUTE)
    assert health("all") == Health.HEALTHY


def test_a_recreated_resource_inherits_nothing_even_with_an_event() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, [external_secret("db", fingerprint=1)]))
    later = NOW + 3 * DAY
    again = external_secret("db", fingerprint=2, uid="another", at=later)
    apply(cluster, complete(cluster, [again], events=[event(again.key, "x", fingerprint=5, at=later)]), later)
    row = Resource.objects.get()
    assert (row.first_seen_at, row.since) == (later, later)


def test_rights_that_come_and_go_judge_again() -> None:
    cluster = make_cluster()
    resources = [external_secret("db", fingerprint=1, policy="CreatedOnce", interval="1h")]
    hourly = external_secret("api", fingerprint=2)
    seen = complete(cluster, [*resources, hourly], kinds=["SecretStore"])
    apply(cluster, without(seen, "SecretStore", Outcome.FORBIDDEN))
    assert health("api") == Health.HEALTHY
    apply(cluster, complete(cluster, [*resources, hourly], kinds=["SecretStore"]), NOW + MINUTE)
    assert health("api") == Health.AT_RISK
    hourly = external_secret("api", fingerprint=3)  # judged again, whatever else was read
    read = complete(cluster, [*resources, hourly], kinds=["SecretStore"])
    apply(cluster, without(read, "SecretStore", Outcome.FAILED), NOW + 2 * MINUTE)
    assert health("api") == Health.AT_RISK, "one failed reading takes no fresh knowledge away"
    apply(cluster, without(read, "SecretStore", Outcome.FORBIDDEN), NOW + 3 * MINUTE)
    assert health("api") == Health.HEALTHY


def controller(*, fingerprint: int, ready: int) -> Observation:
    return Observation(
        key=ResourceKey("Deployment", "external-secrets", "external-secrets"),
        uid="uid-controller",
        fingerprint=fingerprint,
        created_at=NOW - DAY,
        facts=WorkloadFacts(role="external-secrets", desired=1, ready=ready),
    )


def test_findings_about_the_cluster_do_not_outlive_our_knowledge() -> None:
    cluster = make_cluster()
    resources = [secret_store(fingerprint=1), controller(fingerprint=2, ready=0)]
    apply(cluster, complete(cluster, resources))
    assert ClusterState.objects.get().health == Health.HEALTHY, "a restart is no outage"
    pipeline.recheck_due(NOW + 2 * MINUTE)
    assert ClusterState.objects.get().health == Health.FAILING
    seen = complete(cluster, resources)
    apply(cluster, without(seen, "Deployment", Outcome.FORBIDDEN), NOW + 3 * MINUTE)
    (finding,) = ClusterState.objects.get().findings
    assert finding["rule"] == "cluster-rights-lost"


def test_a_newer_mount_that_goes_away_leaves_its_siblings_behind() -> None:
    cluster = make_cluster()
    kinds = ["CSIDriver", "DaemonSet"]
    old = mount("a", "v1", fingerprint=1, written_at=NOW - DAY)
    new = mount("b", "v2", fingerprint=2, written_at=NOW - 3 * 60 * MINUTE, generation=2)
    apply(cluster, complete(cluster, [old, new], kinds=kinds))
    assert Resource.objects.get(uid="uid-a").health == Health.STALE
    apply(cluster, complete(cluster, [old], kinds=kinds), NOW + MINUTE)
    (finding,) = Resource.objects.get(uid="uid-a").findings
    assert finding["rule"] == "csi-outdated-version", "the newest version is remembered when its mount is gone"


def test_a_snapshot_from_another_address_is_dropped() -> None:
    cluster = make_cluster()
    snapshot = complete(cluster, [external_secret("db", fingerprint=1)])
    type(cluster).objects.update(api_url="https://elsewhere.example:6443")
    apply(cluster, snapshot)
    assert not Resource.objects.exists()
    assert not Collection.objects.exists()


def sealed(number: int, *, fingerprint: int, message: str = "no key could decrypt secret (a)") -> Observation:
    return Observation(
        key=ResourceKey("SealedSecret", "payments", f"db-{number}"),
        uid=f"uid-sealed-{number}",
        fingerprint=fingerprint,
        created_at=NOW - 30 * DAY,
        facts=SealedSecretFacts(ready=False, message=message, updated_at=NOW, target="db"),
    )


def unsealed(number: int) -> EventNote:
    told = event(
        ResourceKey("SealedSecret", "payments", f"db-{number}"), "ok", fingerprint=90 + number, at=NOW + MINUTE
    )
    return msgspec.structs.replace(told, type="Normal", reason="Unsealed")


def certificate() -> Observation:
    return Observation(
        key=ResourceKey("SealingCertificate", "kube-system", "sealed-secrets"),
        uid="uid-certificate",
        fingerprint=9,
        created_at=NOW - DAY,
        facts=SealingCertificateFacts(not_before=NOW - DAY, sha256="aa"),
    )


def test_secrets_in_the_way_are_no_lost_keys() -> None:
    cluster = make_cluster()
    blocked = 'failed update: Resource "db" already exists and is not managed by SealedSecret'
    resources = [certificate(), *(sealed(number, fingerprint=number, message=blocked) for number in range(3))]
    apply(cluster, complete(cluster, resources))
    assert ClusterState.objects.get().findings == []
    again = [certificate(), *(sealed(number, fingerprint=10 + number) for number in range(3))]
    apply(cluster, complete(cluster, again), NOW + MINUTE)
    assert [finding["rule"] for finding in ClusterState.objects.get().findings] == ["cluster-rebuilt"]


def test_what_a_cluster_is_said_to_have_lost_ends_with_the_events_that_say_so() -> None:
    cluster = make_cluster()
    resources = [certificate(), *(sealed(number, fingerprint=number) for number in range(3))]
    another = event(ResourceKey("SealedSecret", "payments", "other"), "Failed", fingerprint=80)
    apply(cluster, complete(cluster, resources, events=[another]))
    assert [finding["rule"] for finding in ClusterState.objects.get().findings] == ["cluster-rebuilt"]
    apply(cluster, complete(cluster, resources, events=map(unsealed, range(3))), NOW + 2 * MINUTE)
    assert ClusterState.objects.get().findings == []


def test_a_cluster_is_not_judged_by_all_its_secrets() -> None:
    cluster = make_cluster()
    key = ResourceKey("Secret", "payments", "db")
    secret = Observation(key=key, uid="uid-secret", fingerprint=1, created_at=NOW, facts=SecretFacts())
    apply(cluster, complete(cluster, [secret, controller(fingerprint=2, ready=1)]))
    assert set(Overlay(cluster, (), (), NOW).cluster_context().supporting) == {"Deployment"}
    assert set(Overlay(cluster, [secret], (), NOW).cluster_context().supporting) == {"Deployment"}


def test_a_child_that_left_its_parent_does_not_count_there_any_more() -> None:
    cluster = make_cluster()
    child = external_secret("db", fingerprint=1, ready=False, message="no", reason="SecretSyncedError")
    parent_key = ResourceKey("ClusterExternalSecret", "", "all")
    held = (*child.references, Reference(Relation.PARENT, parent_key))
    parent = Observation(
        key=parent_key,
        uid="uid-parent",
        fingerprint=2,
        created_at=NOW - DAY,
        facts=ParentFacts(ready=True, provisioned=1),
    )
    store = secret_store(fingerprint=3)
    apply(cluster, complete(cluster, [msgspec.structs.replace(child, references=held), parent, store]))
    assert health("all") == Health.FAILING
    left = msgspec.structs.replace(child, fingerprint=4)
    apply(cluster, complete(cluster, [left, parent, store]), NOW + MINUTE)
    assert health("all") == Health.HEALTHY
