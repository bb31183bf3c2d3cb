"""Secrets Store CSI driver (group secrets-store.csi.x-k8s.io), read against 1.5.6 and 1.6.0."""

import re
from hashlib import blake2b

from clusters.facts import (
    ClassFacts,
    DriverFacts,
    MountedObject,
    MountFacts,
    NodeFacts,
    Reference,
    Relation,
    ResourceKey,
)
from clusters.kinds.base import (
    LIST_LIMIT,
    SECRETS_STORE_CSI,
    SHORT,
    Described,
    Document,
    ManagedMetadata,
    Resource,
    WatchedKind,
    common,
    moment,
    names,
    newest,
    observer,
    rotate_after_days,
    text,
)

GROUP = "secrets-store.csi.x-k8s.io"
NODE_LABEL = "internal.secrets-store.csi.k8s.io/node-name"
DRIVER_MANAGER = "csi-secrets-store"

# AWS, Azure and Vault ask by objectName, GCP by resourceName. The parameter is YAML inside YAML (Azure: twice), so
# lines are looked at instead of documents: no aliases to expand, and nothing but these two keys is ever taken.
_OBJECT_NAME = re.compile(r"""^[ \t]*(?:-[ \t]+)?["']?(?:objectName|resourceName)["']?[ \t]*:[ \t]*(\S[^\n]*)$""", re.M)
_PARAMETER_LIMIT = 100_000
_POD_UID = re.compile(r"/pods/([^/]{1,80})/volumes/")


class _SecretObject(Document):
    secret_name: str | None = None


class _Parameters(Document):
    objects: str | None = None
    secrets: str | None = None
    keyvault_name: str | None = None
    tenant_id: str | None = None
    cloud_name: str | None = None


class _ClassSpec(Document):
    provider: str | None = None
    parameters: _Parameters | None = None
    secret_objects: list[_SecretObject] | None = None


class _Class(Resource):
    metadata: ManagedMetadata
    spec: _ClassSpec | None = None


def _describe_class(resource: _Class) -> Described:
    metadata, spec = resource.metadata, resource.spec or _ClassSpec()
    parameters = spec.parameters or _Parameters()
    secrets = names(entry.secret_name for entry in spec.secret_objects or ())
    objects = names([*_object_names(parameters.objects), *_object_names(parameters.secrets)])
    facts = ClassFacts(
        **common(metadata),
        **(metadata.spec_written() or {"spec_written_at": moment(metadata.creation_timestamp)}),
        provider=text(spec.provider, SHORT),
        source=_source(spec.provider or "", parameters, objects),
        objects=objects,
        secret_names=secrets,
        rotate_after_days=rotate_after_days(metadata),
    )
    namespace = metadata.namespace or ""
    return facts, [Reference(Relation.TARGET, ResourceKey("Secret", namespace, name)) for name in secrets]


def _object_names(parameter: str | None) -> list[str]:
    found = _OBJECT_NAME.findall((parameter or "")[:_PARAMETER_LIMIT])
    return [name.strip().strip("\"'") for name in found]


def _source(provider: str, parameters: _Parameters, objects: tuple[str, ...]) -> str:
    """See ClassFacts: what the names of `objects` are relative to, where that is told; "" where it is not.

    GCP's names are full paths, Azure's are relative to a vault, whose name is unique in its cloud. AWS takes names
    relative to the account and region of whoever asks, which nothing here tells, or full ARNs. Vault counts versions
    for each pod's own view of it.
    """
    address: tuple[str, ...] | None = None
    if provider == "gcp" or (provider == "aws" and objects and all(name.startswith("arn:") for name in objects)):
        address = ()
    elif provider == "azure" and parameters.keyvault_name:
        cloud = parameters.cloud_name or "AzurePublicCloud"
        address = (parameters.keyvault_name, parameters.tenant_id or "", cloud)
    if address is None:
        return ""
    return blake2b(repr((provider, *map(str.lower, address))).encode(), digest_size=8).hexdigest()


class _MountedObject(Document):
    id: str = ""
    version: str = ""


