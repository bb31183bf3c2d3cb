"""What differs between clusters in which an object has the same kind, namespace and name. Plain Python: no database.

Spec drift: the specs differ, after what a CRD or a controller fills in is put equal. Value drift: the values differ, by
equality of tags (clusters.tagging). Version drift: mounts hold different versions of one object at one provider.
`C` is whatever names a cluster.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Generic, TypeVar

from clusters.facts import (
    ClassFacts,
    Facts,
    RefreshedFacts,
    RemoteKey,
    ResourceKey,
    SealedSecretFacts,
    SecretFacts,
    StoreFacts,
)
from clusters.tagging import comparable, short
from monitoring.rules.durations import go_duration

C = TypeVar("C", int, str)
Spec = dict[str, str]

ABSENT = ""
TEMPLATE = "template"
# What a store says of itself: where it cannot be read, or tells nothing, there is nothing to compare.
OF_STORES = frozenset({"provider of the store", "path of the store"})
# By what names the fields go: of `spec_of`, of `store_spec`, and what is compared besides. The last three go on with a
# name or a number of their own: "key password", "extract (2)", "version of db".
FIELDS = (
    *("interval", "policy", "store", "target", "creation policy", "deletion policy", "immutable", "sync windows"),
    *(TEMPLATE, "provider of the store", "path of the store"),
    *("scope", "items", "template items", "provider", "objects", "secret names"),
    *("value", "key", "extract", "version"),
)
GO_ON = ("key ", "extract (", "version of ")
# What is the same in every version of the CRD: External Secrets' defaults (external-secrets.io/v1, 2.9.0).
DEFAULT_INTERVAL, DEFAULT_POLICY = "1h", "Periodic"
DEFAULT_CREATION, DEFAULT_DELETION = "Owner", "Retain"


def spec_of(facts: Facts) -> Spec:
    """The allowlisted spec by field, normalised: equal texts mean the same to the controller. {} for other kinds.

    Each entry of an ExternalSecret's data is a field of its own. "template" is a tag: only `differences` compares it.
    """
    if isinstance(facts, RefreshedFacts):
        return dict(_refreshed(facts))
    if isinstance(facts, SealedSecretFacts):
        return {
            "scope": facts.scope,
            "target": facts.target,
            "items": _listed(item.name for item in facts.sealed),
            "template items": _listed(facts.template_items),
        }
    if isinstance(facts, ClassFacts):
        return {
            "provider": facts.provider,
            "objects": _listed(facts.objects),
            "secret names": _listed(facts.secret_names),
        }
    return {}


def store_spec(stores: Iterable[StoreFacts]) -> Spec:
    """Provider and path of an object's stores, in the order of its spec: one name may mean another place elsewhere."""
    found = list(stores)
    paths = [store.path or (f"source {store.source[:8]}" if store.source else "") for store in found]
    return {
        "provider of the store": ", ".join(filter(None, (store.provider for store in found))),
        "path of the store": ", ".join(filter(None, paths)),
    }


def spec_hash(spec: Mapping[str, str]) -> str:
    """Twelve hex digits; equal ones mean equal specs."""
    return _hashed(spec, 6).hex()


def digest(facts: Facts, related: Mapping[ResourceKey, Facts]) -> int:
    """64 bits, signed, of what is compared of one object but mounted versions. Where they are equal, nothing differs.

    That is its spec, where its stores lead, and the tag of its value; what of these is not `related` is not known.
    """
    spec = spec_of(facts)
    if isinstance(facts, RefreshedFacts):
        stores = (related.get(store) for store in facts.stores)
        spec |= store_spec(store for store in stores if isinstance(store, StoreFacts))
        spec["value"] = next((found.data_tag for found in related.values() if isinstance(found, SecretFacts)), "")
    return int.from_bytes(_hashed(spec, 8), signed=True)


def _hashed(spec: Mapping[str, str], size: int) -> bytes:
    return blake2b(repr(sorted(spec.items())).encode(), digest_size=size).digest()


