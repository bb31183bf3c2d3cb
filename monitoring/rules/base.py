"""What a rule sees and what it says. Plain values: no database, no cluster, no clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from clusters.observations import EventNote, Facts, MountFacts, ResourceKey
from monitoring.health import Health, Severity, worst_of


class Finding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One complaint of one rule about one resource (or about a cluster).

    `rule` is a stable id such as "es-silent-stale". `health` is the health this finding calls for. `summary` is a
    sentence for someone woken at night; `cause` is the controller's own words, scrubbed and clipped; `hint` says
    what to look at first. `since` is when the state began by the controller's clock where it tells, else None.
    """

    rule: str
    severity: Severity
    health: Health
    summary: str
    cause: str = ""
    hint: str = ""
    since: datetime | None = None


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Health and findings of one resource, worst finding first.

    `recheck_at` is the next moment at which the clock alone can change this verdict (None: never). `due_at` is when
    the controller must have refreshed again, where the kind has such a moment.
    """

    health: Health
    findings: tuple[Finding, ...] = ()
    recheck_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Since when, by the controller's clock, the worst finding holds."""
        return next((finding.since for finding in self.findings if finding.health == self.health), None)


def verdict(
    findings: list[Finding],
    *,
    recheck_at: datetime | None = None,
    due_at: datetime | None = None,
) -> Verdict:
    """A verdict whose health is the worst that its findings call for."""
    ordered = tuple(sorted(findings, key=lambda finding: -finding.health))
    health = worst_of([finding.health for finding in ordered])
    return Verdict(health=health, findings=ordered, recheck_at=recheck_at, due_at=due_at)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A watched object with its key, as cluster rules see it."""

    key: ResourceKey
    facts: Facts
    created_at: datetime | None = None


class ClusterContext(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may know of a cluster as a whole.

    `readable` are the kinds of which our knowledge is complete and fresh: only for them absence means something.
    `supporting` holds, by kind, the rows of SealingKey, SealingCertificate, Deployment, DaemonSet, CSIDriver, CSINode.
    """

    poll_interval: timedelta = timedelta(seconds=60)
    readable: frozenset[str] = frozenset()
    supporting: Mapping[str, tuple[Workload, ...]] = {}


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """Health of an ExternalSecret or PushSecret that a cluster-wide parent made."""

    key: ResourceKey
    health: Health


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may see beside its resource.

    `related` has the facts of referenced resources that are known (stores, classes); a key whose kind is in
    `cluster.readable` and that is missing here does not exist. `events` are of this resource, newest first (for a
    mount: of its pod). `siblings` are all mounts of the same class in this cluster, the judged one included.
    `children` are those of ClusterExternalSecret and ClusterPushSecret.
    """

    cluster: ClusterContext = ClusterContext()
    related: Mapping[ResourceKey, Facts] = {}
    events: tuple[EventNote, ...] = ()
    siblings: tuple[MountFacts, ...] = ()
    children: tuple[Child, ...] = ()
