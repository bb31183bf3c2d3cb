"""What a rule sees and what it says. Plain values: no database, no cluster, no clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from clusters.facts import Facts, MountFacts, ResourceKey
from clusters.observations import EventNote
from monitoring.health import Health, Severity, worst_of
from monitoring.rules.thresholds import DEFAULTS, Thresholds


class Finding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One complaint of one rule about one resource (or about a cluster).

    `rule` is a stable id such as "es-silent-stale". `health` is the health this finding calls for. `summary` is a
    sentence for someone woken at night; `cause` is the controller's own words, scrubbed and clipped; `hint` says
    what to look at first. `since` is when the state began by the controller's clock where it tells, else None.
    `cause_class` is the id of a class of `causes` ("" where there is none). `signature` is equal for what one and the
    same cause brings about, in all clusters; "" for what needs nobody. `threshold` says by which limit it was judged,
    in words ("late by more than 6 minutes: a tenth of its interval").
    """

    rule: str
    severity: Severity
    health: Health
    summary: str
    cause: str = ""
    hint: str = ""
    since: datetime | None = None
    cause_class: str = ""
    signature: str = ""
    threshold: str = ""


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Health and findings of one resource, worst finding first.

    `lints` are advice about its spec, never part of health.

    `recheck_at` is the next moment at which the clock alone can change this verdict (None: never). `due_at` is when
    the controller must have refreshed again, where the kind has such a moment.
    """

    health: Health
    findings: tuple[Finding, ...] = ()
    lints: tuple[Finding, ...] = ()
    recheck_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Since when, by the controller's clock, the worst finding holds."""
        return next((finding.since for finding in self.findings if finding.health == self.health), None)

    @property
    def signature(self) -> str:
        """Of the worst finding: what the resource is counted under among causes. "" unless it is at risk or worse."""
        worst = self.findings[0] if self.findings and self.health >= Health.AT_RISK else None
        return worst.signature if worst else ""


def verdict(
    findings: list[Finding],
    *,
    lints: Sequence[Finding] = (),
    recheck_at: datetime | None = None,
    due_at: datetime | None = None,
) -> Verdict:
    """A verdict whose health is the worst that its findings call for."""
    ordered = tuple(sorted(findings, key=lambda finding: -finding.health))
    health = worst_of([finding.health for finding in ordered])
    return Verdict(health=health, findings=ordered, lints=tuple(lints), recheck_at=recheck_at, due_at=due_at)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A watched object with its key, as cluster rules see it."""

    key: ResourceKey
    facts: Facts
    created_at: datetime | None = None


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over one cluster's judged resources, from what is recorded.

    `periodic` are ExternalSecrets that must refresh by a moment, `overdue` those of them found not refreshed in time
    while Ready (es-silent-stale); `newest_refresh` is the newest refresh of any. `poison` are resources with
    es-poison-interval. `sealed` and `sealed_failing` count SealedSecrets and those that no key decrypts (by the class
    of their cause), `sealed_old` those created before `newest_key`, the beginning of the newest sealing key.
    """

    periodic: int = 0
    overdue: int = 0
    newest_refresh: datetime | None = None
    poison: tuple[ResourceKey, ...] = ()
    sealed: int = 0
    sealed_failing: int = 0
    sealed_old: int = 0


class KindState(msgspec.Struct, frozen=True, kw_only=True):
    """How reading a kind ended the last time: `outcome` by its value, `since` by our clock.

    `known_before`: it was read completely at some time; so "not installed" means that it vanished, "forbidden" that a
    right was lost. `resources` are how many we still hold.
    """

    outcome: str = ""
    message: str = ""
    since: datetime | None = None
    known_before: bool = False
    resources: int = 0


class SeenCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A sealing certificate that this cluster served at some time, by our own history. Moments are our clock's."""

    sha256: str = ""
    not_before: datetime | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None


class SeenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A sealing key's Secret as this cluster had it at some time; `gone_at` is when it was missed first."""

    name: str = ""
    created_at: datetime | None = None
    state: str = ""
    gone_at: datetime | None = None


