"""Generated facts, Events and contexts for property tests of rules: every field of every kind, so that new ones join.

A field gets values by its name or by its type. They are few and near, so that what refers to each other also meets.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, get_type_hints

import msgspec
from hypothesis import strategies as st

from clusters.facts import (
    FACTS_TYPES,
    DataWriter,
    FailedNamespace,
    MountedObject,
    MountFacts,
    PodMount,
    RefreshedFacts,
    RemoteKey,
    ResourceKey,
    SealedItem,
    SyncWindow,
    WorkloadFacts,
)
from clusters.kinds import JUDGED_KINDS
from clusters.observations import EventNote, Observation, Outcome
from monitoring.context import related_keys
from monitoring.health import Health
from monitoring.rules.base import (
    Census,
    Child,
    ClusterContext,
    Context,
    KindState,
    Newest,
    SeenCertificate,
    SeenKey,
    SeenSealed,
    Workload,
)
from monitoring.rules.thresholds import Thresholds

START = datetime(2026, 11, 24, tzinfo=UTC)
EVERY_KIND = frozenset(FACTS_TYPES)
# The kinds that have most rules are drawn more often.
WORTH_MORE = ("ExternalSecret", "ExternalSecret", "SecretProviderClassPodStatus", "SealedSecret", *sorted(JUDGED_KINDS))
CLUSTER_WIDE = ("ClusterSecretStore", "ClusterExternalSecret", "ClusterPushSecret", "CSINode", "CSIDriver")

# Seconds, as in Kubernetes.
moments = st.builds(lambda seconds: START + timedelta(seconds=seconds), st.integers(-100_000, 100_000))
later_moments = st.builds(lambda seconds: START + timedelta(seconds=seconds), st.integers(-50_000, 200_000))
maybe_moments = st.none() | moments
names = st.sampled_from(["a", "b", "c"])
versions = st.sampled_from(["1-x", "1-x", "2-y", ""])
intervals = st.sampled_from(["1h", "1m", "30s", "", "24h0m0s", "5m", "0", "-5m", "1d", "2562047h"])
schedules = st.sampled_from(["0 3 * * *", "*/7 * * * *", "@daily", "0 0 31 2 *", "nonsense", "* * * * *"])
messages = st.sampled_from(
    [
        "secret synced",
        "secret retained due to DeletionPolicy=Retain",
        "could not update secret, target is immutable",
        "could not get secret data from provider",
        "no key could decrypt secret (password)",
        "provider not found: provider aws",
        "AccessDeniedException: not authorized",
    ]
)
reasons = st.sampled_from(["SecretSynced", "SecretDeleted", "SecretMissing", "SecretSyncedError", "ValidationUnknown"])
event_reasons = st.sampled_from(
    [
        "Created",
        "ErrUnsealFailed",
        "FailedMount",
        "FailedToCreateSecret",
        "MissingProviderSecret",
        "MountRotationComplete",
        "MountRotationFailed",
        "StatusUpdateFailed",
        "StoreUnmaintained",
        "Unsealed",
        "UpdateFailed",
        "Updated",
    ]
)
options = st.dictionaries(
    st.sampled_from(["enable-secret-rotation", "rotation-poll-interval", "key-renew-period", "controller-class"]),
    st.sampled_from(["true", "false", "30m", "24h", "0", "x", ""]),
    max_size=2,
)


def rarely(usual: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda number: other if number == 9 else st.just(usual))


def keys(kinds: st.SearchStrategy[str]) -> st.SearchStrategy[ResourceKey]:
    return st.builds(
        lambda kind, name: ResourceKey(kind, "" if kind in CLUSTER_WIDE else "shop", name),
        kinds,
        names | st.just("db"),
    )


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 4).flatmap(lambda number: st.none() if number == 4 else usual)


any_keys = keys(st.sampled_from(sorted(FACTS_TYPES)))
stores = keys(st.sampled_from(["SecretStore", "ClusterSecretStore"]))


def some(values: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=most).map(tuple)


def of(record: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of a struct, each field by `fields`, by its name or by its type. Raises KeyError for a type without."""
    hints = get_type_hints(record)
    known = BY_NAME | fields
    chosen = {name: known[name] if name in known else BY_TYPE[hints[name]] for name in record.__struct_fields__}
    return st.builds(record, **chosen)


BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    bool | None: st.sampled_from([True, True, False, None]),
    int: st.integers(0, 4),
    float: st.just(0.5),
    str: names | st.just(""),
    datetime | None: maybe_moments,
    datetime: moments,
    timedelta: st.sampled_from([timedelta(0), timedelta(minutes=2), timedelta(hours=2)]),
    dict[str, str]: options,
    ResourceKey: any_keys,
    tuple[str, ...]: some(names),
    tuple[ResourceKey, ...]: some(any_keys),
}
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "data_tag": st.sampled_from(["", "sha3.k.a", "sha3.k.b", "md5.k.a"]),
    "problem": rarely("", st.just("The field spec is odd.")),
    "deleting_since": rarely(None, moments),
    "generation": st.integers(1, 6),
    "message": messages,
    "reason": reasons,
    "interval": intervals,
    "duration": st.sampled_from(["1h", "4h", "5m", "30h", "broken"]),
    "schedule": schedules,
    "kind": st.sampled_from(["allow", "deny", "other"]),
    "policy": st.sampled_from(["", "Periodic", "Periodic", "CreatedOnce", "OnChange"]),
    "creation_policy": st.sampled_from(["", "Owner", "Merge", "Orphan"]),
    "deletion_policy": st.sampled_from(["", "Delete", "Retain"]),
    "synced_version": versions,
    "expected_version": versions,
    "stores": some(stores),
    "phase": st.sampled_from(["Pending", "Running", "Running", "Succeeded", ""]),
    "provider": st.sampled_from(["aws", "vault", "azure", ""]),
    "state": st.sampled_from(["active", "compromised", ""]),
    "manager": st.sampled_from(["controller", "kubectl", ""]),
    "managed_by": st.sampled_from(["external-secrets", "sealed-secrets", "secrets-store-csi", ""]),
    "owner_kind": st.sampled_from(["ExternalSecret", "SealedSecret", ""]),
    "owner": names | st.just("db"),
    "owner_uid": st.sampled_from(["u", "v", ""]),
    "scope": st.sampled_from(["strict", "namespace-wide", "cluster-wide"]),
    "template_scope": st.sampled_from(["strict", "cluster-wide"]),
    "role": st.sampled_from(["external-secrets", "sealed-secrets", "csi-driver", "csi-provider"]),
    "version": st.sampled_from(["v1.6.0", "1.5.4", "2.1.0", "0.34.0", "", "latest"]),
    "drivers": st.sampled_from([(), ("secrets-store.csi.k8s.io",)]),
    "key_bits": st.sampled_from([0, 2048, 4096]),
    "entropy_bits": st.sampled_from([0, 64, 256]),
    "health": st.sampled_from(Health),
    "outcome": st.sampled_from([str(outcome) for outcome in Outcome]),
    "stopped_share": st.sampled_from([0.1, 0.5, 1.0]),
}
for field, record in (
    ("sync_windows", SyncWindow),
    ("failed_namespaces", FailedNamespace),
    ("sealed", SealedItem),
    ("mounts", PodMount),
    ("writers", DataWriter),
):
    BY_NAME[field] = some(of(record))
BY_TYPE[tuple[RemoteKey, ...]] = some(of(RemoteKey, store=stores))
BY_NAME["objects"] = some(names)
mounted = some(of(MountedObject, version=st.sampled_from(["1", "2", "3"])), 3)

FACTS = {
    kind: of(facts_type, **({"objects": mounted} if facts_type is MountFacts else {}))
    for kind, facts_type in FACTS_TYPES.items()
}
# Half of the most important kinds are such as the rules about time speak of.
FACTS["ExternalSecret"] |= of(
    RefreshedFacts,
    problem=st.just(""),
    deleting_since=st.none(),
    ready=st.sampled_from([True, True, False]),
    refreshed_at=moments,
    interval=st.sampled_from(["1h", "24h0m0s", "5m", ""]),
    policy=st.sampled_from(["", "Periodic"]),
    sync_windows=st.booleans().flatmap(lambda held: some(of(SyncWindow)) if held else st.just(())),
)
FACTS["SecretProviderClassPodStatus"] |= of(
    MountFacts,
    problem=st.just(""),
    class_name=st.just("a"),
    objects=st.tuples(
        of(MountedObject, id=st.just("a"), version=st.sampled_from(["1", "2"]), changed_at=moments),
    ),
)
any_facts = st.one_of(*FACTS.values())
events = some(
    of(
        EventNote,
        type=st.sampled_from(["Warning", "Normal"]),
        reason=event_reasons,
        involved_uid=st.sampled_from(["u", ""]),
        fingerprint=st.just(1),
    ),
    3,
)


