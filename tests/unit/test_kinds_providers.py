"""What addresses a store's provider: equal for equal places, and never with anything that authenticates."""

import json
from typing import Any

import pytest

from clusters.facts import StoreFacts
from clusters.kinds import BY_NAME

VAULT = {"server": "https://vault.example.com", "path": "kv", "auth": {"token": "CANARY-t"}}
AWS = {"service": "SecretsManager", "region": "eu-central-1", "auth": {"secretRef": {"x": "CANARY-t"}}}
ROLE = "arn:aws:iam::123456789012:role/CANARY-reader"


def store(provider: Any) -> StoreFacts:
    document = {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"provider": provider}}
    observation = BY_NAME["SecretStore"].observe(json.dumps(document).encode())
    assert observation is not None
    assert isinstance(observation.facts, StoreFacts)
    assert observation.facts.problem == ""
    assert "CANARY" not in str(observation)
    return observation.facts


SAME: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("vault", VAULT, {**VAULT, "server": "https://Vault.Example.com:443/", "path": "/kv/", "auth": {"ldap": {}}}),
    ("vault", VAULT, {**VAULT, "namespace": ""}),
    ("aws", {**AWS, "role": ROLE}, {**AWS, "role": ROLE, "auth": {"jwt": {}}, "sessionTags": [{"key": "a"}]}),
    ("aws", {**AWS, "role": ROLE}, {**AWS, "role": "arn:aws:iam::123456789012:role/path/other"}),
    ("gcpsm", {"projectID": "shop"}, {"projectID": "shop", "auth": {"workloadIdentity": {"clusterName": "CANARY"}}}),
    ("azurekv", {"vaultUrl": "https://kv.vault.azure.net/"}, {"vaultUrl": "https://KV.vault.azure.net"}),
    ("gitlab", {"projectID": "7"}, {"projectID": "7", "url": "https://gitlab.com/"}),
    ("infisical", {"secretsScope": {"projectSlug": "a", "environmentSlug": "b", "secretsPath": "/"}},
     {"hostAPI": "https://app.infisical.com/api", "secretsScope": {"projectSlug": "a", "environmentSlug": "b"}}),
    ("onepassword", {"connectHost": "https://op.example.com", "vaults": {"a": 1, "b": 2}},
     {"connectHost": "https://op.example.com/", "vaults": {"b": 1, "a": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "first", "second"), SAME, ids=str)
def test_stores_of_one_place_have_one_source(provider: str, first: Any, second: Any) -> None:
    sources = {store({provider: spec}).source for spec in (first, second)}

    assert len(sources) == 1
    assert len(sources.pop()) == 32


OTHERS: list[dict[str, Any]] = [
    {"vault": VAULT},
    {"vault": {**VAULT, "server": "https://other.example.com"}},
    {"vault": {**VAULT, "server": "https://vault.example.com:8200"}},
    {"vault": {**VAULT, "server": "https://vault.example.com/behind"}},
    {"vault": {**VAULT, "path": "kv2"}},
    {"vault": {**VAULT, "path": None}},
    {"vault": {**VAULT, "namespace": "team"}},
    {"aws": {**AWS, "role": ROLE, "service": "ParameterStore"}},
    {"aws": {**AWS, "role": ROLE, "region": "us-east-1"}},
    {"aws": {**AWS, "role": ROLE, "prefix": "prod/"}},
    {"aws": {**AWS, "role": ROLE}},
    {"aws": {**AWS, "role": ROLE.replace("1", "2")}},
    {"gcpsm": {"projectID": "shop"}},
    {"gcpsm": {"projectID": "shop", "location": "europe-west3"}},
    {"azurekv": {"vaultUrl": "https://kv.vault.azure.net"}},
    {"gitlab": {"projectID": "7"}},
    {"gitlab": {"projectID": "7", "environment": "prod"}},
    {"gitlab": {"projectID": "7", "url": "https://gitlab.example.com/git"}},
    {"doppler": {"project": "a", "config": "b"}},
    {"doppler": {"project": "b", "config": "a"}},
    {"infisical": {"secretsScope": {"projectSlug": "a", "environmentSlug": "b"}}},
    {"infisical": {"secretsScope": {"projectSlug": "a", "environmentSlug": "b", "secretsPath": "/c"}}},
    {"onepassword": {"connectHost": "https://op.example.com", "vaults": {"a": 1}}},
    {"onepassword": {"connectHost": "https://op.example.com", "vaults": {"b": 1}}},
    {"oracle": {"region": "eu-frankfurt-1", "vault": "ocid1.vault.a"}},
    {"oracle": {"region": "eu-frankfurt-1", "vault": "ocid1.vault.b"}},
    {"ibm": {"serviceUrl": "https://a.eu-de.secrets-manager.appdomain.cloud"}},
    {"akeyless": {"akeylessGWApiURL": "https://gateway.example.com:8080/v2"}},
]


def test_stores_of_different_places_have_different_sources() -> None:
    sources = [store(provider).source for provider in OTHERS]

    assert "" not in sources
    assert len(set(sources)) == len(OTHERS)


@pytest.mark.parametrize(
    "provider",
    [
        None,
        {},
        {"fake": {"data": [{"key": "a", "value": "CANARY"}]}},
        {"kubernetes": {"server": {"url": "https://CANARY"}, "remoteNamespace": "CANARY"}},
        {"webhook": {"url": "https://CANARY"}},
        {"unknown": {"server": "https://CANARY", "region": "CANARY"}},
        {"vault": None},
        {"vault": "CANARY"},
        {"vault": {"server": 7}},
        {"vault": {"path": "kv"}},
        {"vault": {"server": "https://root:CANARY@vault.example.com"}},
        {"vault": {"server": "https://vault.example.com?token=CANARY"}},
        {"vault": {"server": "file:///CANARY"}},
        # One address, and in every cluster another server.
        {"vault": {"server": "http://vault:8200"}},
        {"vault": {"server": "http://vault.vault.svc:8200"}},
        {"vault": {"server": "http://vault.vault.svc.cluster.local.:8200"}},
        {"vault": {"server": "http://127.0.0.1:8200"}},
        {"vault": {"server": "http://[::1]:8200"}},
        {"onepassword": {"connectHost": "http://onepassword-connect:8080", "vaults": {"a": 1}}},
        {"aws": {"service": "SecretsManager"}},
        {"aws": AWS},  # nobody tells of which account
        {"aws": {"region": "eu-central-1"}},
        {"aws": {**AWS, "role": ["CANARY"]}},
        {"gcpsm": {}},
        {"gitlab": {"environment": "prod"}},
        {"doppler": {"project": "a"}},
        {"infisical": {"secretsScope": {"projectSlug": "a"}}},
        {"infisical": {}},
        {"onepassword": {"vaults": {"a": 1}}},
        {"oracle": {"region": "eu-frankfurt-1"}},
        {"akeyless": {}},
        # Every account of theirs is behind this one.
        {"akeyless": {"akeylessGWApiURL": "https://api.akeyless.io"}},
    ],
    ids=str,
)
def test_where_nothing_tells_the_place_there_is_no_source(provider: Any) -> None:
    assert store(provider).source == ""


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ({"vault": VAULT}, "https://vault.example.com/kv"),
        ({"vault": {"server": "https://vault.example.com:8200/"}}, "https://vault.example.com:8200"),
        ({"vault": {"server": "http://vault:8200", "path": "team/kv/"}}, "http://vault:8200/team/kv"),
        ({"vault": {**VAULT, "server": "https://root:CANARY@vault.example.com"}}, ""),
        ({"aws": {**AWS, "role": ROLE}}, "SecretsManager eu-central-1"),
        ({"aws": {"region": "eu-central-1"}}, "eu-central-1"),
        ({"gcpsm": {"projectID": "shop"}}, "shop"),
        ({"azurekv": {"vaultUrl": "https://kv.vault.azure.net/"}}, "kv.vault.azure.net"),
        ({"azurekv": {"vaultUrl": "https://a:CANARY@kv.vault.azure.net/"}}, ""),
        ({"gcpsm": {"projectID": "\u202eshop\x00"}}, "shop"),
        ({"gcpsm": {"projectID": "x" * 1_000}}, "x" * 252 + "…"),
        ({"doppler": {"project": "a", "config": "b"}}, ""),
        ({"fake": {"path": "CANARY"}}, ""),
    ],
    ids=str,
)
def test_a_place_is_shown_where_it_is_public(provider: Any, path: str) -> None:
    assert store(provider).path == path
