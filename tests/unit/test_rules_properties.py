"""What holds for every object, however odd: judging ends in a verdict, and its next moment is exact."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clusters.observations import (
    FACTS_TYPES,
    ClassFacts,
    DriverFacts,
    EventNote,
    FailedNamespace,
    MountedObject,
    MountFacts,
    NodeFacts,
    Observation,
    RefreshedFacts,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    StoreFacts,
    SyncWindow,
    WorkloadFacts,
    facts_from_json,
    facts_to_json,
)
from monitoring.health import Health, worst_of
from monitoring.rules import RULES, judge, judge_cluster
from monitoring.rules.base import Child, ClusterContext, Context, Verdict, Workload

START = datetime(2026, 11, 24, tzinfo=UTC)
EVERY_KIND = frozenset(FACTS_TYPES)

# Few and near, so that they meet; seconds, as in Kubernetes.
moments = st.builds(lambda seconds: START + timedelta(seconds=seconds), st.integers(-100_000, 100_000))
maybe_moments = st.none() | moments
names = st.sampled_from(["a", "b", "c"])
stores = st.builds(ResourceKey, st.sampled_from(["SecretStore", "ClusterSecretStore"]), st.just("shop"), names)
readies = st.sampled_from([None, True, False])
intervals = st.sampled_from(["", "0", "30s", "1m", "1h", "24h0m0s", "-5m", "1d", "garbage", "2562047h"])
schedules = st.sampled_from(["0 3 * * *", "*/7 * * * *", "@daily", "0 0 31 2 *", "nonsense", "* * * * *"])
windows = st.lists(st.tuples(schedules, st.sampled_from(["1h", "4h", "5m", "30h", "broken"])), max_size=2).flatmap(
    lambda pairs: st.sampled_from(["allow", "deny", "other"]).map(
        lambda kind: tuple(SyncWindow(kind=kind, schedule=schedule, duration=span) for schedule, span in pairs)
    )
)
messages = st.sampled_from(
    [
        "secret synced",
        "secret retained due to DeletionPolicy=Retain",
        "could not update secret, target is immutable",
        "could not get secret data from provider",
    ]
)
reasons = st.sampled_from(["SecretSynced", "SecretDeleted", "SecretMissing", "SecretSyncedError"])
versions = st.sampled_from(["", "1-x", "2-x", "2-y"])
event_reasons = st.sampled_from(
    [
        "UpdateFailed",
        "MissingProviderSecret",
        "Created",
        "Updated",
        "Unsealed",
        "ErrUnsealFailed",
        "MountRotationFailed",
        "MountRotationComplete",
        "StoreUnmaintained",
    ]
)


def event(reason: str, last_at: datetime | None) -> EventNote:
    return EventNote(
        uid="e",
        fingerprint=1,
        involved=ResourceKey("ExternalSecret", "shop", "db"),
        involved_uid="u",
        type="Normal" if reason in ("Created", "Updated", "Unsealed", "MountRotationComplete") else "Warning",
        reason=reason,
        message=f"because of {reason}",
        component="x",
        first_at=last_at,
        last_at=last_at,
    )


events = st.lists(st.builds(event, event_reasons, maybe_moments), max_size=3).map(tuple)
refreshed = st.builds(
    RefreshedFacts,
    generation=st.integers(1, 3),
    deleting_since=st.none() | st.none() | moments,
    ready=readies,
    reason=reasons,
    message=messages,
    condition_since=maybe_moments,
    refreshed_at=maybe_moments,
    spec_written_at=maybe_moments,
    interval=intervals,
    policy=st.sampled_from(["", "Periodic", "CreatedOnce", "OnChange"]),
    stores=st.lists(stores, max_size=2).map(tuple),
    synced_version=versions,
    expected_version=versions,
    creation_policy=st.sampled_from(["", "Owner", "Merge", "Orphan"]),
    immutable=st.booleans(),
    sync_windows=windows,
)
store_facts = st.builds(StoreFacts, ready=readies, condition_since=maybe_moments, controller=st.sampled_from(["", "x"]))
sealed = st.builds(
    SealedSecretFacts,
    generation=st.integers(1, 3),
    ready=readies,
    observed_generation=st.integers(0, 3),
    condition_since=maybe_moments,
    updated_at=maybe_moments,
    spec_written_at=maybe_moments,
    scope=st.sampled_from(["strict", "cluster-wide"]),
)
objects = st.lists(
    st.builds(MountedObject, id=names, version=st.sampled_from(["1", "2", "3"]), changed_at=maybe_moments), max_size=3
).map(tuple)
mounts = st.builds(
    MountFacts,
    generation=st.integers(1, 9),
    pod=names,
    node=names,
    class_name=names,
    objects=objects,
    written_at=maybe_moments,
)
class_facts = st.builds(ClassFacts, objects=st.lists(names, max_size=2).map(tuple), spec_written_at=maybe_moments)
options = st.sampled_from(
    [
        {},
        {"enable-secret-rotation": "true"},
        {"enable-secret-rotation": "true", "rotation-poll-interval": "30m"},
        {"enable-secret-rotation": "true", "rotation-poll-interval": "x"},
        {"key-renew-period": "0"},
        {"key-renew-period": "24h"},
        {"key-renew-period": "x"},
    ]
)
workloads = st.builds(
    WorkloadFacts,
    role=st.sampled_from(["external-secrets", "sealed-secrets", "csi-driver", "csi-provider"]),
    version=st.sampled_from(["v1.6.0", "1.5.4", "", "latest"]),
    desired=st.integers(0, 2),
    ready=st.integers(0, 2),
    options=options,
)


def supporting(kind: str, facts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Workload, ...]]:
    rows = st.builds(
        Workload, key=names.map(lambda name: ResourceKey(kind, "", name)), facts=facts, created_at=maybe_moments
    )
    return st.lists(rows, max_size=2).map(tuple)


cluster_contexts = st.builds(
    ClusterContext,
    poll_interval=st.sampled_from([timedelta(seconds=30), timedelta(seconds=60), timedelta(minutes=10)]),
    readable=st.sampled_from([frozenset(), EVERY_KIND]),
    supporting=st.fixed_dictionaries(
        {},
        optional={
            "Deployment": supporting("Deployment", workloads),
            "DaemonSet": supporting("DaemonSet", workloads),
            "CSIDriver": supporting("CSIDriver", st.builds(DriverFacts, requires_republish=readies)),
            "CSINode": supporting(
                "CSINode", st.builds(NodeFacts, drivers=st.sampled_from([(), ("secrets-store.csi.k8s.io",)]))
            ),
            "SealingKey": supporting(
                "SealingKey",
                st.builds(SealingKeyFacts, state=st.sampled_from(["active", "old"]), manager=st.just("controller")),
            ),
            "SealingCertificate": supporting(
                "SealingCertificate", st.builds(SealingCertificateFacts, not_before=maybe_moments)
            ),
        },
    ),
)
related = st.dictionaries(stores, store_facts, max_size=2) | st.dictionaries(
    names.map(lambda name: ResourceKey("SecretProviderClass", "shop", name)), class_facts, max_size=2
)
children = st.lists(
    st.builds(Child, key=st.just(ResourceKey("ExternalSecret", "shop", "db")), health=st.sampled_from(Health)),
    max_size=3,
).map(tuple)
contexts = st.builds(
    Context,
    cluster=cluster_contexts,
    related=related,
    events=events,
    siblings=st.lists(mounts, max_size=3).map(tuple),
    children=children,
)


def observation(kind: str, facts: Any, created_at: datetime | None = START) -> Observation:
    key = ResourceKey(kind, "shop", "db")
    return Observation(key=key, uid="u", fingerprint=1, created_at=created_at, facts=facts)


parents = st.builds(
    FACTS_TYPES["ClusterExternalSecret"],
    ready=readies,
    deleting_since=maybe_moments,
    interval=intervals,
    failed_namespaces=st.lists(st.builds(FailedNamespace, namespace=names, reason=names), max_size=4).map(tuple),
)
observations = st.one_of(
    st.builds(observation, st.sampled_from(["ExternalSecret", "PushSecret"]), refreshed, maybe_moments),
    st.builds(observation, st.just("ClusterExternalSecret"), parents, maybe_moments),
    st.builds(observation, st.just("SecretStore"), store_facts, maybe_moments),
    st.builds(observation, st.just("SealedSecret"), sealed, maybe_moments),
    st.builds(observation, st.just("SecretProviderClassPodStatus"), mounts, maybe_moments),
)


def said(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.health, verdict.findings, verdict.due_at


@given(observations, contexts, moments)
def test_no_rule_fails_on_values_of_the_right_type(watched: Observation, context: Context, now: datetime) -> None:
    verdict = judge(watched, context, now)
    assert "could-not-be-judged" not in [finding.rule for finding in verdict.findings]
    assert verdict.health == worst_of([finding.health for finding in verdict.findings])
    assert [finding.health for finding in verdict.findings] == sorted(
        (f.health for f in verdict.findings), reverse=True
    )
    assert all(finding.severity == RULES[finding.rule].severity for finding in verdict.findings)


@settings(max_examples=300)
@given(observations, contexts, moments, st.floats(0, 1), st.integers(1, 10**9))
def test_the_clock_changes_a_verdict_at_recheck_at_and_not_before(
    watched: Observation, context: Context, now: datetime, share: float, much_later: int
) -> None:
    verdict = judge(watched, context, now)
    if verdict.recheck_at is None:
        later = now + timedelta(seconds=much_later)
        assert said(judge(watched, context, later)) == said(verdict)
        return
    assert verdict.recheck_at > now
    between = min(now + share * (verdict.recheck_at - now), verdict.recheck_at - timedelta(microseconds=1))
    assert judge(watched, context, between) == verdict
    assert said(judge(watched, context, verdict.recheck_at)) != said(verdict)


@given(cluster_contexts, moments, st.floats(0, 1), st.integers(1, 10**9))
def test_the_same_holds_for_clusters(context: ClusterContext, now: datetime, share: float, much_later: int) -> None:
    verdict = judge_cluster(context, now)
    assert "could-not-be-judged" not in [finding.rule for finding in verdict.findings]
    if verdict.recheck_at is None:
        assert judge_cluster(context, now + timedelta(seconds=much_later)) == verdict
        return
    between = min(now + share * (verdict.recheck_at - now), verdict.recheck_at - timedelta(microseconds=1))
    assert judge_cluster(context, between) == verdict
    assert said(judge_cluster(context, verdict.recheck_at)) != said(verdict)


@given(refreshed, contexts, moments, st.integers(0, 10**7))
def test_waiting_never_makes_an_external_secret_healthier(
    facts: RefreshedFacts, context: Context, now: datetime, seconds: int
) -> None:
    """Refresh times in the future are left out: what they hide is unknown until the clock has caught up."""
    assume(facts.refreshed_at is None or facts.refreshed_at <= now)
    watched = observation("ExternalSecret", facts)
    later = judge(watched, context, now + timedelta(seconds=seconds))
    assert later.health >= judge(watched, context, now).health


@given(observations, contexts, moments)
def test_a_stored_row_is_judged_as_the_object_was(watched: Observation, context: Context, now: datetime) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(facts_to_json(watched.facts)))
    again = msgspec.structs.replace(watched, facts=facts_from_json(watched.key.kind, stored))
    assert judge(again, context, now) == judge(watched, context, now)


anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.lists(st.text()) | st.datetimes()
)


@given(st.data(), st.sampled_from([*FACTS_TYPES, "Pod", ""]), contexts, moments)
def test_wrong_types_in_any_field_end_in_a_verdict(
    data: st.DataObject, kind: str, context: Context, now: datetime
) -> None:
    facts_type = FACTS_TYPES.get(kind, RefreshedFacts)
    fields = data.draw(st.lists(st.sampled_from(facts_type.__struct_fields__), max_size=4))
    facts = facts_type(**{field: data.draw(anything) for field in fields})
    verdict = judge(observation(kind, facts, data.draw(anything)), context, now)
    assert isinstance(verdict, Verdict)


def test_what_fails_is_named_and_never_healthy() -> None:
    facts = RefreshedFacts(ready=True, refreshed_at="yesterday")  # type: ignore[arg-type]
    verdict = judge(observation("ExternalSecret", facts), Context(), START)
    assert verdict.health is Health.UNKNOWN
    assert [finding.rule for finding in verdict.findings] == ["could-not-be-judged"]
    assert "TypeError" in verdict.findings[0].summary


def test_an_object_that_could_not_be_decoded_is_unknown_and_nothing_else() -> None:
    facts = RefreshedFacts(problem="The field spec does not have the type that its kind promises.")
    verdict = judge(observation("ExternalSecret", facts, None), Context(), START)
    assert verdict.health is Health.UNKNOWN
    assert [finding.rule for finding in verdict.findings] == ["could-not-be-read"]


def test_a_problem_does_not_hide_what_is_known_to_be_bad() -> None:
    facts = RefreshedFacts(problem="The field target is odd.", generation=1, ready=False, message="no")
    verdict = judge(observation("ExternalSecret", facts), Context(), START)
    assert verdict.health is Health.FAILING
    assert {finding.rule for finding in verdict.findings} == {"es-not-ready", "could-not-be-read"}
