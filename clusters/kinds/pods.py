"""Pods (core/v1): those that mount a SecretProviderClass, and those of the Secrets Store CSI driver and its providers.

Read only where the driver is installed. Of a pod's environment nothing is decoded: it may hold values in clear.
"""

import re
from collections.abc import Iterator

from clusters.facts import DriverPodFacts, PodFacts, PodMount, Reference, Relation, ResourceKey
from clusters.kinds.base import (
    LIST_LIMIT,
    SECRETS_STORE_CSI,
    SHORT,
    Condition,
    Described,
    Document,
    Metadata,
    Resource,
    WatchedKind,
    common,
    find_condition,
    moment,
    observer,
    text,
)
from clusters.kinds.workloads import PROVIDER_ROLE, Container, csi_role, titles

_NEEDS = ("SecretProviderClass", "SecretProviderClassPodStatus")

# What the upstream manifests, the Helm charts, AKS and OpenShift label the pods of driver and providers with.
_APPS = (
    "csi-secrets-store",
    "csi-secrets-store-provider-aws",
    "csi-secrets-store-provider-azure",
    "csi-secrets-store-provider-gcp",
    "secrets-store-csi-driver",
    "secrets-store-csi-driver-node",
    "secrets-store-csi-driver-provider-aws",
    "secrets-store-csi-driver-provider-gcp",
    "secrets-store-provider-azure",
    "vault-csi-provider",
)
_NAME_LABELS = ("app", "app.kubernetes.io/name")

# "provider-azure", "secrets-store-csi-driver-provider-aws", "vault-csi-provider"
_PROVIDER_NAME = re.compile(r"\bprovider-([a-z0-9]{1,30})|\b([a-z0-9]{1,30})-csi-provider\b")


class _ClassAttributes(Document):
    secret_provider_class: str | None = None


class _CsiVolume(Document):
    driver: str = ""
    volume_attributes: _ClassAttributes | None = None


class _Volume(Document):
    name: str = ""
    csi: _CsiVolume | None = None

    def class_name(self) -> str:
        """The class that is mounted; empty for any other volume. Drivers: as in secrets_store_csi."""
        if self.csi is None or self.csi.volume_attributes is None or "secrets-store" not in self.csi.driver:
            return ""
        return text(self.csi.volume_attributes.secret_provider_class)


class _VolumeMount(Document):
    name: str = ""
    sub_path: str | None = None
    sub_path_expr: str | None = None


class _PodContainer(Container):
    volume_mounts: list[_VolumeMount] | None = None


class _PodSpec(Document):
    node_name: str | None = None
    volumes: list[_Volume] | None = None
    containers: list[_PodContainer] | None = None
    init_containers: list[_PodContainer] | None = None
    ephemeral_containers: list[_PodContainer] | None = None

    def volume_mounts(self) -> Iterator[_VolumeMount]:
        for containers in (self.containers, self.init_containers, self.ephemeral_containers):
            for container in containers or ():
                yield from container.volume_mounts or ()


class _PodStatus(Document):
    phase: str | None = None
    conditions: list[Condition] | None = None


class _Pod(Resource):
    spec: _PodSpec | None = None
    status: _PodStatus | None = None


def _describe_pod(resource: _Pod) -> Described:
    metadata, spec, status = resource.metadata, resource.spec or _PodSpec(), resource.status or _PodStatus()
    mounts = _mounts(spec)
    if not mounts:
        return None
    node, namespace = text(spec.node_name), metadata.namespace or ""
    scheduled = find_condition(status.conditions, "PodScheduled")
    facts = PodFacts(
        **common(metadata),
        phase=text(status.phase, SHORT),
        node=node,
        scheduled_at=moment(scheduled.last_transition_time) if scheduled and scheduled.status == "True" else None,
        mounts=mounts,
    )
    classes = (ResourceKey("SecretProviderClass", namespace, mount.class_name) for mount in mounts)
    references = [Reference(Relation.CLASS, key) for key in classes]
    return facts, [*references, Reference(Relation.NODE, ResourceKey("CSINode", "", node))]


def _mounts(spec: _PodSpec) -> tuple[PodMount, ...]:
    ours = [volume for volume in (spec.volumes or ())[:LIST_LIMIT] if volume.class_name()]
    if not ours:
        return ()
    parts = {mount.name for mount in spec.volume_mounts() if mount.sub_path or mount.sub_path_expr}
    return tuple(
        PodMount(
            class_name=volume.class_name(),
            driver=text(volume.csi.driver if volume.csi else ""),
            sub_path=volume.name in parts,
        )
        for volume in ours
    )


def _describe_driver_pod(resource: _Pod) -> Described:
    spec, status = resource.spec or _PodSpec(), resource.status or _PodStatus()
    role, container = csi_role(resource.metadata, spec.containers or [])
    if container is None:
        return None
    ready, node = find_condition(status.conditions, "Ready"), text(spec.node_name)
    facts = DriverPodFacts(
        **common(resource.metadata),
        role=role,
        node=node,
        ready=ready is not None and ready.status == "True",
        provider=_provider(resource.metadata, container) if role == PROVIDER_ROLE else "",
    )
    return facts, [Reference(Relation.NODE, ResourceKey("CSINode", "", node))]


def _provider(metadata: Metadata, container: Container) -> str:
    """The provider's name as a SecretProviderClass has it, from labels, name or image; empty where none tells."""
    name, *labels = titles(metadata)
    for title in (*labels, name, container.image or ""):
        if found := _PROVIDER_NAME.search(title[:500]):
            return found.group(1) or found.group(2)
    return ""


KINDS = (
    WatchedKind(
        kind="Pod",
        group="",
        versions=("v1",),
        plural="pods",
        family=SECRETS_STORE_CSI,
        judged=True,
        observe=observer("Pod", _Pod, _describe_pod),
        filtered=True,
        needs=_NEEDS,
        tier="T1",
    ),
    WatchedKind(
        kind="DriverPod",
        group="",
        versions=("v1",),
        plural="pods",
        family=SECRETS_STORE_CSI,
        judged=False,
        observe=observer("DriverPod", _Pod, _describe_driver_pod),
        selectors=tuple({"labelSelector": f"{label} in ({','.join(_APPS)})"} for label in _NAME_LABELS),
        filtered=True,
        api_kind="Pod",
        needs=_NEEDS,
        tier="T1",
    ),
)