def is_field(name: str) -> bool:
    """Whether a field is called so, or begins with these words."""
    return any(is_excepted(field, (name,)) for field in FIELDS) or name.startswith(GO_ON)


def is_excepted(field: str, names: Iterable[str]) -> bool:
    """Whether one of these names stands for the field: its own, or its first words, as "key" for "key password"."""
    return any(field == name or field.startswith(f"{name} ") for name in names)


def differences(
    specs: Mapping[C, Mapping[str, str]], excepted: Sequence[str] = ()
) -> dict[str, dict[str, tuple[C, ...]]]:
    """The fields that are not the same in all clusters: each value with its clusters, the most frequent one first.

    A field that a spec does not have is ABSENT there. Templates are left out where their tags cannot be compared, and
    so are a cluster of whose stores nothing is known and fields that may differ, by `is_excepted`.
    """
    first = next(iter(specs.values()), {})
    if all(spec == first for spec in specs.values()):
        return {}
    names = dict.fromkeys(name for spec in specs.values() for name in spec if not is_excepted(name, excepted))
    found = {name: _by_value(dict(_known(name, specs))) for name in names}
    return {
        name: values
        for name, values in found.items()
        if len(values) > 1 and (name != TEMPLATE or _comparable(list(values)))
    }


def _known(name: str, specs: Mapping[C, Mapping[str, str]]) -> Iterator[tuple[C, str]]:
    for cluster, spec in specs.items():
        value = spec.get(name, ABSENT)
        if value != ABSENT or name not in OF_STORES:
            yield cluster, value


def _by_value(values: Mapping[C, str]) -> dict[str, tuple[C, ...]]:
    groups: dict[str, list[C]] = defaultdict(list)
    for cluster, value in values.items():
        groups[value].append(cluster)
    largest_first = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {value: tuple(clusters) for value, clusters in largest_first}


def _comparable(tags: list[str]) -> bool:
    """Whether tags under one key tell these apart; no tag is no template, where others have one."""
    present = [tag for tag in tags if tag]
    return all(comparable(present[0], other) for other in present[1:])


class Values(StrEnum):
    """What can be said of the values that an object has in several clusters."""

    EQUAL = "equal"
    DIFFER = "differ"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ValueDrift(Generic[C]):
    """`groups` are clusters with equal values, largest first; `unknown` those of which no tag is known.

    Values may differ by intention (generators, templates that name the cluster): DIFFER is no judgement. EQUAL is said
    only of all clusters together, where each tag is known and comparable with every other.
    """

    verdict: Values
    groups: tuple[tuple[str, tuple[C, ...]], ...]
    unknown: tuple[C, ...]

    @property
    def tags(self) -> dict[C, str]:
        return {cluster: short(tag) for tag, clusters in self.groups for cluster in clusters}


def value_drift(tags: Mapping[C, str]) -> ValueDrift[C]:
    """By cluster the tag of the target's data, "" where it is not known."""
    groups = tuple(_by_value({cluster: tag for cluster, tag in tags.items() if tag}).items())
    unknown = tuple(cluster for cluster, tag in tags.items() if not tag)
    distinct = [tag for tag, _ in groups]
    if any(comparable(one, other) for place, one in enumerate(distinct) for other in distinct[:place]):
        verdict = Values.DIFFER
    elif len(distinct) == 1 and len(tags) > 1 and not unknown:
        verdict = Values.EQUAL
    else:
        verdict = Values.UNKNOWN
    return ValueDrift(verdict, groups, unknown)


def value_conflicts(tags: Mapping[C, str], labels: Mapping[C, str]) -> tuple[ValueDrift[C], ...]:
    """The values that differ among clusters that need not: all but two that have a label of different values.

    `tags` as in `value_drift`, `labels` by cluster the label by which values must differ; no label: no say.
    """
    groups = sorted({label for cluster in tags if (label := labels.get(cluster))}) or [""]
    found = (
        value_drift({cluster: tag for cluster, tag in tags.items() if labels.get(cluster, "") in ("", group)})
        for group in groups
    )
    return tuple(drift for drift in found if drift.verdict is Values.DIFFER)