class _MountStatus(Document):
    pod_name: str | None = None
    secret_provider_class_name: str | None = None
    target_path: str | None = None
    objects: list[_MountedObject] | None = None


class _Mount(Resource):
    metadata: ManagedMetadata
    status: _MountStatus | None = None


def _describe_mount(resource: _Mount) -> Described:
    metadata, status = resource.metadata, resource.status or _MountStatus()
    pod, class_name = text(status.pod_name), text(status.secret_provider_class_name)
    node = text((metadata.labels or {}).get(NODE_LABEL))
    by_driver = (entry for entry in metadata.managed_fields or () if entry.manager == DRIVER_MANAGER)
    written_at = newest(by_driver) or moment(metadata.creation_timestamp)
    facts = MountFacts(
        **common(metadata),
        pod=pod,
        pod_uid=_pod_uid(metadata, status),
        node=node,
        class_name=class_name,
        # Of one object we know only that it had this version when the driver wrote last; history knows better.
        objects=tuple(
            MountedObject(id=text(entry.id), version=text(entry.version), changed_at=written_at)
            for entry in (status.objects or ())[:LIST_LIMIT]
        ),
        written_at=written_at,
    )
    namespace = metadata.namespace or ""
    return facts, (
        Reference(Relation.CLASS, ResourceKey("SecretProviderClass", namespace, class_name)),
        Reference(Relation.POD, ResourceKey("Pod", namespace, pod)),
        Reference(Relation.NODE, ResourceKey("CSINode", "", node)),
    )


def _pod_uid(metadata: ManagedMetadata, status: _MountStatus) -> str:
    """Of the owning Pod; without an owner, of the path that the volume is mounted at."""
    owner = next((owner.uid for owner in metadata.owner_references or () if owner.kind == "Pod" and owner.uid), "")
    path = _POD_UID.search(status.target_path or "")
    return text(owner or (path.group(1) if path else ""), SHORT)


class _DriverSpec(Document):
    requires_republish: bool | None = None


class _Driver(Resource):
    spec: _DriverSpec | None = None


def _describe_driver(resource: _Driver) -> Described:
    """Only secrets-store drivers: upstream `secrets-store.csi.k8s.io`, GKE's `secrets-store-gke.csi.k8s.io`."""
    if "secrets-store" not in resource.metadata.name:
        return None
    spec = resource.spec or _DriverSpec()
    return DriverFacts(**common(resource.metadata), requires_republish=spec.requires_republish), ()


class _NodeDriver(Document):
    name: str = ""


class _NodeSpec(Document):
    drivers: list[_NodeDriver] | None = None


class _Node(Resource):
    spec: _NodeSpec | None = None


def _describe_node(resource: _Node) -> Described:
    spec = resource.spec or _NodeSpec()
    return NodeFacts(**common(resource.metadata), drivers=names(entry.name for entry in spec.drivers or ())), ()


KINDS = (
    WatchedKind(
        kind="SecretProviderClass",
        group=GROUP,
        versions=("v1", "v1alpha1"),
        plural="secretproviderclasses",
        family=SECRETS_STORE_CSI,
        judged=True,
        observe=observer("SecretProviderClass", _Class, _describe_class),
    ),
    WatchedKind(
        kind="SecretProviderClassPodStatus",
        group=GROUP,
        versions=("v1", "v1alpha1"),
        plural="secretproviderclasspodstatuses",
        family=SECRETS_STORE_CSI,
        judged=True,
        observe=observer("SecretProviderClassPodStatus", _Mount, _describe_mount),
    ),
    WatchedKind(
        kind="CSIDriver",
        group="storage.k8s.io",
        versions=("v1",),
        plural="csidrivers",
        family=SECRETS_STORE_CSI,
        judged=False,
        observe=observer("CSIDriver", _Driver, _describe_driver),
        filtered=True,
    ),
    WatchedKind(
        kind="CSINode",
        group="storage.k8s.io",
        versions=("v1",),
        plural="csinodes",
        family=SECRETS_STORE_CSI,
        judged=False,
        observe=observer("CSINode", _Node, _describe_node),
    ),
)
