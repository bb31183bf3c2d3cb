"""Pods that mount a SecretProviderClass, and the pods of the driver and its providers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.facts import DriverPodFacts, PodFacts, PodMount, Reference, Relation, ResourceKey
from clusters.kinds import BY_NAME
from clusters.observations import Observation


def volume(name: str = "secrets", class_name: Any = "shop", driver: str = "secrets-store.csi.k8s.io") -> dict[str, Any]:
    attributes = {"secretProviderClass": class_name, "nodePublishSecret": "CANARY"}
    return {"name": name, "csi": {"driver": driver, "readOnly": True, "volumeAttributes": attributes}}


def container(image: str = "shop:1", **more: Any) -> dict[str, Any]:
    return {"name": "c", "image": image, "env": [{"name": "PASSWORD", "value": "CANARY"}], **more}


def observe(kind: str, spec: dict[str, Any], status: Any = None, **metadata: Any) -> Observation | None:
    head = {"name": "shop-1", "namespace": "web", "annotations": {"last": "CANARY"}, **metadata}
    return BY_NAME[kind].observe(json.dumps({"metadata": head, "spec": spec, "status": status or {}}).encode())


def pod(*volumes: Any, containers: Any = None, status: Any = None, **more: Any) -> PodFacts | None:
    spec = {"nodeName": "node-1", "volumes": list(volumes), "containers": containers or [container()], **more}
    observation = observe("Pod", spec, status)
    assert "CANARY" not in str(observation)
    assert observation is None or isinstance(observation.facts, PodFacts)
    return observation.facts if observation else None  # type: ignore[return-value]


def test_a_pod_tells_where_it_is_since_when_and_what_it_mounts() -> None:
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-24T04:00:00Z"}]

    assert pod(volume(), status={"phase": "Running", "conditions": conditions}) == PodFacts(
        phase="Running",
        node="node-1",
        scheduled_at=datetime(2026, 11, 24, 4, tzinfo=UTC),
        mounts=(PodMount(class_name="shop", driver="secrets-store.csi.k8s.io"),),
    )


def test_a_pod_that_has_no_node_yet_is_not_scheduled() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-11-24T04:00:00Z"}]
    facts = pod(volume(), status={"phase": "Pending", "conditions": conditions}, nodeName=None)

    assert facts is not None
    assert (facts.node, facts.scheduled_at) == ("", None)


@pytest.mark.parametrize(
    "volumes",
    [
        [],
        [{"name": "data", "emptyDir": {}}],
        [volume(driver="ebs.csi.aws.com")],
        [volume(class_name=None)],
        [volume(class_name="")],
        [{"name": "x", "csi": {"driver": "secrets-store.csi.k8s.io"}}],
    ],
    ids=str,
)
def test_a_pod_without_a_class_is_not_ours(volumes: list[Any]) -> None:
    assert pod(*volumes) is None


@pytest.mark.parametrize("place", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("key", ["subPath", "subPathExpr"])
def test_a_part_of_the_volume_may_be_mounted_by_any_container(place: str, key: str) -> None:
    parts = container(volumeMounts=[{"name": "b", "mountPath": "/b"}, {"name": "a", "mountPath": "/a", key: "db.txt"}])
    facts = pod(volume("a"), volume("b", "mail", "secrets-store-gke.csi.k8s.io"), **{place: [parts]})

    assert facts is not None
    assert facts.mounts == (
        PodMount(class_name="shop", driver="secrets-store.csi.k8s.io", sub_path=True),
        PodMount(class_name="mail", driver="secrets-store-gke.csi.k8s.io"),
    )


def test_a_pod_refers_to_its_classes_and_its_node() -> None:
    observation = observe("Pod", {"nodeName": "node-1", "volumes": [volume("a"), volume("b", "mail"), volume("c")]})

    assert observation is not None
    assert observation.references == (
        Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "web", "shop")),
        Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "web", "mail")),
        Reference(Relation.NODE, ResourceKey("CSINode", "", "node-1")),
    )


def test_a_terminating_pod_says_since_when() -> None:
    observation = observe("Pod", {"volumes": [volume()]}, deletionTimestamp="2026-11-24T04:00:00Z")

    assert observation is not None
    assert observation.facts.deleting_since == datetime(2026, 11, 24, 4, tzinfo=UTC)


def driver_pod(image: str, labels: Any = None, name: str = "x-1", status: Any = None) -> DriverPodFacts | None:
    registrar = container("registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.16.0")
    spec = {"nodeName": "node-1", "containers": [registrar, container(image)]}
    observation = observe("DriverPod", spec, status, name=name, labels=labels)
    assert "CANARY" not in str(observation)
    assert observation is None or isinstance(observation.facts, DriverPodFacts)
    return observation.facts if observation else None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("image", "labels", "role", "provider"),
    [
        ("registry.k8s.io/csi-secrets-store/driver:v1.6.0", {"app": "csi-secrets-store"}, "csi-driver", ""),
        ("mirror/secrets-store/provider-azure:v1", {"app": "secrets-store-provider-azure"}, "csi-provider", "azure"),
        ("x/secrets-store-csi-driver-provider-aws:3.1.1", None, "csi-provider", "aws"),
        ("x/plugin:v1", {"app": "csi-secrets-store-provider-gcp"}, "csi-provider", "gcp"),
        ("vault-csi-provider:1", {"app.kubernetes.io/name": "vault-csi-provider"}, "csi-provider", "vault"),
        ("mirror/plugin@sha256:abc", {"app": "csi-secrets-store-provider-azure"}, "csi-provider", "azure"),
        ("shop:1", {"app": "shop"}, None, None),
    ],
)
def test_pods_of_the_driver_and_the_providers_are_known_by_image_or_label(
    image: str, labels: Any, role: str | None, provider: str | None
) -> None:
    facts = driver_pod(image, labels)

    assert (facts.role if facts else None) == role
    assert (facts.provider if facts else None) == provider


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([{"type": "Ready", "status": "True"}], True),
        ([{"type": "Ready", "status": "False"}], False),
        ([{"type": "ContainersReady", "status": "True"}], False),
        (None, False),
    ],
    ids=str,
)
def test_a_driver_pod_is_ready_as_its_condition_says(conditions: Any, ready: bool) -> None:
    facts = driver_pod("csi-secrets-store/driver:v1", status={"conditions": conditions})

    assert facts == DriverPodFacts(role="csi-driver", node="node-1", ready=ready)


def test_pods_are_asked_for_under_their_own_name_and_only_beside_the_driver() -> None:
    for kind in ("Pod", "DriverPod"):
        assert BY_NAME[kind].list_kind == "PodList"
        assert "SecretProviderClass" in BY_NAME[kind].needs
