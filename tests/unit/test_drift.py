"""Drift across clusters: what means the same is equal, what is not known is never called equal."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import (
    ClassFacts,
    Facts,
    RefreshedFacts,
    RemoteKey,
    ResourceKey,
    SealedItem,
    SealedSecretFacts,
    SecretFacts,
    StoreFacts,
    SyncWindow,
    facts_from_json,
    facts_to_json,
)
from monitoring import drift
from monitoring.drift import Values
from monitoring.queries.drift_rows import STATUS
from tests.unit import rule_strategies

VAULT = ResourceKey("ClusterSecretStore", "", "vault")
OTHER = ResourceKey("SecretStore", "shop", "aws")
KEY = RemoteKey(store=VAULT, key="apps/db", property="password", secret_key="password")
SECRET = RefreshedFacts(
    interval="1h", store="ClusterSecretStore vault", stores=(VAULT,), target="db", keys=(KEY,), template_tag="k1.aa"
)
SEALED = SealedSecretFacts(sealed=(SealedItem(name="a", digest="00"), SealedItem(name="b")), target="db")
CLASS = ClassFacts(provider="azure", source="s", objects=("a", "b"), secret_names=("db",))

SAME: list[tuple[Facts, dict[str, Any]]] = [
    (SECRET, {"interval": "1h0m0s"}),
    (SECRET, {"interval": "60m"}),
    (SECRET, {"interval": ""}),
    (SECRET, {"policy": "Periodic"}),
    (SECRET, {"creation_policy": "Owner", "deletion_policy": "Retain"}),
    (SECRET, {"keys": (msgspec.structs.replace(KEY, conversion="Default", decoding="None", metadata_policy="None"),)}),
    (SECRET, {"ready": False, "reason": "SecretSyncedError", "generation": 7, "written_api": "v1beta1"}),
    (SEALED, {"sealed": (SealedItem(name="b", digest="11", key_bits=4096), SealedItem(name="a"))}),
    (SEALED, {"observed_generation": 3, "ready": True}),
    (CLASS, {"objects": ("b", "a"), "source": "elsewhere", "generation": 2}),
]
DIFFERENT: list[tuple[Facts, dict[str, Any], str]] = [
    (SECRET, {"interval": "30m"}, "interval"),
    (SECRET, {"interval": "0"}, "interval"),
    (SECRET, {"interval": "1d"}, "interval"),
    (SECRET, {"policy": "OnChange"}, "policy"),
    (SECRET, {"stores": (VAULT, OTHER)}, "store"),
    (SECRET, {"target": "other"}, "target"),
    (SECRET, {"creation_policy": "Merge"}, "creation policy"),
    (SECRET, {"deletion_policy": "Delete"}, "deletion policy"),
    (SECRET, {"immutable": True}, "immutable"),
    (SECRET, {"sync_windows": (SyncWindow(kind="allow", schedule="0 2 * * *", duration="1h"),)}, "sync windows"),
    (SECRET, {"template_tag": ""}, "template"),
    (SECRET, {"template_tag": "k1.bb"}, "template"),
    (SECRET, {"keys": (msgspec.structs.replace(KEY, decoding="Base64"),)}, "key password"),
    (SECRET, {"keys": (msgspec.structs.replace(KEY, version="2"),)}, "key password"),
    (SECRET, {"keys": (msgspec.structs.replace(KEY, store=OTHER),)}, "key password"),
    (SECRET, {"keys": (KEY, msgspec.structs.replace(KEY, secret_key="user"))}, "key user"),
    (SECRET, {"keys": (KEY, msgspec.structs.replace(KEY, secret_key=""))}, "extract"),
    (SEALED, {"scope": "cluster-wide"}, "scope"),
    (SEALED, {"sealed": (SealedItem(name="a"),)}, "items"),
    (SEALED, {"template_items": ("c",)}, "template items"),
    (CLASS, {"provider": "aws"}, "provider"),
    (CLASS, {"objects": ("a",)}, "objects"),
    (CLASS, {"secret_names": ()}, "secret names"),
]


@pytest.mark.parametrize(("facts", "changed"), SAME)
def test_what_means_the_same_has_one_spec(facts: Facts, changed: dict[str, Any]) -> None:
    other = msgspec.structs.replace(facts, **changed)
    assert drift.spec_of(facts) == drift.spec_of(other)
    assert drift.spec_hash(drift.spec_of(facts)) == drift.spec_hash(drift.spec_of(other))


@pytest.mark.parametrize(("facts", "changed", "field"), DIFFERENT)
def test_each_field_that_differs_is_named(facts: Facts, changed: dict[str, Any], field: str) -> None:
    one, two = drift.spec_of(facts), drift.spec_of(msgspec.structs.replace(facts, **changed))
    found = drift.differences({"a": one, "b": two, "c": one})
    assert list(found) == [field]
    assert list(found[field].values()) == [("a", "c"), ("b",)]
    assert drift.spec_hash(one) != drift.spec_hash(two)


def test_templates_under_two_keys_are_not_compared() -> None:
    one, two = (drift.spec_of(msgspec.structs.replace(SECRET, template_tag=tag)) for tag in ("k1.aa", "k2.bb"))
    assert drift.differences({"a": one, "b": two}) == {}


def test_a_store_that_tells_nothing_differs_from_nothing() -> None:
    vault, moved = StoreFacts(provider="vault", path="https://a/kv"), StoreFacts(provider="vault", path="https://b/kv")
    specs = {"a": drift.store_spec([vault]), "b": drift.store_spec([]), "c": drift.store_spec([vault])}
    assert drift.differences(specs) == {}
    specs["d"] = drift.store_spec([moved])
    assert drift.differences(specs) == {
        "path of the store": {"https://a/kv": ("a", "c"), "https://b/kv": ("d",)},
    }
    assert drift.store_spec([StoreFacts(provider="oracle", source="ab" * 16)])["path of the store"] == "source abababab"


def test_other_kinds_have_no_spec_to_compare() -> None:
    assert drift.spec_of(StoreFacts(provider="vault")) == {}


VALUES: list[tuple[dict[str, str], Values]] = [
    ({"a": "sha3.k1.x", "b": "sha3.k1.x"}, Values.EQUAL),
    ({"a": "sha3.k1.x", "b": "sha3.k1.y"}, Values.DIFFER),
    ({"a": "sha3.k1.x", "b": "sha3.k1.y", "c": ""}, Values.DIFFER),
    ({"a": "sha3.k1.x", "b": "sha3.k1.x", "c": ""}, Values.UNKNOWN),
    ({"a": "sha3.k1.x", "b": "md5.k1.y"}, Values.UNKNOWN),
    ({"a": "sha3.k1.x", "b": "sha3.k2.y"}, Values.UNKNOWN),
    ({"a": "sha3.k1.x", "b": "md5.k1.x", "c": "md5.k1.z"}, Values.DIFFER),
    ({"a": "", "b": ""}, Values.UNKNOWN),
    ({"a": "sha3.k1.x"}, Values.UNKNOWN),
    ({}, Values.UNKNOWN),
]


@pytest.mark.parametrize(("tags", "verdict"), VALUES)
def test_values(tags: dict[str, str], verdict: Values) -> None:
    assert drift.value_drift(tags).verdict is verdict


tags = st.sampled_from(
    ["", *(f"{algorithm}.{key}.{value}" for algorithm in ("md5", "sha3") for key in "12" for value in "xy")]
)


@given(st.dictionaries(st.text(min_size=1, max_size=3), tags, max_size=8))
def test_no_value_is_called_equal_that_is_not_known_to_be(found: dict[str, str]) -> None:
    said = drift.value_drift(found)
    if said.verdict is Values.EQUAL:
        assert len(found) > 1
        assert set(found.values()) == {next(iter(found.values()))} - {""}
    assert drift.value_drift(dict(reversed(found.items()))).verdict is said.verdict
    assert {name for _, names in said.groups for name in names} | set(said.unknown) == set(found)


def test_clusters_that_must_differ_and_share_a_value() -> None:
    values = drift.value_drift(
        {"eu": "sha3.k.x", "us": "sha3.k.x", "stg": "sha3.k.x", "dev": "sha3.k.y", "old": "sha3.k.x"}
    )
    stages = {"eu": "prod", "us": "prod", "stg": "staging", "dev": "dev"}
    assert drift.shared_values(values, stages) == (("eu", "us", "stg"),)
    assert drift.shared_values(values, {"eu": "prod", "us": "prod"}) == ()
    assert drift.shared_values(drift.value_drift({"eu": "", "stg": ""}), stages) == ()


def test_versions_are_compared_where_the_source_is_one() -> None:
    mounted = {
        "a": {"db": ["2"], "api": ["1"]},
        "b": {"db": ["1", "2"], "api": ["1"]},
        "c": {"db": ["1"]},
        "d": {"db": ["9"]},
    }
    sources = {"a": "s", "b": "s", "c": "s", "d": ""}
    (found,) = drift.version_drift(mounted, sources)
    assert found.object_id == "db"
    assert found.versions == {"a": ("2",), "b": ("1", "2"), "c": ("1",)}
    assert drift.version_drift(mounted, dict.fromkeys(mounted, "")) == ()
    assert drift.version_drift(mounted, {name: name for name in mounted}) == ()


@pytest.mark.parametrize("kind", ["ExternalSecret", "SealedSecret", "SecretProviderClass"])
@given(data=st.data())
def test_the_spec_does_not_depend_on_what_the_controller_reports(kind: str, data: st.DataObject) -> None:
    """What a page leaves out when it loads the facts of thousands of objects."""
    facts = data.draw(rule_strategies.FACTS[kind])
    kept = {name: value for name, value in facts_to_json(facts).items() if name not in STATUS}
    assert drift.spec_of(facts_from_json(kind, kept)) == drift.spec_of(facts)


COMPARED = {
    RefreshedFacts: "interval policy store stores target creation_policy deletion_policy immutable sync_windows keys "
    "template_tag",
    SealedSecretFacts: "scope template_scope sealed template_items shares_target target",
    ClassFacts: "provider source objects secret_names",
}


@pytest.mark.parametrize("facts_type", COMPARED)
def test_every_fact_is_either_compared_or_left_out_when_loading(facts_type: type[Facts]) -> None:
    """A new fact that each cluster has its own of belongs to STATUS, or no two clusters are one line any more."""
    names = {field.name for field in msgspec.structs.fields(facts_type)}
    assert names - set(STATUS) == set(COMPARED[facts_type].split())


TARGET = ResourceKey("Secret", "shop", "db")
places = st.builds(
    StoreFacts,
    provider=st.sampled_from(["vault", "aws"]),
    path=st.sampled_from(["", "a", "b"]),
    source=st.sampled_from(["", "ab" * 16]),
)
related_facts = st.fixed_dictionaries(
    {VAULT: places, TARGET: rule_strategies.FACTS["Secret"]}, optional={OTHER: places}
)
NEAR = {kind: rule_strategies.FACTS[kind] for kind in ("SealedSecret", "SecretProviderClass")}
NEAR["ExternalSecret"] = rule_strategies.FACTS["ExternalSecret"].flatmap(
    lambda facts: st.sampled_from([(VAULT,), (VAULT, OTHER), ()]).map(
        lambda stores: msgspec.structs.replace(facts, stores=stores)
    )
)


@pytest.mark.parametrize("kind", sorted(NEAR))
@given(data=st.data())
def test_where_digests_are_equal_nothing_differs(kind: str, data: st.DataObject) -> None:
    """A list loads only objects whose digests differ. The second is mostly the first with a field or two of another."""
    one = data.draw(NEAR[kind])
    drawn = data.draw(NEAR[kind])
    changed = data.draw(st.sets(st.sampled_from(one.__struct_fields__), max_size=2))
    two = msgspec.structs.replace(one, **{name: getattr(drawn, name) for name in changed})
    related, others = data.draw(related_facts), data.draw(related_facts)
    kept = data.draw(st.sets(st.sampled_from([VAULT, OTHER, TARGET])))
    beside = {key: facts for key, facts in related.items() if key in kept}
    beside |= {key: facts for key, facts in others.items() if key not in kept}
    found = [(one, related), (two, beside)]
    if drift.digest(*found[0]) == drift.digest(*found[1]):
        specs = {place: compared(*subject) for place, subject in enumerate(found)}
        assert drift.differences(specs) == {}
        values = drift.value_drift({place: tag_of(seen) for place, (_, seen) in enumerate(found)})
        assert values.verdict is not Values.DIFFER or kind != "ExternalSecret"


def compared(facts: Facts, beside: dict[ResourceKey, Facts]) -> drift.Spec:
    if not isinstance(facts, RefreshedFacts):
        return drift.spec_of(facts)
    stores = [beside[store] for store in facts.stores if store in beside]
    return {**drift.spec_of(facts), **drift.store_spec(store for store in stores if isinstance(store, StoreFacts))}


def tag_of(beside: dict[ResourceKey, Facts]) -> str:
    return next((facts.data_tag for facts in beside.values() if isinstance(facts, SecretFacts)), "")


def test_values_conflict_only_where_they_need_not_differ() -> None:
    tags = {"eu": "sha3.k.x", "us": "sha3.k.x", "stg": "sha3.k.y", "dev": ""}
    stages = {"eu": "prod", "us": "prod", "stg": "staging", "dev": "dev"}

    def conflicts(labels: dict[str, str], **changed: str) -> list[list[tuple[str, ...]]]:
        found = drift.value_conflicts({**tags, **changed}, labels)
        return [[clusters for _, clusters in values.groups] for values in found]

    assert conflicts({}) == [[("eu", "us"), ("stg",)]]
    assert conflicts(stages) == []
    assert conflicts(stages, us="sha3.k.z") == [[("eu",), ("us",)]]
    assert conflicts({**stages, "dev": ""}, dev="sha3.k.y") == [[("eu", "us"), ("dev",)]]
    assert conflicts(stages, us="md5.k.z") == []
