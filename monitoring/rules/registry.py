"""Every rule by its id. `docs/rules.md` has a section for each; a test compares the two."""

from typing import Final, NamedTuple

from monitoring.health import Severity


class RuleDoc(NamedTuple):
    """A rule as people see it in lists: stable id, severity of its findings, short title."""

    id: str
    severity: Severity
    title: str


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
    # secret stores
    RuleDoc("store-pending", Severity.INFO, "Waits for its first validation"),
    RuleDoc("store-never-validated", Severity.WARNING, "Never validated"),
    RuleDoc("store-not-ready", Severity.CRITICAL, "Secret store is not ready"),
    RuleDoc("store-deletion-stuck", Severity.WARNING, "Deletion is stuck"),
    # Sealed Secrets
    RuleDoc("ss-not-synced", Severity.CRITICAL, "Cannot be unsealed"),
    RuleDoc("ss-status-stale", Severity.WARNING, "The condition contradicts a newer event"),
    RuleDoc("ss-pending", Severity.INFO, "Waits for its first unsealing"),
    RuleDoc("ss-never-reconciled", Severity.CRITICAL, "Never unsealed"),
    RuleDoc("ss-status-missing", Severity.WARNING, "No status"),
    RuleDoc("ss-observed-lag", Severity.WARNING, "The newest change was not unsealed"),
    RuleDoc("ss-scope-mismatch", Severity.WARNING, "Scope differs from the template's"),
    # Secrets Store CSI Driver
    RuleDoc("csi-outdated-version", Severity.CRITICAL, "Mount is behind the newest version"),
    RuleDoc("csi-unstable-version", Severity.INFO, "Version changes without a rotation"),
    RuleDoc("csi-rotation-off", Severity.INFO, "Rotation is off"),
    RuleDoc("csi-rotation-misconfigured", Severity.WARNING, "Rotation is on but cannot work"),
    RuleDoc("csi-rotation-failed", Severity.CRITICAL, "Rotation failed"),
    RuleDoc("csi-class-missing", Severity.WARNING, "Its class is gone"),
    RuleDoc("csi-class-newer", Severity.WARNING, "Class is newer than the mount"),
    RuleDoc("csi-driver-missing", Severity.WARNING, "Driver is missing on the node"),
    # clusters
    RuleDoc("cluster-key-renewal-overdue", Severity.WARNING, "Sealing key renewal is overdue"),
    RuleDoc("cluster-key-renewal-off", Severity.INFO, "Sealing key renewal is off"),
    RuleDoc("cluster-key-not-loaded", Severity.WARNING, "Newest sealing key is not loaded"),
    RuleDoc("cluster-controller-down", Severity.CRITICAL, "An operator has no ready replica"),
    RuleDoc("cluster-rotation-off", Severity.INFO, "Rotation of mounts is off"),
    RuleDoc("cluster-rotation-misconfigured", Severity.WARNING, "Rotation of mounts cannot work"),
)

RULES: Final[dict[str, RuleDoc]] = {rule.id: rule for rule in _ALL}
