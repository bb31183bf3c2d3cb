"""Every rule by its id. `docs/rules.md` has a section for each; a test compares the two."""

from typing import Final, NamedTuple

from monitoring.health import Severity


class RuleDoc(NamedTuple):
    """A rule as people see it in lists: stable id, severity of its findings, short title. `lint`: only advice."""

    id: str
    severity: Severity
    title: str
    lint: bool = False


_ALL: Final = (
    # any kind
    RuleDoc("could-not-be-judged", Severity.WARNING, "Could not be judged"),
    RuleDoc("could-not-be-read", Severity.WARNING, "Could not be read completely"),
    # External Secrets
    RuleDoc("es-poison-interval", Severity.CRITICAL, "An interval that stops the whole controller"),
    RuleDoc("es-deletion-stuck", Severity.WARNING, "Deletion is stuck"),
    RuleDoc("es-pending", Severity.INFO, "Waits for its first reconcile"),
    RuleDoc("es-never-reconciled", Severity.CRITICAL, "Never reconciled"),
    RuleDoc("es-controller-class", Severity.WARNING, "Belongs to another controller"),
    RuleDoc("es-not-ready", Severity.CRITICAL, "Refresh fails"),
    RuleDoc("es-green-without-secret", Severity.CRITICAL, "Reported healthy, but there is no Secret"),
    RuleDoc("es-green-without-data", Severity.CRITICAL, "Reported healthy, but nothing was found"),
    RuleDoc("es-silent-stale", Severity.CRITICAL, "Reported healthy, but not refreshed"),
    RuleDoc("es-stale", Severity.WARNING, "Not refreshed in time"),
    RuleDoc("es-clock", Severity.WARNING, "Refresh time lies in the future"),
    RuleDoc("es-out-of-date", Severity.WARNING, "The newest change was not acted on"),
    RuleDoc("es-frozen-by-design", Severity.INFO, "Frozen by design"),
    RuleDoc("es-immutable-target", Severity.INFO, "The target takes no rotation"),
    RuleDoc("es-partly-missing", Severity.WARNING, "A key is missing at the provider"),
    RuleDoc("es-store-absent", Severity.WARNING, "Its secret store does not exist"),
    RuleDoc("es-store-not-ready", Severity.WARNING, "Its secret store is not ready"),
    RuleDoc("es-sync-window", Severity.INFO, "A sync window holds the refresh back"),
    RuleDoc("es-sync-window-unreadable", Severity.WARNING, "A sync window cannot be read"),
    RuleDoc("es-namespaces-failed", Severity.CRITICAL, "Some namespaces got no object"),
    RuleDoc("es-children", Severity.WARNING, "Objects it made are not healthy"),
    RuleDoc("es-target-missing", Severity.CRITICAL, "Reported healthy, but the Secret is missing"),
    RuleDoc("es-target-empty", Severity.CRITICAL, "Reported healthy, but the Secret is empty"),
    # secret stores
    RuleDoc("store-pending", Severity.INFO, "Waits for its first validation"),
    RuleDoc("store-never-validated", Severity.WARNING, "Never validated"),
    RuleDoc("store-not-ready", Severity.CRITICAL, "Secret store is not ready"),
    RuleDoc("store-deletion-stuck", Severity.WARNING, "Deletion is stuck"),
    RuleDoc("store-validation-unknown", Severity.INFO, "Validation says nothing"),
    RuleDoc("store-unmaintained", Severity.INFO, "Provider is unmaintained"),
    RuleDoc("store-deprecated", Severity.WARNING, "Provider is deprecated"),
    # Sealed Secrets
    RuleDoc("ss-not-synced", Severity.CRITICAL, "Cannot be unsealed"),
    RuleDoc("ss-status-stale", Severity.WARNING, "The condition contradicts a newer event"),
    RuleDoc("ss-pending", Severity.INFO, "Waits for its first unsealing"),
    RuleDoc("ss-never-reconciled", Severity.CRITICAL, "Never unsealed"),
    RuleDoc("ss-status-missing", Severity.WARNING, "No status"),
    RuleDoc("ss-observed-lag", Severity.WARNING, "The newest change was not unsealed"),
    RuleDoc("ss-scope-mismatch", Severity.WARNING, "Scope differs from the template's"),
    RuleDoc("ss-no-data", Severity.CRITICAL, "Synced, but it has no data"),
    RuleDoc("ss-child-missing", Severity.CRITICAL, "Its Secret is missing"),
    RuleDoc("ss-child-foreign", Severity.CRITICAL, "Its Secret belongs to something else"),
    RuleDoc("ss-child-edited", Severity.WARNING, "Its Secret was edited"),
    RuleDoc("ss-sealed-before-newest-key", Severity.INFO, "Sealed before the newest key"),
    RuleDoc("ss-sealed-for-other", Severity.CRITICAL, "Sealed for another place"),
    RuleDoc("ss-key-compromised", Severity.WARNING, "Sealed with a key that is marked compromised"),
    # Secrets Store CSI Driver
    RuleDoc("csi-outdated-version", Severity.CRITICAL, "Mount is behind the newest version"),
    RuleDoc("csi-unstable-version", Severity.INFO, "Version changes without a rotation"),
    RuleDoc("csi-rotation-off", Severity.INFO, "Rotation is off"),
    RuleDoc("csi-rotation-misconfigured", Severity.WARNING, "Rotation is on but cannot work"),
    RuleDoc("csi-rotation-failed", Severity.CRITICAL, "Rotation failed"),
    RuleDoc("csi-class-missing", Severity.WARNING, "Its class is gone"),
    RuleDoc("csi-class-newer", Severity.WARNING, "Class is newer than the mount"),
    RuleDoc("csi-driver-missing", Severity.WARNING, "Driver is missing on the node"),
    RuleDoc("csi-pending", Severity.INFO, "Waits for its mount"),
    RuleDoc("csi-not-mounted", Severity.CRITICAL, "Pod has not mounted its secrets"),
    RuleDoc("csi-provider-missing", Severity.CRITICAL, "Provider is missing on the node"),
    RuleDoc("csi-rotation-blind", Severity.WARNING, "Rotation cannot reach the pod"),
    RuleDoc("csi-orphaned-status", Severity.INFO, "Status of a pod that is gone"),
    RuleDoc("csi-subpath", Severity.WARNING, "Mounted by subPath"),
    RuleDoc("csi-synced-secret-missing", Severity.CRITICAL, "Its synced Secret is missing"),
    RuleDoc("csi-synced-secret-conflict", Severity.WARNING, "Two classes write one Secret"),
    # clusters
    RuleDoc("cluster-key-renewal-overdue", Severity.WARNING, "Sealing key renewal is overdue"),
    RuleDoc("cluster-key-renewal-off", Severity.INFO, "Sealing key renewal is off"),
    RuleDoc("cluster-key-not-loaded", Severity.WARNING, "Newest sealing key is not loaded"),
    RuleDoc("cluster-controller-down", Severity.CRITICAL, "An operator has no ready replica"),
    RuleDoc("cluster-poison-object", Severity.CRITICAL, "One object stops External Secrets"),
    RuleDoc("cluster-controller-stopped", Severity.CRITICAL, "A controller has stopped refreshing"),
    RuleDoc("cluster-controller-unready", Severity.WARNING, "An operator is not fully ready"),
    RuleDoc("cluster-controller-missing", Severity.CRITICAL, "An operator is missing"),
    RuleDoc("cluster-controller-outdated", Severity.INFO, "An operator has known defects"),
    RuleDoc("cluster-conversion-webhook", Severity.CRITICAL, "A conversion webhook fails every list"),
    RuleDoc("cluster-kind-vanished", Severity.WARNING, "A kind is not served any more"),
    RuleDoc("cluster-rights-lost", Severity.WARNING, "Our right to read a kind was taken away"),
    RuleDoc("cluster-key-compromised", Severity.WARNING, "A sealing key is marked compromised"),
    RuleDoc("cluster-key-lost", Severity.CRITICAL, "A sealing key is lost"),
    RuleDoc("cluster-rebuilt", Severity.CRITICAL, "Rebuilt without its sealing keys"),
    RuleDoc("cluster-certificate-expiring", Severity.WARNING, "Sealing certificate expires"),
    RuleDoc("cluster-certificate-shared", Severity.INFO, "Sealing certificate of several clusters"),
    RuleDoc("cluster-rotation-off", Severity.INFO, "Rotation of mounts is off"),
    RuleDoc("cluster-rotation-misconfigured", Severity.WARNING, "Rotation of mounts cannot work"),
    RuleDoc("cluster-rotation-blind", Severity.WARNING, "CSI driver is not ready on a node"),
    # lints: advice about specs, counted on a page of their own
    RuleDoc("lint-interval-zero", Severity.INFO, "Interval 0 in production", lint=True),
    RuleDoc("lint-deletion-policy", Severity.INFO, "deletionPolicy Delete", lint=True),
    RuleDoc("lint-store-open", Severity.INFO, "ClusterSecretStore for every namespace", lint=True),
    RuleDoc("lint-find-all", Severity.INFO, "Reads everything of its store", lint=True),
    RuleDoc("lint-cluster-wide-scope", Severity.INFO, "Sealed for the whole cluster", lint=True),
    RuleDoc("lint-renewal-off", Severity.INFO, "Sealing key renewal is off", lint=True),
    RuleDoc("lint-rotation-off", Severity.INFO, "Rotation of mounts is off", lint=True),
    RuleDoc("lint-last-applied", Severity.WARNING, "An annotation holds the Secret's values", lint=True),
    RuleDoc("lint-deprecated-api", Severity.INFO, "Written in a deprecated API version", lint=True),
    RuleDoc("lint-weak-generator", Severity.INFO, "Generator below 128 bits", lint=True),
)

RULES: Final[dict[str, RuleDoc]] = {rule.id: rule for rule in _ALL}
