"""Secrets Store CSI: classes, mounts, drivers, and the DaemonSets and Deployments that run all of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.facts import (
    ClassFacts,
    DriverFacts,
    Facts,
    MountFacts,
    NodeFacts,
    Reference,
    Relation,
    ResourceKey,
    WorkloadFacts,
)
from clusters.kinds import BY_NAME
from clusters.observations import Observation


def observe(kind: str, document: dict[str, Any], **metadata: Any) -> Observation | None:
    whole = {**document, "metadata": {"name": "shop", "namespace": "web", **metadata}}
    return BY_NAME[kind].observe(json.dumps(whole).encode())


def facts_of(kind: str, document: dict[str, Any], **metadata: Any) -> Facts:
    observation = observe(kind, document, **metadata)
    assert observation is not None
    return observation.facts


AWS = '- objectName: "prod/db"\n  objectType: "secretsmanager"\n- objectName: arn:aws:x\n  objectAlias: mail\n'
AZURE = "array:\n  - |\n    objectName: db-password\n    objectType: secret\n  - |\n    objectName: key\n"
GCP = '- resourceName: "projects/p/secrets/db/versions/latest"\n  path: "db.txt"\n'
VAULT = "- secretPath: secret/CANARY\n  objectName: 'db'\n"


@pytest.mark.parametrize(
    ("parameters", "objects"),
    [
        ({"objects": AWS}, ("prod/db", "arn:aws:x")),
        ({"objects": AZURE, "tenantId": "CANARY"}, ("db-password", "key")),
        ({"secrets": GCP}, ("projects/p/secrets/db/versions/latest",)),
        ({"objects": VAULT, "vaultAddress": "CANARY"}, ("db",)),
        ({"objects": "&a [*a, *a]"}, ()),
        ({}, ()),
        (None, ()),
    ],
    ids=str,
)
def test_of_the_parameters_only_the_names_that_are_asked_for_are_kept(parameters: Any, objects: Any) -> None:
    facts = facts_of("SecretProviderClass", {"spec": {"provider": "azure", "parameters": parameters}})

    assert isinstance(facts, ClassFacts)
    assert facts.objects == objects
    assert "CANARY" not in str(facts)


def source(provider: str, **parameters: str) -> str:
    facts = facts_of("SecretProviderClass", {"spec": {"provider": provider, "parameters": parameters}})
    assert isinstance(facts, ClassFacts)
    return facts.source


ARNS = '- objectName: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/mail-a1b2c3"'


def test_classes_have_one_source_where_their_names_mean_the_same() -> None:
    vault = {"objects": AZURE, "keyvaultName": "kv-shop", "tenantId": "7A"}

    assert len(source("azure", **vault)) == 16
    assert source("azure", **vault) == source("azure", **{**vault, "keyvaultName": "KV-shop", "clientID": "other"})
    assert source("azure", **vault) == source("azure", **vault, cloudName="AzurePublicCloud")
    assert source("azure", **vault) != source("azure", **vault, cloudName="AzureChinaCloud")
    assert source("azure", **vault) != source("azure", **{**vault, "tenantId": "8"})
    assert source("gcp", secrets=GCP) == source("gcp", secrets=GCP, auth="pod-adc") != ""
    assert source("aws", objects=ARNS, region="a") == source("aws", objects=ARNS) != ""


def test_a_class_was_written_by_who_owns_its_spec_or_made_by_nobody_we_know() -> None:
    fields = [{"manager": "argocd", "time": "2026-11-24T05:00:00Z", "fieldsV1": {"f:spec": {"f:provider": {}}}}]
    created = "2026-11-24T03:00:00Z"
    known = facts_of("SecretProviderClass", {"spec": {}}, managedFields=fields, creationTimestamp=created)
    bare = facts_of("SecretProviderClass", {"spec": {}}, creationTimestamp=created)

    assert isinstance(known, ClassFacts)
    assert isinstance(bare, ClassFacts)
    assert (known.spec_written_at, known.spec_written_by) == (datetime(2026, 11, 24, 5, tzinfo=UTC), "argocd")
    assert (bare.spec_written_at, bare.spec_written_by) == (datetime(2026, 11, 24, 3, tzinfo=UTC), "")


def test_a_source_that_nothing_tells_is_none() -> None:
    """AWS reads a name without an account as the account of whoever asks; Vault counts for each view of its own."""
    assert source("aws", objects=AWS, region="eu-central-1") == ""
    assert source("aws", region="eu-central-1") == ""
    assert source("azure", objects=AZURE) == ""
    assert source("vault", objects=VAULT, vaultAddress="https://vault") == ""
    assert source("akeyless", objects=AZURE, keyvaultName="kv") == ""


def test_a_class_refers_to_the_secrets_it_makes() -> None:
    observation = observe(
        "SecretProviderClass", {"spec": {"secretObjects": [{"secretName": "a"}, {"secretName": "b"}]}}
    )

    assert observation is not None
    assert observation.references == (
        Reference(Relation.TARGET, ResourceKey("Secret", "web", "a")),
        Reference(Relation.TARGET, ResourceKey("Secret", "web", "b")),
    )


def mount(**metadata: Any) -> Observation:
    status = {
        "podName": "shop-1",
        "secretProviderClassName": "shop",
        "targetPath": "/var/lib/kubelet/pods/7a-b/volumes/kubernetes.io~csi/secrets/mount",
        "objects": [{"id": "secret/db", "version": "v1"}],
        "mounted": True,
    }
    observation = observe("SecretProviderClassPodStatus", {"status": status}, **metadata)
    assert observation is not None
    return observation


def test_a_mount_refers_to_its_class_pod_and_node() -> None:
    observation = mount(labels={"internal.secrets-store.csi.k8s.io/node-name": "node-1"})

    assert observation.references == (
        Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "web", "shop")),
        Reference(Relation.POD, ResourceKey("Pod", "web", "shop-1")),
        Reference(Relation.NODE, ResourceKey("CSINode", "", "node-1")),
    )


def test_a_mount_without_a_node_label_refers_to_no_node() -> None:
    assert [reference.relation for reference in mount().references] == [Relation.CLASS, Relation.POD]


@pytest.mark.parametrize(
    ("owners", "uid"),
    [
        ([{"kind": "Pod", "name": "shop-1", "uid": "11-22"}], "11-22"),
        ([{"kind": "ReplicaSet", "name": "shop", "uid": "33"}], "7a-b"),
        (None, "7a-b"),
    ],
    ids=str,
)
def test_the_pod_is_known_by_its_owner_or_by_the_path(owners: Any, uid: str) -> None:
    facts = mount(ownerReferences=owners).facts

    assert isinstance(facts, MountFacts)
    assert facts.pod_uid == uid


def test_a_mount_was_written_when_its_driver_wrote_it_last() -> None:
    written = [
        {"manager": "csi-secrets-store", "time": "2026-11-24T04:00:00Z"},
        {"manager": "csi-secrets-store", "time": "2026-11-24T05:00:00Z"},
        {"manager": "kubectl-label", "time": "2026-11-24T06:00:00Z"},
    ]
    facts = mount(creationTimestamp="2026-11-24T03:00:00Z", managedFields=written).facts
    bare = mount(creationTimestamp="2026-11-24T03:00:00Z").facts

    assert isinstance(facts, MountFacts)
    assert isinstance(bare, MountFacts)
    assert facts.written_at == facts.objects[0].changed_at == datetime(2026, 11, 24, 5, tzinfo=UTC)
    assert bare.written_at == datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.mark.parametrize("value", [True, False, None])
def test_republish_may_be_absent(value: bool | None) -> None:
    facts = facts_of("CSIDriver", {"spec": {"requiresRepublish": value}}, name="secrets-store.csi.k8s.io")

    assert facts == DriverFacts(requires_republish=value)


def test_other_storage_drivers_are_not_ours() -> None:
    assert observe("CSIDriver", {"spec": {}}, name="ebs.csi.aws.com") is None
    assert observe("CSIDriver", {"spec": {}}, name="secrets-store-gke.csi.k8s.io") is not None


def test_a_node_lists_its_drivers() -> None:
    facts = facts_of(
        "CSINode", {"spec": {"drivers": [{"name": "ebs.csi.aws.com"}, {"name": "secrets-store.csi.k8s.io"}]}}
    )

    assert facts == NodeFacts(drivers=("ebs.csi.aws.com", "secrets-store.csi.k8s.io"))


def workload(kind: str, image: str, status: Any = None, labels: Any = None, **container: Any) -> WorkloadFacts | None:
    sidecar = {"name": "registrar", "image": "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0"}
    containers = [sidecar, {"name": "main", "image": image, **container}]
    spec = {"replicas": 2, "template": {"spec": {"containers": containers}}}
    observation = observe(kind, {"spec": spec, "status": status or {}}, labels=labels)
    assert observation is None or isinstance(observation.facts, WorkloadFacts)
    return observation.facts if observation else None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "image", "role", "version"),
    [
        ("DaemonSet", "registry.k8s.io/csi-secrets-store/driver:v1.6.0", "csi-driver", "v1.6.0"),
        ("DaemonSet", "mcr.microsoft.com/oss/v2/kubernetes-csi/secrets-store/driver:v1.5.6", "csi-driver", "v1.5.6"),
        ("DaemonSet", "mcr.microsoft.com/oss/v2/azure/secrets-store/provider-azure:v1.8.2", "csi-provider", "v1.8.2"),
        ("DaemonSet", "x/secrets-store-csi-driver-provider-aws:3.1.1", "csi-provider", "3.1.1"),
        ("DaemonSet", "x/secrets-store-csi-driver-provider-gcp/plugin:v1.15.0", "csi-provider", "v1.15.0"),
        ("DaemonSet", "hashicorp/vault-csi-provider:1.7.4", "csi-provider", "1.7.4"),
        ("DaemonSet", "registry.example.com:5000/node-exporter:1.0", None, ""),
        ("Deployment", "ghcr.io/external-secrets/external-secrets:v2.9.0", "external-secrets", "v2.9.0"),
        ("Deployment", "docker.io/bitnami/sealed-secrets-controller:0.36.6", "sealed-secrets", "0.36.6"),
        ("Deployment", "mirror:5000/sealed-secrets-controller@sha256:abc", "sealed-secrets", "1.2.3"),
        ("Deployment", "registry.example.com/shop:1.4.2", None, ""),
    ],
)
def test_operators_are_known_by_their_images(kind: str, image: str, role: str | None, version: str) -> None:
    facts = workload(kind, image, labels={"app.kubernetes.io/version": "1.2.3"})

    assert (facts.role if facts else None) == role
    assert (facts.version if facts else "") == version


def test_a_driver_with_any_image_is_known_by_its_arguments() -> None:
    facts = workload("DaemonSet", "mirror/driver@sha256:abc", args=["--provider-volume=/var/run/providers"])

    assert facts is not None
    assert facts.role == "csi-driver"


@pytest.mark.parametrize(
    ("container", "options"),
    [
        ({"args": ["--enable-secret-rotation=true", "--v=5"]}, {"enable-secret-rotation": "true"}),
        ({"args": ["--update-status", "--key-prefix", "mine"]}, {"update-status": "true", "key-prefix": "mine"}),
        ({"command": ["controller", "-key-ttl=1h"]}, {"key-ttl": "1h"}),
        ({"args": ["--rotate-period=5h"]}, {"key-renew-period": "5h"}),
        ({"env": [{"name": "SEALED_SECRETS_KEY_RENEW_PERIOD", "value": "0"}]}, {"key-renew-period": "0"}),
        (
            {"env": [{"name": "SEALED_SECRETS_KEY_TTL", "value": "1h"}], "args": ["--key-ttl=2h"]},
            {"key-ttl": "2h"},
        ),
        ({"args": ["--token=CANARY"], "env": [{"name": "SEALED_SECRETS_TOKEN", "value": "CANARY"}]}, {}),
        ({"env": [{"name": "KEY_TTL", "value": "CANARY"}]}, {}),
        ({"args": ["--update-status"]}, {"update-status": "true"}),
    ],
    ids=str,
)
def test_settings_are_kept_by_allowlist(container: dict[str, Any], options: dict[str, str]) -> None:
    facts = workload("Deployment", "bitnami/sealed-secrets-controller:0.36.6", **container)

    assert facts is not None
    assert facts.options == options
    assert "CANARY" not in str(facts)


def test_a_daemon_set_counts_nodes_and_a_deployment_replicas() -> None:
    status = {"desiredNumberScheduled": 3, "numberReady": 2, "readyReplicas": 1}
    daemon_set = workload("DaemonSet", "registry.k8s.io/csi-secrets-store/driver:v1.6.0", status)
    deployment = workload("Deployment", "x/external-secrets:v2.9.0", status)

    assert daemon_set is not None
    assert deployment is not None
    assert (daemon_set.desired, daemon_set.ready) == (3, 2)
    assert (deployment.desired, deployment.ready) == (2, 1)