ROLES = {
    "Deployment": ("external-secrets", "sealed-secrets"),
    "DaemonSet": ("csi-driver", "csi-driver", "csi-provider"),
}


def workloads(kind: str) -> st.SearchStrategy[tuple[Workload, ...]]:
    facts = FACTS[kind] if kind not in ROLES else of(WorkloadFacts, role=st.sampled_from(ROLES[kind]))
    return some(of(Workload, key=names.map(lambda name: ResourceKey(kind, "", name)), facts=facts))


SUPPORTING = ("Deployment", "DaemonSet", "CSIDriver", "CSINode", "DriverPod", "SealingKey", "SealingCertificate")
cluster_contexts = of(
    ClusterContext,
    labels=st.sampled_from([{}, {"env": "prod"}, {"env": 7}]),
    thresholds=st.just(Thresholds()) | of(Thresholds),
    poll_interval=st.sampled_from([timedelta(seconds=30), timedelta(seconds=60), timedelta(minutes=10)]),
    readable=st.sampled_from([EVERY_KIND, EVERY_KIND, EVERY_KIND - {"Pod", "Secret"}, frozenset()]),
    secret_namespaces=st.sampled_from([None, frozenset(), frozenset({"shop"})]),
    supporting=st.fixed_dictionaries({kind: workloads(kind) for kind in SUPPORTING}),
    certificates=some(of(SeenCertificate)),
    keys=some(of(SeenKey)),
    shared_with=st.dictionaries(names, some(names), max_size=1),
    census=of(Census, sealed=st.integers(0, 4)),
    kinds=st.dictionaries(st.sampled_from(sorted(EVERY_KIND)), of(KindState), max_size=2),
)


besides: dict[str, st.SearchStrategy[Any]] = {
    "cluster": cluster_contexts,
    "events": events,
    "store_events": st.dictionaries(stores, events, max_size=1),
    "siblings": some(FACTS["SecretProviderClassPodStatus"], 3),
    "children": some(of(Child), 3),
    "newest": st.dictionaries(names, of(Newest, version=st.sampled_from(["1", "2", "3"])), max_size=2),
    "sealed_elsewhere": st.dictionaries(
        names, some(of(SeenSealed, key=keys(st.just("SealedSecret")), cluster=names)), max_size=2
    ),
    "first_sealed": st.dictionaries(names, moments, max_size=2),
}
odd_contexts = of(Context, related=st.dictionaries(any_keys, any_facts, max_size=4), **besides)


def observation(kind: str, facts: Any, created_at: datetime | None = START) -> Observation:
    key = ResourceKey(kind, "" if kind in CLUSTER_WIDE else "shop", "db")
    return Observation(key=key, uid="u", fingerprint=1, created_at=created_at, facts=facts)


class Subject(NamedTuple):
    """What is judged, with what may be seen beside it."""

    watched: Observation
    beside: Context


@st.composite
def subjects(draw: st.DrawFn, kinds: tuple[str, ...] = WORTH_MORE) -> Subject:
    """Most of what an object refers to is there, of the kind that it must be."""
    kind = draw(st.sampled_from(kinds))
    watched = observation(kind, draw(FACTS[kind]), draw(maybe_moments))
    wanted = related_keys(watched.key, watched.facts)
    related = {key: facts for key in wanted if (facts := draw(mostly(FACTS[key.kind])))}
    return Subject(watched, draw(of(Context, related=st.just(related), **besides)))


anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.lists(st.text()) | st.datetimes()
)


def spoilt(record: Any, fields: dict[str, Any]) -> Any:
    """`record` with these fields, whatever their types."""
    return msgspec.structs.replace(record, **fields)
