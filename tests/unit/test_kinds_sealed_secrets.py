"""Sealed Secrets: scopes, items, keys and the ways to the certificate."""

import json
from typing import Any

import pytest

from clusters.kinds import BY_NAME
from clusters.kinds.base import METADATA_ONLY
from clusters.kinds.core_secrets import KEY_LABEL
from clusters.kinds.sealed_secrets import DEFAULT_CONTROLLER, certificate_paths
from clusters.observations import Relation, ResourceKey, SealedSecretFacts, SealingKeyFacts

CLUSTER_WIDE = "sealedsecrets.bitnami.com/cluster-wide"
NAMESPACE_WIDE = "sealedsecrets.bitnami.com/namespace-wide"


def sealed(annotations: Any = None, template: Any = None, **spec: Any) -> SealedSecretFacts:
    metadata = {"name": "db", "namespace": "shop", "annotations": annotations}
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


def test_items_are_names_only() -> None:
    facts = sealed(encryptedData={"username": "AgCANARY", "password": "AgCANARY", "<b>": {"odd": "CANARY"}})

    assert facts.items == ("<b>", "password", "username")
    assert "CANARY" not in str(facts)


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


def test_no_other_kind_reads_secrets() -> None:
    assert [watched.kind for watched in BY_NAME.values() if watched.plural == "secrets"] == ["SealingKey"]


def test_the_certificate_is_asked_for_with_the_ids_that_the_shipped_role_names() -> None:
    services = "/api/v1/namespaces/kube-system/services"

    assert certificate_paths(DEFAULT_CONTROLLER) == (
        f"{services}/http:sealed-secrets-controller:http/proxy/v1/cert.pem",
        f"{services}/http:sealed-secrets-controller:/proxy/v1/cert.pem",
        f"{services}/sealed-secrets-controller/proxy/v1/cert.pem",
    )