def shared_values(drift: ValueDrift[C], labels: Mapping[C, str]) -> tuple[tuple[C, ...], ...]:
    """Clusters that have one value although their labels say that they must differ. No label: no say."""
    found = []
    for _, clusters in drift.groups:
        labelled = tuple(cluster for cluster in clusters if labels.get(cluster))
        if len({labels[cluster] for cluster in labelled}) > 1:
            found.append(labelled)
    return tuple(found)


@dataclass(frozen=True)
class VersionDrift(Generic[C]):
    """One object of a class, at one provider: the versions that mounts hold, by cluster."""

    object_id: str
    versions: Mapping[C, tuple[str, ...]]


def version_drift(
    mounted: Mapping[C, Mapping[str, Iterable[str]]], sources: Mapping[C, str]
) -> tuple[VersionDrift[C], ...]:
    """The objects of which clusters with one source mount different versions.

    `mounted` has by cluster and object the versions in all mounts of a class, `sources` the class's source: without one
    ("", as for Vault, which counts versions for each cluster by itself) there is nothing to compare with.
    """
    by_object: dict[tuple[str, str], dict[C, tuple[str, ...]]] = defaultdict(dict)
    for cluster, objects in mounted.items():
        if source := sources.get(cluster):
            for object_id, versions in objects.items():
                by_object[object_id, source][cluster] = tuple(sorted(set(versions)))
    return tuple(
        VersionDrift(object_id, versions)
        for (object_id, _), versions in sorted(by_object.items())
        if len(set(versions.values())) > 1
    )


def _refreshed(facts: RefreshedFacts) -> Iterator[tuple[str, str]]:
    yield "interval", _interval(facts.interval)
    yield "policy", facts.policy or DEFAULT_POLICY
    yield "store", ", ".join(f"{store.kind} {store.name}" for store in facts.stores)
    yield "target", facts.target
    yield "creation policy", facts.creation_policy or DEFAULT_CREATION
    yield "deletion policy", facts.deletion_policy or DEFAULT_DELETION
    yield "immutable", "yes" if facts.immutable else "no"
    windows = (f"{window.kind} {window.schedule} for {window.duration}" for window in facts.sync_windows)
    yield "sync windows", "; ".join(sorted(windows))
    yield TEMPLATE, facts.template_tag
    yield from _keys(facts)


def _keys(facts: RefreshedFacts) -> Iterator[tuple[str, str]]:
    """One field for each entry of data by its name; extracts have none, but their order counts: later ones win."""
    seen: Counter[str] = Counter()
    for key in facts.keys:
        name = f"key {key.secret_key}" if key.secret_key else "extract"
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", _key(key, facts.stores[:1])


def _key(key: RemoteKey, usual: tuple[ResourceKey, ...]) -> str:
    parts = [
        key.key,
        f"property {key.property}" if key.property else "",
        f"version {key.version}" if key.version else "",
        f"conversion {key.conversion}" if key.conversion not in ("", "Default") else "",
        f"decoding {key.decoding}" if key.decoding not in ("", "None") else "",
        f"metadata {key.metadata_policy}" if key.metadata_policy not in ("", "None") else "",
        f"from {key.store.kind} {key.store.name}" if key.store not in usual else "",
    ]
    return ", ".join(filter(None, parts))


UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1, "us"))


def _interval(text: str) -> str:
    """One text for all that Go reads as the same duration; what it refuses stays as it is written."""
    span = go_duration(text or DEFAULT_INTERVAL)
    if span is None:
        return f"{text!r}, no duration"
    rest, parts = max(span // timedelta(microseconds=1), 0), []  # External Secrets refreshes once for zero and below
    for size, unit in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
