"""Sealed Secrets: scopes, items, keys and the ways to the certificate."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from clusters.facts import Relation, ResourceKey, SealedSecretFacts, SealingKeyFacts
from clusters.kinds import BY_NAME
from clusters.kinds.base import METADATA_ONLY
from clusters.kinds.core_secrets import KEY_LABEL
from clusters.kinds.sealed_secrets import DEFAULT_CONTROLLER, certificate_paths

CLUSTER_WIDE = "sealedsecrets.bitnami.com/cluster-wide"
NAMESPACE_WIDE = "sealedsecrets.bitnami.com/namespace-wide"


def sealed(
    annotations: Any = None, template: Any = None, managed: list[Any] | None = None, **spec: Any
) -> SealedSecretFacts:
    metadata = {"name": "db", "namespace": "shop", "annotations": annotations, "managedFields": managed}
    document = {"metadata": metadata, "spec": {"template": template, **spec}}
    observation = BY_NAME["SealedSecret"].observe(json.dumps(document).encode())
    assert observation is not None
    assert isinstance(observation.facts, SealedSecretFacts)
    assert observation.references[0].relation == Relation.TARGET
    assert observation.references[0].target == ResourceKey("Secret", "shop", "db")
    return observation.facts


@pytest.mark.parametrize(
    ("annotations", "scope"),
    [
        (None, "strict"),
        ({}, "strict"),
        ({CLUSTER_WIDE: "true"}, "cluster-wide"),
        ({NAMESPACE_WIDE: "true"}, "namespace-wide"),
        ({CLUSTER_WIDE: "true", NAMESPACE_WIDE: "true"}, "cluster-wide"),
        ({CLUSTER_WIDE: "True"}, "strict"),
    ],
    ids=str,
)
def test_scope_and_template_scope_are_read_apart(annotations: Any, scope: str) -> None:
    assert sealed(annotations).scope == scope
    assert sealed(annotations).template_scope == "strict"
    assert sealed(template={"metadata": {"annotations": annotations}}).template_scope == scope
    assert sealed(template={"metadata": {"annotations": annotations}}).scope == "strict"


def test_of_an_item_stay_its_name_a_digest_and_the_size_of_the_key() -> None:
    facts = sealed(encryptedData={"username": "AgCANARY", "password": "AQCANARY", "<b>": {"odd": "CANARY"}, "": "x"})

    assert [(item.name, item.key_bits) for item in facts.sealed] == [("<b>", 0), ("password", 2048), ("username", 4096)]
    assert facts.sealed[2].digest == sha256(b"AgCANARY").hexdigest()[:32]
    assert facts.sealed[0].digest == ""
    assert "CANARY" not in str(facts)


@pytest.mark.parametrize("ciphertext", ["", "A", "!!!!", "AgC!", "=", "AAAA", "//8A", "Ag\n"], ids=repr)
def test_a_ciphertext_of_another_form_tells_no_key_size(ciphertext: str) -> None:
    assert sealed(encryptedData={"a": ciphertext}).sealed[0].key_bits == 0


def test_the_whole_secret_in_one_is_an_item_without_a_name() -> None:
    fields = [{"time": "2026-11-24T04:00:00Z", "fieldsV1": {"f:spec": {"f:data": {}}}}]
    [item] = sealed(data="AgCANARY", managed=fields).sealed

    assert (item.name, item.key_bits) == ("", 4096)
    assert item.written_at == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert sealed().sealed == ()


def test_an_item_was_written_when_a_manager_of_it_wrote_last_and_a_status_does_not_count() -> None:
    def owns(*items: str) -> dict[str, Any]:
        return {"f:spec": {"f:encryptedData": {f"f:{item}": {} for item in items} | {".": {}}}}

    fields = [
        {"manager": "kubectl", "time": "2026-11-24T04:00:00Z", "fieldsV1": owns("a", "b")},
        {"manager": "argocd", "time": "2026-11-24T05:00:00Z", "fieldsV1": owns("b")},
        {"manager": "argocd", "time": "2026-11-24T03:00:00Z", "fieldsV1": owns("b")},
        {"manager": "x", "time": "2026-11-24T06:00:00Z", "subresource": "status", "fieldsV1": owns("a", "b", "c")},
        {"manager": "untimed", "fieldsV1": owns("c")},
    ]
    items = sealed(encryptedData={"a": "AgA", "b": "AgB", "c": "AgC"}, managed=fields).sealed

    hours = [item.written_at.hour if item.written_at else None for item in items]
    assert hours == [4, 5, None]


def test_the_newest_writer_of_the_spec_is_named() -> None:
    spec: dict[str, Any] = {"f:spec": {"f:encryptedData": {"f:a": {}}}}
    fields = [
        {"manager": "kubectl", "time": "2026-11-24T04:00:00Z", "fieldsV1": spec},
        {"manager": "argocd", "time": "2026-11-24T05:00:00Z", "fieldsV1": spec},
        {"manager": "controller", "time": "2026-11-24T06:00:00Z", "fieldsV1": {"f:status": {}}},
    ]
    facts = sealed(managed=fields)

    assert (facts.spec_written_at, facts.spec_written_by) == (datetime(2026, 11, 24, 5, tzinfo=UTC), "argocd")


def test_a_template_tells_its_keys_and_nothing_of_their_text() -> None:
    facts = sealed(template={"data": {"b.yaml": "CANARY", "a.yaml": {"odd": "CANARY"}}})

    assert facts.template_items == ("a.yaml", "b.yaml")
    assert "CANARY" not in str(facts)


@pytest.mark.parametrize(
    ("annotations", "shares"),
    [
        (None, False),
        ({"sealedsecrets.bitnami.com/managed": "true"}, False),
        ({"sealedsecrets.bitnami.com/patch": "true"}, True),
        ({"sealedsecrets.bitnami.com/patch": "false"}, False),
        ({"sealedsecrets.bitnami.com/skip-set-owner-references": "true"}, True),
    ],
    ids=str,
)
def test_a_template_says_whether_the_secret_is_shared(annotations: Any, shares: bool) -> None:
    assert sealed(template={"metadata": {"annotations": annotations}}).shares_target == shares
    assert not sealed(annotations).shares_target


def test_the_target_is_named_as_the_sealed_secret_whatever_the_template_says() -> None:
    assert sealed(template={"metadata": {"name": "other", "namespace": "elsewhere"}}).target == "db"


def key(labels: Any, managers: list[str]) -> SealingKeyFacts | None:
    fields = [{"manager": manager, "operation": "Update"} for manager in managers]
    metadata = {
        "name": "sealed-secrets-keyab12c",
        "namespace": "kube-system",
        "labels": labels,
        "managedFields": fields,
    }
    observation = BY_NAME["SealingKey"].observe(json.dumps({"metadata": metadata, "data": {"tls.key": "x"}}).encode())
    assert observation is None or isinstance(observation.facts, SealingKeyFacts)
    return observation.facts if observation else None  # type: ignore[return-value]


def test_a_key_tells_its_state_and_who_made_it() -> None:
    assert key({KEY_LABEL: "active"}, ["controller"]) == SealingKeyFacts(state="active", manager="controller")
    assert key({KEY_LABEL: "compromised"}, []) == SealingKeyFacts(state="compromised")
    assert key({KEY_LABEL: "active"}, ["kubectl-client-side-apply", "controller"]) == SealingKeyFacts(
        state="active", manager="kubectl-client-side-apply"
    )


def test_a_secret_without_the_label_is_no_key() -> None:
    assert key({"app": "shop"}, []) is None
    assert key(None, []) is None


def test_keys_are_asked_for_as_metadata_and_nothing_else() -> None:
    watched = BY_NAME["SealingKey"]

    assert watched.accept == METADATA_ONLY == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert "," not in watched.accept
    assert watched.list_kind == "PartialObjectMetadataList"
    assert all(selector == {"labelSelector": KEY_LABEL} for selector in watched.selectors)


def test_secrets_are_read_by_these_kinds_only_and_as_metadata_only() -> None:
    secrets = [watched for watched in BY_NAME.values() if watched.plural == "secrets"]

    assert [watched.kind for watched in secrets] == ["SealingKey", "Secret"]
    assert {watched.accept for watched in secrets} == {METADATA_ONLY}
    assert all(watched.by_namespace for watched in secrets)


def test_the_certificate_is_asked_for_with_the_ids_that_the_shipped_role_names() -> None:
    services = "/api/v1/namespaces/kube-system/services"

    assert certificate_paths(DEFAULT_CONTROLLER) == (
        f"{services}/http:sealed-secrets-controller:http/proxy/v1/cert.pem",
        f"{services}/http:sealed-secrets-controller:/proxy/v1/cert.pem",
        f"{services}/sealed-secrets-controller/proxy/v1/cert.pem",
    )
