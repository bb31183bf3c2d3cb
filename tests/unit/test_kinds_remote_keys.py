"""External Secrets: what a resource reads at its provider, and what is kept of its template."""

import json
from typing import Any

import pytest
from msgspec import Raw

from clusters.facts import (
    RefreshedFacts,
    Relation,
    RemoteKey,
    ResourceKey,
    key_digest,
)
from clusters.kinds import BY_NAME
from clusters.kinds.templates import canonical
from clusters.observations import Observation
from clusters.tagging import no_tag, tagger
from tests.unit.test_kinds_external_secrets import observe, refreshed, targets

VAULT, OTHER = ResourceKey("ClusterSecretStore", "", "vault"), ResourceKey("SecretStore", "shop", "other")


def reading(*data: Any, **spec: Any) -> Observation:
    usual = {"name": "vault", "kind": "ClusterSecretStore"}
    return observe("ExternalSecret", {"secretStoreRef": usual, "data": list(data), **spec})


def keys(observation: Observation) -> tuple[RemoteKey, ...]:
    assert isinstance(observation.facts, RefreshedFacts)
    return observation.facts.keys


def test_every_entry_that_names_a_key_tells_what_it_reads_and_where() -> None:
    observation = reading(
        {"secretKey": "password", "remoteRef": {"key": "prod/db", "property": "password", "version": "v3"}},
        {"secretKey": "user", "remoteRef": {"key": "prod/db"}, "sourceRef": {"storeRef": {"name": "other"}}},
        dataFrom=[
            {"extract": {"key": "prod/mail", "property": "a.b", "version": "latest"}},
            {"find": {"name": {"regexp": "^shop-"}}},
            {"find": {"path": "shop"}, "extract": {"key": "hidden-by-the-search"}},
            {"sourceRef": {"generatorRef": {"kind": "Password", "name": "random"}}},
        ],
    )

    assert keys(observation) == (
        RemoteKey(store=VAULT, key="prod/db", property="password", version="v3", secret_key="password"),
        RemoteKey(store=OTHER, key="prod/db", secret_key="user"),
        RemoteKey(store=VAULT, key="prod/mail", property="a.b", version="latest"),
    )


def test_a_key_is_a_reference_beside_its_store() -> None:
    entry = {"remoteRef": {"key": "prod/db", "property": "password"}}
    observation = reading({**entry, "secretKey": "a"}, {**entry, "secretKey": "b"}, {"remoteRef": {"key": "prod/db"}})

    assert targets(observation, Relation.KEY) == [
        VAULT._replace(name=f"vault#{key_digest('prod/db', 'password')}"),
        VAULT._replace(name=f"vault#{key_digest('prod/db', '')}"),
    ]
    assert len(keys(observation)) == 3


def test_a_key_and_a_property_do_not_run_together() -> None:
    digests = {key_digest("a", "bc"), key_digest("ab", "c"), key_digest("abc", ""), key_digest("", "abc")}

    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({}, ("", "", "")),
        ({"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}, ("", "", "")),
        (
            {"conversionStrategy": "Unicode", "decodingStrategy": "Base64", "metadataPolicy": "Fetch"},
            ("Unicode", "Base64", "Fetch"),
        ),
        ({"conversionStrategy": None, "decodingStrategy": "Default", "metadataPolicy": ""}, ("", "Default", "")),
    ],
    ids=str,
)
def test_what_the_crd_would_fill_in_is_left_out(written: Any, kept: tuple[str, ...]) -> None:
    for observation in (
        reading({"remoteRef": {"key": "db", **written}}),
        reading(dataFrom=[{"extract": {"key": "db", **written}}]),
    ):
        [key] = keys(observation)
        assert (key.conversion, key.decoding, key.metadata_policy) == kept


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"secretKey": "a"},
        {"remoteRef": None},
        {"remoteRef": {}},
        {"remoteRef": {"key": "", "property": "a"}},
        {"remoteRef": {"key": "\u202e\x00"}},
        {"remoteRef": {"key": "db"}, "sourceRef": {"storeRef": {"name": "", "kind": "ClusterSecretStore"}}},
        {"remoteRef": {"key": "db"}, "sourceRef": {"storeRef": {"name": "a/b"}}},
    ],
    ids=str,
)
def test_an_entry_without_a_key_or_a_store_reads_nothing(entry: Any) -> None:
    assert keys(reading(entry)) == ()


def test_of_very_many_keys_the_first_hundred_are_kept() -> None:
    observation = reading(*({"remoteRef": {"key": f"db-{number}"}} for number in range(2_000)))

    assert [key.key for key in keys(observation)] == [f"db-{number}" for number in range(100)]
    assert len(targets(observation, Relation.KEY)) == 100
    assert targets(observation, Relation.TARGET) == [ResourceKey("Secret", "shop", "db")]


def test_odd_texts_of_a_key_are_cleaned_and_cut() -> None:
    [key] = keys(reading({"secretKey": "\u202ea", "remoteRef": {"key": "x" * 2_000, "property": "a\x00b"}}))

    assert (len(key.key), key.property, key.secret_key) == (512, "ab", "a")


def template_tag(template: Any, key: bytes = b"k" * 32) -> str:
    document = {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"target": {"template": template}}}
    observation = BY_NAME["ExternalSecret"].observing(tagger(key))(json.dumps(document).encode())
    assert observation is not None
    assert "CANARY" not in str(observation)
    assert isinstance(observation.facts, RefreshedFacts)
    return observation.facts.template_tag


def test_of_a_template_only_a_tag_is_kept() -> None:
    template = {"data": {"url": "postgres://app:CANARY@db"}, "type": "Opaque"}
    tag = template_tag(template)

    assert tag.partition(".")[0] == tagger(b"k" * 32)("").partition(".")[0]
    assert tag == template_tag({"type": "Opaque", "data": template["data"]})
    assert tag == template_tag({**template, "engineVersion": "v2", "mergePolicy": "Replace", "metadata": None})
    assert tag != template_tag({**template, "engineVersion": "v1"})
    assert tag != template_tag({**template, "data": {"url": "CANARY"}})
    assert tag.rpartition(".")[2] != template_tag(template, b"l" * 32).rpartition(".")[2]


@pytest.mark.parametrize("template", [None, "CANARY", ["CANARY"], 7], ids=str)
def test_what_is_no_template_has_no_tag(template: Any) -> None:
    assert template_tag(template) == ""


def test_without_a_key_nothing_is_kept_of_a_template() -> None:
    assert template_tag({"data": {"a": "CANARY"}}, b"") == ""
    assert refreshed({"target": {"template": {"data": {"a": "CANARY"}}}}).template_tag == ""


@pytest.mark.parametrize("odd", [b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b'{"a": "\xff"}', b'{"a":', b""], ids=len)
def test_a_template_that_cannot_be_decoded_has_no_tag(odd: bytes) -> None:
    assert canonical(Raw(odd)) == ""


def test_observing_without_tags_is_observing() -> None:
    document = {"metadata": {"name": "db"}, "spec": {"target": {"template": {"data": {"a": "b"}}}}}
    item = json.dumps(document).encode()

    for watched in BY_NAME.values():
        assert watched.observing(no_tag)(item) == watched.observe(item)
