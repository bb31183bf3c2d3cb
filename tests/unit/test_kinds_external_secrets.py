"""External Secrets: what each field of a resource becomes."""

import json
from typing import Any

import pytest

from clusters.facts import (
    FailedNamespace,
    ParentFacts,
    Reference,
    RefreshedFacts,
    Relation,
    ResourceKey,
    StoreFacts,
    SyncWindow,
)
from clusters.kinds import BY_NAME
from clusters.observations import Observation


def observe(kind: str, spec: Any = None, status: Any = None, **metadata: Any) -> Observation:
    document = {"metadata": {"name": "db", "namespace": "shop", **metadata}, "spec": spec, "status": status}
    observation = BY_NAME[kind].observe(json.dumps(document).encode())
    assert observation is not None
    assert observation.facts.problem == ""
    return observation


def refreshed(spec: Any = None, status: Any = None, **metadata: Any) -> RefreshedFacts:
    facts = observe("ExternalSecret", spec, status, **metadata).facts
    assert isinstance(facts, RefreshedFacts)
    return facts


def targets(observation: Observation, relation: Relation) -> list[ResourceKey]:
    return [reference.target for reference in observation.references if reference.relation == relation]


def test_every_store_that_is_read_is_a_reference_and_generators_are_none() -> None:
    observation = observe(
        "ExternalSecret",
        {
            "secretStoreRef": {"name": "first"},
            "data": [
                {"sourceRef": {"storeRef": {"name": "vault", "kind": "ClusterSecretStore"}}},
                {"sourceRef": {"storeRef": {"name": "first", "kind": "SecretStore"}}},
            ],
            "dataFrom": [
                {"sourceRef": {"generatorRef": {"kind": "Password", "name": "random"}}},
                {"sourceRef": {"storeRef": {"name": "third", "kind": ""}}},
            ],
        },
    )

    stores = [
        ResourceKey("SecretStore", "shop", "first"),
        ResourceKey("ClusterSecretStore", "", "vault"),
        ResourceKey("SecretStore", "shop", "third"),
    ]
    assert targets(observation, Relation.STORE) == stores
    assert isinstance(observation.facts, RefreshedFacts)
    assert observation.facts.stores == tuple(stores)
    assert observation.facts.store == "SecretStore first"


def test_a_resource_that_only_generates_has_no_store() -> None:
    facts = refreshed({"dataFrom": [{"sourceRef": {"generatorRef": {"kind": "Password", "name": "random"}}}]})

    assert (facts.store, facts.stores) == ("", ())


@pytest.mark.parametrize(
    ("target", "secret"),
    [
        (None, "db"),
        ({}, "db"),
        ({"name": "shared"}, "shared"),
        ({"name": "shared", "creationPolicy": "None"}, ""),
        ({"name": "app-config", "manifest": {"kind": "ConfigMap"}}, ""),
    ],
)
def test_the_target_is_a_secret_unless_none_is_written(target: Any, secret: str) -> None:
    observation = observe("ExternalSecret", {"target": target})

    assert isinstance(observation.facts, RefreshedFacts)
    assert observation.facts.target == secret
    wanted = [ResourceKey("Secret", "shop", secret)] if secret else []
    assert targets(observation, Relation.TARGET) == wanted


def test_the_parent_is_found_by_kind_and_group_whatever_the_version() -> None:
    owners = [
        {"kind": "ClusterExternalSecret", "name": "everywhere", "apiVersion": "external-secrets.io/v1beta1"},
        {"kind": "ClusterExternalSecret", "name": "foreign", "apiVersion": "example.com/v1"},
        {"kind": "Deployment", "name": "shop", "apiVersion": "apps/v1"},
    ]
    observation = observe("ExternalSecret", ownerReferences=owners)

    assert targets(observation, Relation.PARENT) == [ResourceKey("ClusterExternalSecret", "", "everywhere")]


def test_sync_windows_are_flattened() -> None:
    windows = {"kind": "deny", "windows": [{"schedule": "0 3 * * *", "duration": "4h"}, {"schedule": "@daily"}]}

    assert refreshed({"syncWindows": windows}).sync_windows == (
        SyncWindow(kind="deny", schedule="0 3 * * *", duration="4h"),
        SyncWindow(kind="deny", schedule="@daily"),
    )


@pytest.mark.parametrize(
    ("given", "problem"), [(50, ""), (1_000, "Of its 1000 sync windows only the first 50 are judged.")]
)
def test_of_very_many_sync_windows_the_first_are_kept_and_the_rest_is_told(given: int, problem: str) -> None:
    windows = {"kind": "deny", "windows": [{"schedule": "CANARY", "duration": "1m"}] * given}
    document = {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"syncWindows": windows}}
    observation = BY_NAME["ExternalSecret"].observe(json.dumps(document).encode())

    assert observation is not None
    assert isinstance(observation.facts, RefreshedFacts)
    assert (len(observation.facts.sync_windows), observation.facts.problem) == (50, problem)