class ClusterContext(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may know of a cluster as a whole.

    `readable` are the kinds of which our knowledge is complete and fresh: only for them absence means something; of
    Secrets only in `secret_namespaces` (None: in all of them), see `sees_secrets`. `supporting` holds, by kind, the
    rows of SealingKey, SealingCertificate, Deployment, DaemonSet, CSIDriver, CSINode and DriverPod. `labels` are ours.
    `certificates` and `keys` are our history, `shared_with` the names of other clusters by the digest of a certificate
    that they serve too. `census` and `kinds` are filled where the cluster itself is judged, `certificates`, `keys`
    everywhere. `queue_lag` is how late this cluster's controller usually refreshes, by our history.
    """

    cluster_id: int = 0
    name: str = ""
    labels: Mapping[str, object] = {}
    thresholds: Thresholds = DEFAULTS
    poll_interval: timedelta = timedelta(seconds=60)
    queue_lag: timedelta = timedelta(0)
    readable: frozenset[str] = frozenset()
    secret_namespaces: frozenset[str] | None = None
    supporting: Mapping[str, tuple[Workload, ...]] = {}
    certificates: tuple[SeenCertificate, ...] = ()
    keys: tuple[SeenKey, ...] = ()
    shared_with: Mapping[str, tuple[str, ...]] = {}
    census: Census = Census()
    kinds: Mapping[str, KindState] = {}

    def sees_secrets(self, namespace: str) -> bool:
        """Whether a Secret of this namespace that is not known does not exist."""
        return "Secret" in self.readable and (self.secret_namespaces is None or namespace in self.secret_namespaces)


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """Health of an ExternalSecret or PushSecret that a cluster-wide parent made."""

    key: ResourceKey
    health: Health


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The version of an object that some mount of the same source changed to last, in any cluster, by our history.

    `cluster` names where that was; `here` says whether it was in the cluster of the judged mount.
    """

    version: str
    changed_at: datetime
    cluster: str = ""
    here: bool = False


class SeenSealed(msgspec.Struct, frozen=True, kw_only=True):
    """The same ciphertext elsewhere: in which SealedSecret it is, and whether that one is synced now.

    `here` says whether that is the cluster of the judged SealedSecret.
    """

    cluster: str
    key: ResourceKey
    synced: bool = False
    here: bool = False

    def is_at(self, key: ResourceKey) -> bool:
        """Whether this is the SealedSecret with that key in the judged one's own cluster."""
        return self.here and self.key == key


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may see beside its resource.

    `related` has the facts of referenced resources that are known: stores; target Secrets; a mount's class, node and
    pod; a pod's classes and node. A key whose kind is in `cluster.readable` and that is missing here does not exist
    (Secrets: ask `cluster.sees_secrets`). `events` are of this resource, newest first: for a mount those of its pod,
    for a class those of all pods that mount it. `store_events` are those of its stores that are not ready. `siblings`
    are all mounts of the same class in this cluster: of a mount (itself included), of a class, and of a pod its own
    mounts. `children` are those of cluster-wide parents.
    `neighbours` are other resources of this namespace with the same target Secret. `newest` is by object id, for mounts
    whose class has a source. `sealed_elsewhere` is by ciphertext digest, for SealedSecrets that are not synced.
    `first_sealed` is by ciphertext digest: when we first saw it, in any cluster.
    """

    cluster: ClusterContext = ClusterContext()
    related: Mapping[ResourceKey, Facts] = {}
    events: tuple[EventNote, ...] = ()
    store_events: Mapping[ResourceKey, tuple[EventNote, ...]] = {}
    siblings: tuple[MountFacts, ...] = ()
    children: tuple[Child, ...] = ()
    neighbours: tuple[ResourceKey, ...] = ()
    newest: Mapping[str, Newest] = {}
    sealed_elsewhere: Mapping[str, tuple[SeenSealed, ...]] = {}
    first_sealed: Mapping[str, datetime] = {}
