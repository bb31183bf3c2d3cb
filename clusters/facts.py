"""The allowlisted fields of one object, in our own words: all of it that is ever stored. Kubernetes shapes end here.

Everything here is an immutable value; no field may hold a secret value, a template, a provider parameter or a raw
object. Facts are stored as JSON and read back with `facts_from_json`, so that a verdict can be renewed without the
cluster.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec


class ResourceKey(NamedTuple):
    """Names one resource inside one cluster. `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Relation(StrEnum):
    """How a resource refers to something else in its cluster."""

    STORE = "store"  # ExternalSecret, PushSecret -> SecretStore, ClusterSecretStore
    TARGET = "target"  # ExternalSecret, SealedSecret, SecretProviderClass -> Secret
    CLASS = "class"  # SecretProviderClassPodStatus -> SecretProviderClass
    POD = "pod"  # SecretProviderClassPodStatus -> Pod
    NODE = "node"  # SecretProviderClassPodStatus -> CSINode
    PARENT = "parent"  # ExternalSecret -> ClusterExternalSecret, PushSecret -> ClusterPushSecret
    SOURCE = "source"  # PushSecret -> Secret
    KEY = "key"  # ExternalSecret -> what it reads at the provider: "<store>#<key_digest>"


class Reference(NamedTuple):
    relation: Relation
    target: ResourceKey


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Base of every stored value: frozen, and defaults take no room in the database."""


class Facts(Record, frozen=True):
    """What every kind has. `problem` says in one sentence what could not be read of the object; never a value."""

    generation: int = 0
    deleting_since: datetime | None = None
    problem: str = ""


class SyncWindow(Record, frozen=True):
    """ExternalSecret spec.syncWindows (>= 2.7.0): `schedule` is a five-field cron in UTC, `kind` allow or deny."""

    kind: str = ""
    schedule: str = ""
    duration: str = ""


class ReconciledFacts(Facts, frozen=True):
    """Facts of a kind with one status condition (Ready, or Synced for SealedSecret).

    `ready` is None where the condition is absent, which is not the same as False.
    `condition_since` is the condition's lastTransitionTime: it moves with a flip of the status only.
    """

    ready: bool | None = None
    reason: str = ""
    message: str = ""
    condition_since: datetime | None = None


class RemoteKey(Record, frozen=True):
    """One entry of an ExternalSecret's spec.data, or a dataFrom[].extract: what it reads at the provider.

    `key`, `property` and `version` are names as the provider knows them, `secret_key` is the key that spec.data writes
    ("" for extract, which writes all). `conversion`, `decoding` and `metadata_policy` are "" where they are what the
    CRD would fill in (Default, None, None): External Secrets leaves that out of what is stored since 2.9.0.
    """

    store: ResourceKey
    key: str = ""
    property: str = ""
    version: str = ""
    secret_key: str = ""
    conversion: str = ""
    decoding: str = ""
    metadata_policy: str = ""


class RefreshedFacts(ReconciledFacts, frozen=True):
    """ExternalSecret and PushSecret: what External Secrets refreshes on an interval.

    `interval` is the Go duration as written ("" = absent, the rule's default is 1h). `synced_version` is
    status.syncedResourceVersion; `expected_version` is what it would be for the current generation, labels and
    annotations ("" = cannot be computed). `stores` are all stores the object reads, `store` the first for display
    ("ClusterSecretStore vault" or "SecretStore vault"), both empty for generators. `spec_written_at` is the newest
    managedFields time of a manager that owns part of the spec, labels or annotations (None: not known),
    `spec_written_by` that manager. `written_api` is the oldest API version in which a manager still writes part of the
    spec ("v1beta1"; "" = the one that is stored). `finds_all` marks a dataFrom[].find that selects by neither name,
    path nor tags. `keys` are what an ExternalSecret names at its providers, in the order of the spec, 100 at most;
    searches and generators name nothing. `template_tag` is a tag of spec.target.template (see clusters.tagging; ""
    without a template, or without a key): a template may hold values, so nothing else of it is kept.
    `in_turn`, by our history: its last refresh came when it was due, and with nothing changed that it syncs.
    `rotate_after_days` is what an ExternalSecret asks for by annotation: after so many days another value (0: nothing).
    """

    refreshed_at: datetime | None = None
    spec_written_at: datetime | None = None
    spec_written_by: str = ""
    interval: str = ""
    policy: str = ""
    store: str = ""
    stores: tuple[ResourceKey, ...] = ()
    target: str = ""
    synced_version: str = ""
    expected_version: str = ""
    creation_policy: str = ""
    deletion_policy: str = ""
    immutable: bool = False
    sync_windows: tuple[SyncWindow, ...] = ()
    written_api: str = ""
    finds_all: bool = False
    keys: tuple[RemoteKey, ...] = ()
    template_tag: str = ""
    in_turn: bool = False
    rotate_after_days: int = 0


class FailedNamespace(Record, frozen=True):
    namespace: str = ""
    reason: str = ""


class ParentFacts(ReconciledFacts, frozen=True):
    """ClusterExternalSecret and ClusterPushSecret. Their condition has neither reason nor time."""

    child_name: str = ""
    failed_namespaces: tuple[FailedNamespace, ...] = ()
    provisioned: int = 0
    interval: str = ""


class StoreFacts(ReconciledFacts, frozen=True):
    """SecretStore and ClusterSecretStore. `provider` is the type only (vault, aws ...), `server` its host if public.

    `path` says where at the provider, for people: "https://vault.example.com/kv", "SecretsManager eu-central-1", a GCP
    project, the host of an Azure vault; "" for others. `source` is a digest of what addresses the provider (32 hex
    digits, an allowlist per provider, see kinds/providers.py): one key in two stores of one source is the same key, as
    far as stores tell. "" where that is not known: nothing to compare with. `spec_written_at` and `spec_written_by` as
    in RefreshedFacts, of the spec alone.
    """

    provider: str = ""
    server: str = ""
    path: str = ""
    source: str = ""
    controller: str = ""
    namespaces_limited: bool = False
    written_api: str = ""
    spec_written_at: datetime | None = None
    spec_written_by: str = ""


class SealedItem(Record, frozen=True):
    """One encrypted item. `digest` is of its ciphertext (public by design): first 32 hex digits of SHA-256.

    `written_at` is when its manager wrote it last (None: nobody recorded it). `key_bits` is the modulus of the key that
    sealed it, by the length that the ciphertext begins with (0: not in that form).
    """

    name: str = ""
    digest: str = ""
    written_at: datetime | None = None
    key_bits: int = 0


class SealedSecretFacts(ReconciledFacts, frozen=True):
    """`ready` mirrors the Synced condition. `observed_generation` and `updated_at` are of the status.

    `sealed` are the encrypted items, never their ciphertext. `scope` is what decryption uses (the object's own
    annotations), `template_scope` what its template says: strict, namespace-wide or cluster-wide.
    `spec_written_at` is the newest managedFields time of a manager that owns part of the spec (None: not known),
    `spec_written_by` that manager. `template_items` are the keys of spec.template.data. `shares_target`: its
    template says that the Secret is patched (`patch`) or has no owner (`skip-set-owner-references`), so that ownership
    tells nothing. `sealed_before`, by our history: a short hash of the ciphertexts before the present ones.
    `rotate_after_days` as in RefreshedFacts.
    """

    observed_generation: int = 0
    updated_at: datetime | None = None
    spec_written_at: datetime | None = None
    spec_written_by: str = ""
    scope: str = "strict"
    template_scope: str = "strict"
    sealed: tuple[SealedItem, ...] = ()
    template_items: tuple[str, ...] = ()
    shares_target: bool = False
    target: str = ""
    sealed_before: str = ""
    rotate_after_days: int = 0


class SealingKeyFacts(Facts, frozen=True):
    """A sealing key's Secret, metadata only. `state` is its label: active, or anything else = not used any more."""

    state: str = ""
    manager: str = ""


class SealingCertificateFacts(Facts, frozen=True):
    """The certificate that a sealed-secrets controller serves, i.e. of its newest loaded key."""

    not_before: datetime | None = None
    not_after: datetime | None = None
    sha256: str = ""
    key_bits: int = 0


class ClassFacts(Facts, frozen=True):
    """SecretProviderClass: provider type, the names it asks for, the Secrets it makes. Never its parameters.

    `source` is a digest of what addresses the provider (region, vault, tenant; an allowlist per provider): two classes
    with one source and one object id read the same secret. "" where that is not known. `spec_written_at` is the newest
    managedFields time of a manager that owns part of the spec, else of the creation; `spec_written_by` that manager.
    `rotate_after_days` as in RefreshedFacts.
    """

    provider: str = ""
    source: str = ""
    objects: tuple[str, ...] = ()
    secret_names: tuple[str, ...] = ()
    spec_written_at: datetime | None = None
    spec_written_by: str = ""
    rotate_after_days: int = 0


class MountedObject(Record, frozen=True):
    """One mounted object. `changed_at`: when this mount got this version, as exactly as we know (see rotation.py)."""

    id: str = ""
    version: str = ""
    changed_at: datetime | None = None


class MountFacts(Facts, frozen=True):
    """SecretProviderClassPodStatus: one SecretProviderClass in one pod.

    `written_at` is the newest managedFields time of the driver, which moves only with a real change (E15).
    """

    pod: str = ""
    pod_uid: str = ""
    node: str = ""
    class_name: str = ""
    objects: tuple[MountedObject, ...] = ()
    written_at: datetime | None = None


class PodMount(Record, frozen=True):
    """One volume of a pod with one class. `sub_path`: a container mounts a part of it, which never sees a rotation."""

    class_name: str = ""
    driver: str = ""
    sub_path: bool = False


class PodFacts(Facts, frozen=True):
    """A pod that mounts at least one SecretProviderClass (tier T1). `phase` is Pending, Running, Succeeded or Failed.

    `scheduled_at` is when it got its node (None: not yet).
    """

    phase: str = ""
    node: str = ""
    scheduled_at: datetime | None = None
    mounts: tuple[PodMount, ...] = ()


class DriverPodFacts(Facts, frozen=True):
    """A pod of the CSI driver or of one of its providers on one node (tier T1). `role` as in WorkloadFacts."""

    role: str = ""
    node: str = ""
    ready: bool = False
    provider: str = ""


class DataWriter(Record, frozen=True):
    """Who wrote which keys of a Secret's data, and when, by managedFields."""

    manager: str = ""
    at: datetime | None = None
    keys: tuple[str, ...] = ()


class SecretFacts(Facts, frozen=True):
    """A Secret, metadata only (tier T2): never its data.

    `owner` is the object that controls it, or its first owner ("" for none), `owner_uid` its UID. `managed_by` is the
    controller whose label or annotation it bears: external-secrets, sealed-secrets, secrets-store-csi or "".
    `empty`: the controller's hash says that it has no data. `last_applied`: an annotation of kubectl holds its values.
    `data_tag` is a tag of External Secrets' hash of its data, after the hash's algorithm: "sha3.<tag>" or "md5.<tag>"
    (see clusters.tagging, whose `comparable` says which two may be compared; "" without the hash, or without a key).
    `tag_before` and `tag_since`, by our history: the comparable tag before this one, and when this one was written.
    """

    owner_kind: str = ""
    owner: str = ""
    owner_uid: str = ""
    managed_by: str = ""
    empty: bool = False
    last_applied: bool = False
    data_tag: str = ""
    tag_before: str = ""
    tag_since: datetime | None = None
    writers: tuple[DataWriter, ...] = ()


class PasswordFacts(Facts, frozen=True):
    """A Password generator of External Secrets: how many bits of entropy its spec asks for (0: cannot be told)."""

    entropy_bits: int = 0


class DriverFacts(Facts, frozen=True):
    """CSIDriver. `requires_republish` is None where absent (normal before driver 1.6)."""

    requires_republish: bool | None = None


class NodeFacts(Facts, frozen=True):
    """CSINode: names of the CSI drivers registered on the node."""

    drivers: tuple[str, ...] = ()


class WorkloadFacts(Facts, frozen=True):
    """A Deployment or DaemonSet of one of the operators.

    `role`: external-secrets, sealed-secrets, csi-driver or csi-provider; `version` is the image tag.
    `short_since` is since when fewer are ready than desired, by our history (by the cluster's clock).
    `options` are allowlisted command line flags or environment settings by flag name without dashes,
    e.g. {"key-renew-period": "720h0m0s", "enable-secret-rotation": "true", "rotation-poll-interval": "2m"}.
    """

    role: str = ""
    version: str = ""
    desired: int = 0
    ready: int = 0
    short_since: datetime | None = None
    options: dict[str, str] = {}


FACTS_TYPES: dict[str, type[Facts]] = {
    "ExternalSecret": RefreshedFacts,
    "PushSecret": RefreshedFacts,
    "ClusterExternalSecret": ParentFacts,
    "ClusterPushSecret": ParentFacts,
    "SecretStore": StoreFacts,
    "ClusterSecretStore": StoreFacts,
    "SealedSecret": SealedSecretFacts,
    "Pod": PodFacts,
    "DriverPod": DriverPodFacts,
    "Secret": SecretFacts,
    "Password": PasswordFacts,
    "SealingKey": SealingKeyFacts,
    "SealingCertificate": SealingCertificateFacts,
    "SecretProviderClass": ClassFacts,
    "SecretProviderClassPodStatus": MountFacts,
    "CSIDriver": DriverFacts,
    "CSINode": NodeFacts,
    "DaemonSet": WorkloadFacts,
    "Deployment": WorkloadFacts,
}


def key_digest(key: str, property: str) -> str:
    """Sixteen hex digits for one key at a provider, and the property of it that is read ("" = all of it)."""
    # The length keeps ("a", "bc") and ("ab", "c") apart.
    return blake2b(f"{len(key)} {key}{property}".encode(), digest_size=8).hexdigest()


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """JSON-ready form of `facts`; defaults are left out."""
    result: dict[str, Any] = msgspec.to_builtins(facts)
    return result


def facts_from_json(kind: str, value: Any) -> Facts:
    """Inverse of `facts_to_json`; unknown fields of older rows are ignored. Raises KeyError for an unknown kind."""
    return msgspec.convert(value, FACTS_TYPES[kind])