# Vectors of the formula, computed by the controller: empty metadata under 2.9.0 and under 0.16.1 (MD5).
SHA3_OF_NOTHING = "f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2"
MD5_OF_NOTHING = "2f2c636d06132f67992c15a1daeb0a5f"


@pytest.mark.parametrize(
    ("synced", "expected"),
    [
        (f"3-{SHA3_OF_NOTHING}", f"4-{SHA3_OF_NOTHING}"),
        (f"3-{MD5_OF_NOTHING}", f"4-{MD5_OF_NOTHING}"),
        ("", ""),
        (None, ""),
        ("3-short", ""),
    ],
)
def test_the_expected_version_follows_the_algorithm_that_is_in_use(synced: str | None, expected: str) -> None:
    assert refreshed(status={"syncedResourceVersion": synced}, generation=4).expected_version == expected


def test_labels_and_annotations_change_the_expected_version_and_are_not_kept() -> None:
    status = {"syncedResourceVersion": f"1-{SHA3_OF_NOTHING}"}
    plain = refreshed(status=status, generation=1)
    labelled = refreshed(status=status, generation=1, labels={"b": "2", "a": "1"}, annotations={"note": "CANARY-note"})
    reordered = refreshed(status=status, generation=1, labels={"a": "1", "b": "2"}, annotations={"note": "CANARY-note"})

    assert plain.expected_version == f"1-{SHA3_OF_NOTHING}"
    assert labelled.expected_version not in ("", plain.expected_version)
    assert labelled.expected_version == reordered.expected_version
    assert "CANARY" not in str(labelled)


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        ({"f:spec": {"f:data": {}}}, True),
        ({"f:metadata": {"f:labels": {}}}, True),
        ({"f:metadata": {"f:annotations": {}}}, True),
        ({"f:metadata": {"f:finalizers": {}}}, False),
        ({"f:status": {"f:conditions": {}}}, False),
    ],
    ids=str,
)
def test_only_writes_of_spec_labels_and_annotations_count_as_written(content: Any, counts: bool) -> None:
    entry = {"manager": "kubectl", "time": "2026-11-24T04:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": content}

    assert (refreshed(managedFields=[entry]).spec_written_at is not None) == counts


def test_the_newest_writer_of_the_spec_is_named() -> None:
    spec: dict[str, Any] = {"f:spec": {"f:data": {}}}
    fields = [
        {"manager": "argocd\u202e", "time": "2026-11-24T05:00:00Z", "fieldsV1": spec},
        {"manager": "kubectl", "time": "2026-11-24T04:00:00Z", "fieldsV1": spec},
        {"manager": "untimed", "fieldsV1": spec},
        {"manager": "external-secrets", "time": "2026-11-24T06:00:00Z", "fieldsV1": {"f:status": {}}},
    ]
    found = [observe(kind, managedFields=fields).facts for kind in ("ExternalSecret", "PushSecret", "SecretStore")]

    for facts in found:
        assert isinstance(facts, RefreshedFacts | StoreFacts)
        assert facts.spec_written_at is not None
        assert (facts.spec_written_at.hour, facts.spec_written_by) == (5, "argocd")


def test_a_writer_without_a_time_is_not_known() -> None:
    facts = refreshed(managedFields=[{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}])

    assert (facts.spec_written_at, facts.spec_written_by) == (None, "")


@pytest.mark.parametrize(
    ("provider", "name", "server"),
    [
        ({"vault": {"server": "https://vault.example.com:8200"}}, "vault", "https://vault.example.com:8200"),
        ({"vault": {"server": "http://vault.vault/v1/"}}, "vault", "http://vault.vault"),
        ({"vault": {"server": "https://[fd00::1]:8200"}}, "vault", "https://[fd00::1]:8200"),
        ({"vault": {"server": "https://root:CANARY-pw@vault.example.com"}}, "vault", ""),
        ({"vault": {"server": "https://vault.example.com?token=CANARY-t"}}, "vault", ""),
        ({"vault": {"server": "CANARY-no-url"}}, "vault", ""),
        ({"vault": {"server": 7}}, "vault", ""),
        ({"vault": "CANARY-odd"}, "vault", ""),
        ({"fake": {"data": [{"key": "prod/db", "value": "CANARY-value"}]}}, "fake", ""),
        ({"webhook": {"url": "https://CANARY-hook", "secrets": [1]}}, "webhook", ""),
        ({}, "", ""),
        (None, "", ""),
    ],
    ids=str,
)
def test_of_a_provider_only_its_type_and_a_plain_vault_address_are_kept(provider: Any, name: str, server: str) -> None:
    facts = observe("SecretStore", {"provider": provider}).facts

    assert isinstance(facts, StoreFacts)
    assert (facts.provider, facts.server) == (name, server)
    assert "CANARY" not in str(facts)


