"""Rules for mounts of the Secrets Store CSI Driver, as 1.6.0 (and 1.5 where said) behaves.

`mounted` is always true and a refused rotation is invisible since 1.6, so the only sign is the comparison of mounts:
one is outdated when another mount of its class changed to another version later than this one.
"""

import re
from bisect import bisect_right
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from clusters.observations import (
    ClassFacts,
    DriverFacts,
    MountedObject,
    MountFacts,
    NodeFacts,
    Observation,
    ResourceKey,
    WorkloadFacts,
)
from monitoring.health import Health
from monitoring.rules.base import ClusterContext, Context
from monitoring.rules.durations import after, go_duration, moment_words
from monitoring.rules.judgement import Judgement, listed, newest_at, newest_warning
from monitoring.rules.workloads import CSI_DRIVER, workloads

DEFAULT_POLL: Final = timedelta(minutes=2)  # --rotation-poll-interval
KUBELET_LAG: Final = timedelta(seconds=90)  # kubelet calls again at its next pod sync
EVENT_LIFE: Final = timedelta(hours=1)  # how long a failed rotation's Event is proof
UNSTABLE_CHANGES: Final = 4
UNSTABLE_GAP: Final = timedelta(hours=1)
_NEEDS_REPUBLISH: Final = (1, 6)


class Rotation(Enum):
    ON = "on"
    OFF = "off"
    MISCONFIGURED = "misconfigured"
    UNKNOWN = "unknown"


def rotation_of(cluster: ClusterContext) -> Rotation:
    """Whether rotations reach running pods: a flag of the driver (off by default), and since 1.6 of its CSIDriver."""
    driver = _driver(cluster)
    if driver is None:
        return Rotation.UNKNOWN
    if driver.options.get("enable-secret-rotation", "false").lower() not in ("true", "1", "t"):
        return Rotation.OFF
    drivers = [w.facts for w in cluster.supporting.get("CSIDriver", ()) if isinstance(w.facts, DriverFacts)]
    version = re.match(r"v?(\d{1,4})\.(\d{1,4})", driver.version)
    needs = version is not None and (int(version[1]), int(version[2])) >= _NEEDS_REPUBLISH
    if needs and drivers and not any(facts.requires_republish for facts in drivers):
        return Rotation.MISCONFIGURED
    return Rotation.ON


def _driver(cluster: ClusterContext) -> WorkloadFacts | None:
    """The driver's DaemonSet; of several (Linux and Windows) the one with most nodes."""
    found = [facts for _, facts in workloads(cluster, "DaemonSet", CSI_DRIVER)]
    return max(found, key=lambda facts: facts.desired, default=None)


def grace_of(cluster: ClusterContext, rotation: Rotation) -> timedelta:
    """How long a mount may be behind: until the driver asked again, kubelet called it and we looked."""
    if rotation is Rotation.OFF:
        return timedelta(0)
    driver = _driver(cluster)
    written = driver.options.get("rotation-poll-interval", "") if driver else ""
    return (go_duration(written) or DEFAULT_POLL) + KUBELET_LAG + cluster.poll_interval


def judge_mount(judgement: Judgement, observation: Observation, facts: MountFacts, context: Context) -> None:
    rotation = rotation_of(context.cluster)
    grace = grace_of(context.cluster, rotation)
    if _unstable(observation, facts):
        names = [item.id for item in facts.objects if item.changed_at and item.changed_at != observation.created_at]
        judgement.find(
            "csi-unstable-version",
            Health.HEALTHY,
            f"The version changes again and again without a rotation ({listed(names)}), so it tells nothing.",
            hint="With Vault: mount a key (secretKey) instead of the whole secret, whose answer carries a request id.",
        )
    elif context.siblings:
        _outdated(judgement, facts, context, rotation, grace)
    if rotation is Rotation.MISCONFIGURED:
        judgement.find(
            "csi-rotation-misconfigured",
            Health.AT_RISK,
            "Rotation is on, but the CSIDriver does not ask for republish: the next rotation will not arrive.",
            hint="Set spec.requiresRepublish: true on the CSIDriver.",
        )
    if context.events:
        _failed_rotation(judgement, facts, context)
    _class(judgement, observation, facts, context, grace)
    _node(judgement, facts, context)


def _unstable(observation: Observation, facts: MountFacts) -> bool:
    """Vault's provider hashes a request id when a whole secret is mounted: each poll brings another version."""
    changes = facts.generation - 1
    if changes < UNSTABLE_CHANGES or observation.created_at is None or facts.written_at is None:
        return False
    return (facts.written_at - observation.created_at) / changes < UNSTABLE_GAP


def _outdated(judgement: Judgement, facts: MountFacts, context: Context, rotation: Rotation, grace: timedelta) -> None:
    behind: list[tuple[datetime, str]] = []
    for item in facts.objects:
        since = _behind_since(item, context.siblings)
        if since is not None and judgement.passed(after(since, grace)):
            behind.append((since, item.id))
    if not behind:
        return
    names = listed([name for _, name in sorted(behind)])
    since = min(moment for moment, _ in behind)
    off = rotation is Rotation.OFF
    judgement.find(
        "csi-outdated-version",
        Health.STALE,
        f"Other pods have a newer version of {names} since {moment_words(since)}; this pod still has the old one."
        + (" Rotation is off: restart the pod." if off else ""),
        hint=f"Restart the pod {facts.pod}." if off else f"Look at the driver's log on node {facts.node}.",
        since=since,
    )
    if off:
        judgement.find(
            "csi-rotation-off",
            Health.HEALTHY,
            "Rotation is off in this cluster: a running pod keeps what it mounted at its start.",
        )


