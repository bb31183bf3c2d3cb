"""The kinds a simulated cluster can serve, with what their upstream definitions say about them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a Table: `path` is a dotted way into the object, `kind` an OpenAPI type."""

    name: str
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A served resource type.

    `versions` are served, best first. `status` says whether there is a status subresource. `custom` kinds come from a
    CustomResourceDefinition: they bear apiVersion and kind in lists too, and count `generation`.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    custom: bool = False
    generation: bool = False
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def resource(self) -> str:
        """The name in error messages: `externalsecrets.external-secrets.io`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version


def _custom(
    group: str,
    version: str,
    plural: str,
    kind: str,
    *,
    namespaced: bool = True,
    status: bool = True,
    columns: tuple[Column, ...] = (),
    also: tuple[str, ...] = (),
) -> Kind:
    return Kind(
        group,
        (version, *also),
        plural,
        kind,
        namespaced=namespaced,
        status=status,
        custom=True,
        generation=True,
        columns=columns,
    )


_ESO = "external-secrets.io"
_READY = (
    Column("Status", "string", "status.conditions.0.reason"),
    Column("Ready", "string", "status.conditions.0.status"),
)
_STORE = (Column("AGE", "date", "metadata.creationTimestamp"), *_READY)

EXTERNAL_SECRETS = (
    _custom(
        _ESO,
        "v1",
        "externalsecrets",
        "ExternalSecret",
        columns=(
            Column("StoreType", "string", "spec.secretStoreRef.kind"),
            Column("Store", "string", "spec.secretStoreRef.name"),
            Column("Refresh Interval", "string", "spec.refreshInterval"),
            *_READY,
            Column("Last Sync", "date", "status.refreshTime"),
        ),
    ),
    _custom(_ESO, "v1", "secretstores", "SecretStore", columns=_STORE),
    _custom(_ESO, "v1", "clustersecretstores", "ClusterSecretStore", namespaced=False, columns=_STORE),
    _custom(_ESO, "v1", "clusterexternalsecrets", "ClusterExternalSecret", namespaced=False),
    _custom(_ESO, "v1alpha1", "pushsecrets", "PushSecret"),
    _custom(_ESO, "v1alpha1", "clusterpushsecrets", "ClusterPushSecret", namespaced=False),
    _custom("generators.external-secrets.io", "v1alpha1", "passwords", "Password"),
)

SEALED_SECRETS = (
    _custom(
        "bitnami.com",
        "v1alpha1",
        "sealedsecrets",
        "SealedSecret",
        columns=(
            Column("Status", "string", "status.conditions.0.message"),
            Column("Synced", "string", "status.conditions.0.status"),
            Column("Age", "date", "metadata.creationTimestamp"),
        ),
    ),
)

_CSI = "secrets-store.csi.x-k8s.io"
SECRETS_STORE_CSI = (
    _custom(_CSI, "v1", "secretproviderclasses", "SecretProviderClass", status=False, also=("v1alpha1",)),
    _custom(
        _CSI, "v1", "secretproviderclasspodstatuses", "SecretProviderClassPodStatus", status=False, also=("v1alpha1",)
    ),
)

_INVOLVED = tuple(
    f"involvedObject.{name}"
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)

BUILT_IN = (
    Kind("", ("v1",), "namespaces", "Namespace", namespaced=False, status=True),
    Kind("", ("v1",), "events", "Event", selectable=(*_INVOLVED, "type", "reason", "reportingComponent")),
    Kind("", ("v1",), "secrets", "Secret", selectable=("type",)),
    Kind("", ("v1",), "configmaps", "ConfigMap"),
    Kind("", ("v1",), "services", "Service", status=True),
    Kind("", ("v1",), "serviceaccounts", "ServiceAccount"),
    Kind("", ("v1",), "pods", "Pod", status=True, selectable=("spec.nodeName", "status.phase")),
    Kind("", ("v1",), "nodes", "Node", namespaced=False, status=True),
    Kind("apps", ("v1",), "deployments", "Deployment", status=True, generation=True),
    Kind("apps", ("v1",), "daemonsets", "DaemonSet", status=True, generation=True),
    Kind("apps", ("v1",), "replicasets", "ReplicaSet", status=True, generation=True),
    Kind("apps", ("v1",), "statefulsets", "StatefulSet", status=True, generation=True),
    Kind("storage.k8s.io", ("v1",), "csidrivers", "CSIDriver", namespaced=False),
    Kind("storage.k8s.io", ("v1",), "csinodes", "CSINode", namespaced=False),
)

FAMILIES: dict[str, tuple[Kind, ...]] = {
    "external-secrets": EXTERNAL_SECRETS,
    "sealed-secrets": SEALED_SECRETS,
    "secrets-store-csi": SECRETS_STORE_CSI,
}
"""What `install` and `uninstall` know by one word."""

ALL = (*BUILT_IN, *EXTERNAL_SECRETS, *SEALED_SECRETS, *SECRETS_STORE_CSI)