def test_a_push_secret_names_its_stores_and_its_source() -> None:
    observation = observe(
        "PushSecret",
        {
            "secretStoreRefs": [{"name": "vault", "kind": "ClusterSecretStore"}, {"labelSelector": {"a": "b"}}],
            "selector": {"secret": {"name": "source"}},
            "refreshInterval": "10m",
        },
        ownerReferences=[{"kind": "ClusterPushSecret", "name": "all", "apiVersion": "external-secrets.io/v1alpha1"}],
    )

    assert observation.references == (
        Reference(Relation.STORE, ResourceKey("ClusterSecretStore", "", "vault")),
        Reference(Relation.SOURCE, ResourceKey("Secret", "shop", "source")),
        Reference(Relation.PARENT, ResourceKey("ClusterPushSecret", "", "all")),
    )


def test_a_parent_names_its_child_and_its_failing_namespaces() -> None:
    facts = observe(
        "ClusterExternalSecret",
        {"refreshTime": "5m", "externalSecretName": "db"},
        {
            "failedNamespaces": [{"namespace": "a", "reason": "already exists"}, {"namespace": "b"}],
            "provisionedNamespaces": ["c", "d"],
            "conditions": [{"type": "Ready", "status": "False", "message": "one or more namespaces failed"}],
        },
    ).facts

    assert facts == ParentFacts(
        ready=False,
        message="one or more namespaces failed",
        child_name="db",
        failed_namespaces=(FailedNamespace(namespace="a", reason="already exists"), FailedNamespace(namespace="b")),
        provisioned=2,
        interval="5m",
    )


WRITERS = [
    {"apiVersion": "external-secrets.io/v1", "manager": "argocd", "fieldsV1": {"f:spec": {"f:data": {}}}},
    {"apiVersion": "external-secrets.io/v1beta1", "manager": "kubectl", "fieldsV1": {"f:spec": {"f:target": {}}}},
    {"apiVersion": "external-secrets.io/v1alpha1", "manager": "x", "fieldsV1": {"f:status": {}}},
]


@pytest.mark.parametrize("kind", ["ExternalSecret", "SecretStore", "ClusterSecretStore"])
@pytest.mark.parametrize(
    ("read_as", "writers", "written"),
    [
        ("external-secrets.io/v1", WRITERS, "v1beta1"),
        (None, WRITERS, "v1beta1"),
        ("external-secrets.io/v1beta1", WRITERS, ""),
        ("external-secrets.io/v1", WRITERS[:1], ""),
        ("external-secrets.io/v1", [{**WRITERS[1], "apiVersion": "external-secrets.io/v0"}], ""),
        ("external-secrets.io/v1", [], ""),
        ("external-secrets.io/v1", None, ""),
    ],
    ids=str,
)
def test_an_old_version_that_is_still_written_is_told_where_a_newer_is_served(
    kind: str, read_as: str | None, writers: Any, written: str
) -> None:
    metadata = {"name": "db", "namespace": "shop", "managedFields": writers}
    observation = BY_NAME[kind].observe(json.dumps({"apiVersion": read_as, "metadata": metadata, "spec": {}}).encode())

    assert observation is not None
    assert isinstance(observation.facts, RefreshedFacts | StoreFacts)
    assert observation.facts.written_api == written


@pytest.mark.parametrize(
    ("sources", "finds_all"),
    [
        ([{"find": {}}], True),
        ([{"find": {"name": {"regexp": ".*"}}}], True),
        ([{"find": {"name": {}}, "sourceRef": {"storeRef": {"name": "vault"}}}], True),
        ([{"find": {"name": {"regexp": "^shop-"}}}], False),
        ([{"find": {"path": "shop/"}}], False),
        ([{"find": {"tags": {"team": "shop"}}}], False),
        ([{"extract": {"key": "db"}}], False),
        ([{"find": {"path": "shop/"}}, {"find": {"conversionStrategy": "Default"}}], True),
        (None, False),
    ],
    ids=str,
)
def test_a_search_that_nothing_narrows_finds_all(sources: Any, finds_all: bool) -> None:
    assert refreshed({"dataFrom": sources}).finds_all == finds_all


def test_an_absent_condition_is_not_a_false_one() -> None:
    assert refreshed(status={"conditions": [{"type": "Deleted", "status": "False"}]}).ready is None
    assert refreshed(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}).ready is None
    assert refreshed(status={"conditions": [{"type": "Ready", "status": "False"}]}).ready is False


def test_invisible_characters_do_not_reach_a_message() -> None:
    message = "could not\x00 write \u202eevil\u202c\nand\tmore"
    facts = refreshed(status={"conditions": [{"type": "Ready", "status": "False", "message": message}]})

    assert facts.message == "could not write evil; and more"