class _Newest(NamedTuple):
    """The newest version of one object, and when each mount that has it got it, in order."""

    version: str
    moments: list[datetime]


class _Siblings:
    """A key that is equal for one and the same tuple only: comparing thousands of mounts costs more than the work."""

    __slots__ = ("mounts",)

    def __init__(self, mounts: tuple[MountFacts, ...]) -> None:
        self.mounts = mounts

    def __hash__(self) -> int:
        return id(self.mounts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Siblings) and self.mounts is other.mounts


@lru_cache(maxsize=4)
def _newest_of(siblings: _Siblings) -> dict[str, _Newest]:
    """The newest version of each object by its id, where there is one.

    It is the version that some mount changed to last, not the one seen first: after a rollback the pod that followed is
    right. Computed once for all mounts of a class that are judged with the same context.
    """
    by_id: dict[str, list[MountedObject]] = {}
    for mount in siblings.mounts:
        for item in mount.objects:
            by_id.setdefault(item.id, []).append(item)
    newest = {}
    for name, items in by_id.items():
        dated = [(item.changed_at, item.version) for item in items if item.changed_at is not None]
        if dated and not _each_its_own(items):
            version = max(dated)[1]
            newest[name] = _Newest(version, sorted(moment for moment, other in dated if other == version))
    return newest


def _behind_since(item: MountedObject, siblings: tuple[MountFacts, ...]) -> datetime | None:
    """Since when another mount has the newest version of `item` while this one has not; None if it is not behind."""
    newest = _newest_of(_Siblings(siblings)).get(item.id)
    if newest is None or item.changed_at is None or newest.version == item.version:
        return None
    later = bisect_right(newest.moments, item.changed_at)
    return newest.moments[later] if later < len(newest.moments) else None


def _each_its_own(items: list[MountedObject]) -> bool:
    """Whether no two of at least three mounts agree: credentials made per pod (Vault) have no newest version."""
    return len(items) >= 3 and len({item.version for item in items}) == len(items)


def _failed_rotation(judgement: Judgement, facts: MountFacts, context: Context) -> None:
    """Only drivers before 1.6 say so, by an Event on the pod; later ones answer ok to kubelet."""
    failed = newest_at(context.events, "MountRotationFailed")
    if failed is None or (facts.written_at is not None and facts.written_at > failed):
        return
    if judgement.passed(after(failed, EVENT_LIFE)):
        return
    failures = tuple(event for event in context.events if event.reason == "MountRotationFailed")
    judgement.find(
        "csi-rotation-failed",
        Health.FAILING,
        f"The rotation failed, the last time on {moment_words(failed)}; the pod keeps the old version.",
        cause=newest_warning(failures, None),
        hint="See whether the pod's identity may read the secret at the provider.",
    )


def _class(
    judgement: Judgement, observation: Observation, facts: MountFacts, context: Context, grace: timedelta
) -> None:
    key = ResourceKey("SecretProviderClass", observation.key.namespace, facts.class_name)
    related = context.related.get(key)
    if related is None:
        if key.kind in context.cluster.readable:
            judgement.find(
                "csi-class-missing",
                Health.AT_RISK,
                f"The SecretProviderClass {facts.class_name} does not exist any more: no rotation arrives, and the "
                f"next pod cannot start.",
                hint="Create the class again.",
            )
        return
    if not isinstance(related, ClassFacts) or related.spec_written_at is None or facts.written_at is None:
        return
    missing = _not_mounted(related, facts)
    newer = related.spec_written_at > facts.written_at
    if missing and newer and judgement.passed(after(related.spec_written_at, grace)):
        judgement.find(
            "csi-class-newer",
            Health.STALE,
            f"The class was changed on {moment_words(related.spec_written_at)} and asks for {listed(missing)}, "
            f"which this pod has not mounted.",
            hint=f"Restart the pod {facts.pod}, or look at the driver's log on node {facts.node}.",
            since=related.spec_written_at,
        )


def _not_mounted(wanted: ClassFacts, facts: MountFacts) -> list[str]:
    """Names that the class asks for and that are not mounted; empty where that cannot be told."""
    # AWS mounts an alias under its own name, which the class's names do not hold: there only the number tells.
    if wanted.provider == "aws" and len(wanted.objects) <= len(facts.objects):
        return []
    return [name for name in wanted.objects if not any(_names(item.id, name) for item in facts.objects)]


def _names(mounted: str, declared: str) -> bool:
    """Whether the id of a mounted object is that of the declared name: providers add a type, an index or a path."""
    flat = declared.replace("/", "_")
    return mounted in (declared, flat) or f"/{declared}/" in f"/{mounted}/"


def _node(judgement: Judgement, facts: MountFacts, context: Context) -> None:
    node = context.related.get(ResourceKey("CSINode", "", facts.node)) or next(
        (w.facts for w in context.cluster.supporting.get("CSINode", ()) if w.key.name == facts.node), None
    )
    if not isinstance(node, NodeFacts):
        return
    known = [w.key.name for w in context.cluster.supporting.get("CSIDriver", ())]
    known = [name for name in known if name.startswith("secrets-store")] or ["secrets-store.csi.k8s.io"]
    if not any(name in node.drivers for name in known):
        judgement.find(
            "csi-driver-missing",
            Health.AT_RISK,
            f"The CSI driver is not registered on node {facts.node}: no rotation reaches this pod, and the next pod "
            f"there cannot start.",
            hint=f"Look at the driver's pod on node {facts.node}.",
        )
