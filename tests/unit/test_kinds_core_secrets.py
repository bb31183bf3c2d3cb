"""Secrets, as metadata: who owns them, who wrote which keys, and no value, which metadata can hold as well."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.facts import DataWriter, SecretFacts
from clusters.kinds import BY_NAME
from clusters.tagging import Tag, comparable, no_tag, tagger

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
HASH = "reconcile.external-secrets.io/data-hash"


def secret(tag: Tag = no_tag, **metadata: Any) -> SecretFacts:
    whole = {"name": "db", "namespace": "shop", **metadata}
    document = {"metadata": whole, "data": {"password": "CANARY"}, "stringData": {"password": "CANARY"}}
    observation = BY_NAME["Secret"].observing(tag)(json.dumps(document).encode())
    assert observation is not None
    assert "CANARY" not in str(observation)
    assert isinstance(observation.facts, SecretFacts)
    return observation.facts


@pytest.mark.parametrize("name", [APPLIED, "kubecfg.ksonnet.io/last-applied-configuration"])
def test_values_that_kubectl_left_in_an_annotation_are_told_of_and_not_kept(name: str) -> None:
    assert secret(annotations={name: '{"stringData": {"password": "CANARY"}}'}).last_applied
    assert not secret(annotations={"note": "CANARY"}, labels={"note": "CANARY"}).last_applied


@pytest.mark.parametrize(
    ("labels", "annotations", "by"),
    [
        ({"reconcile.external-secrets.io/managed": "true"}, {}, "external-secrets"),
        ({"reconcile.external-secrets.io/managed": "false"}, {}, ""),
        ({}, {HASH: "x"}, "external-secrets"),
        ({}, {"sealedsecrets.bitnami.com/managed": "true"}, "sealed-secrets"),
        ({}, {"sealedsecrets.bitnami.com/patch": "true"}, "sealed-secrets"),
        ({}, {"sealedsecrets.bitnami.com/managed": "no"}, ""),
        ({"secrets-store.csi.k8s.io/managed": "true"}, {}, "secrets-store-csi"),
        (None, None, ""),
    ],
    ids=str,
)
def test_a_secret_bears_the_mark_of_its_controller(labels: Any, annotations: Any, by: str) -> None:
    assert secret(labels=labels, annotations=annotations).managed_by == by


@pytest.mark.parametrize(
    ("digest", "empty"),
    [
        ("74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b", True),
        ("97a15070f5f8c3bfe47678c5409471f6", True),
        ("1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64", False),
        ("", False),
        (["97a15070f5f8c3bfe47678c5409471f6"], False),
        ("\u202e\x00", False),
    ],
    ids=str,
)
def test_external_secrets_hash_of_nothing_means_an_empty_secret(digest: Any, empty: bool) -> None:
    assert secret(annotations={HASH: digest}).empty == empty


SHA3 = "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64"
OTHER_SHA3 = "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b"
MD5 = "97a15070f5f8c3bfe47678c5409471f6"
TAG = tagger(b"k" * 32)


@pytest.mark.parametrize(("digest", "algorithm"), [(SHA3, "sha3"), (OTHER_SHA3, "sha3"), (MD5, "md5")])
def test_of_the_hash_of_the_data_a_tag_is_kept_and_its_algorithm(digest: str, algorithm: str) -> None:
    facts = secret(TAG, annotations={HASH: digest})

    assert facts.data_tag == f"{algorithm}.{TAG(digest)}"
    assert digest not in str(facts)


def test_tags_tell_equal_data_from_other_data_of_the_same_algorithm() -> None:
    tags = [secret(TAG, annotations={HASH: digest}).data_tag for digest in (SHA3, SHA3, OTHER_SHA3, MD5)]

    assert tags[0] == tags[1] != tags[2]
    assert comparable(tags[0], tags[2])
    assert not comparable(tags[0], tags[3])


def test_without_a_key_nothing_is_kept_of_the_hash() -> None:
    facts = secret(annotations={HASH: SHA3})

    assert facts.data_tag == ""
    assert SHA3 not in str(facts)
    assert facts.managed_by == "external-secrets"


@pytest.mark.parametrize(
    "digest",
    ["", "CANARY", SHA3[:-1], SHA3 + "0", SHA3.upper(), "g" * 32, " " * 56, [MD5], {"a": SHA3}, None, "\n" + MD5[1:]],
    ids=str,
)
def test_what_is_no_hash_has_no_tag(digest: Any) -> None:
    assert secret(TAG, annotations={HASH: digest}).data_tag == ""


def test_the_owner_is_the_one_that_controls_or_the_first() -> None:
    pods = [{"kind": "ReplicaSet", "name": "a", "uid": "1"}, {"kind": "ReplicaSet", "name": "b", "uid": "2"}]
    sealed = {"kind": "SealedSecret", "name": "db", "uid": "3", "controller": True}

    assert (secret(ownerReferences=pods).owner, secret(ownerReferences=pods).owner_uid) == ("a", "1")
    assert secret(ownerReferences=[*pods, sealed]).owner_kind == "SealedSecret"
    assert secret().owner == ""


def test_a_writer_is_who_owns_keys_of_the_data() -> None:
    fields = [
        {
            "manager": "controller",
            "time": "2026-11-24T04:00:00Z",
            "fieldsV1": {"f:data": {".": {}, "f:user": {}, "f:password": {}}, "f:metadata": {"f:labels": {}}},
        },
        {"manager": "kubectl-label", "time": "2026-11-24T05:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
        {"manager": "kubectl-edit", "fieldsV1": {"f:data": {"f:password": "CANARY"}}},
    ]

    assert secret(managedFields=fields).writers == (
        DataWriter(manager="controller", at=datetime(2026, 11, 24, 4, tzinfo=UTC), keys=("user", "password")),
        DataWriter(manager="kubectl-edit", keys=("password",)),
    )


def test_secrets_of_helm_and_tokens_are_not_asked_for() -> None:
    watched = BY_NAME["Secret"]

    [selector] = watched.selectors
    assert selector == {"fieldSelector": "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"}
    assert watched.list_kind == "PartialObjectMetadataList"
