"""Rules for mounts of the Secrets Store CSI Driver, as 1.6.0 (and 1.5 where said) behaves.

`mounted` is always true and a refused rotation is invisible since 1.6, so the only sign is the comparison of mounts:
one is outdated when another mount of its class changed to another version later than this one.
"""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from clusters.facts import ClassFacts, MountedObject, MountFacts, NodeFacts, PodFacts, ResourceKey
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules.base import Context, Newest
from monitoring.rules.csi_driver import (
    Rotation,
    grace_of,
    grace_words,
    misconfigured,
    misses_driver,
    not_ready_on,
    rotation_of,
)
from monitoring.rules.durations import after, moment_words
from monitoring.rules.judgement import Judgement, listed, newest_at, newest_warning, signed

EVENT_LIFE: Final = timedelta(hours=1)  # how long a failed rotation's Event is proof
UNSTABLE_CHANGES: Final = 4
UNSTABLE_GAP: Final = timedelta(hours=1)


def judge_mount(judgement: Judgement, observation: Observation, facts: MountFacts, context: Context) -> None:
    pod = context.related.get(ResourceKey("Pod", observation.key.namespace, facts.pod))
    if "Pod" in context.cluster.readable and _is_gone(pod):
        judgement.find(
            "csi-orphaned-status",
            Health.HEALTHY,
            f"Its pod {facts.pod} is gone, is finished or is being deleted: nothing is mounted any more.",
        )
        return
    rotation = rotation_of(context.cluster)
    grace = grace_of(context.cluster, rotation)
    if isinstance(pod, PodFacts):
        _sub_path(judgement, facts, pod)
    if _unstable(observation, facts):
        names = [item.id for item in facts.objects if item.changed_at and item.changed_at != observation.created_at]
        judgement.find(
            "csi-unstable-version",
            Health.HEALTHY,
            f"The version changes again and again without a rotation ({listed(names)}), so it tells nothing.",
            hint="With Vault: mount a key (secretKey) instead of the whole secret, whose answer carries a request id.",
        )
    elif context.siblings or context.newest:
        _outdated(judgement, observation, facts, context, rotation, grace)
    if rotation is Rotation.MISCONFIGURED:
        judgement.find(
            "csi-rotation-misconfigured",
            Health.AT_RISK,
            "Rotation is on, but the CSIDriver does not ask for republish: the next rotation will not arrive.",
            hint="Set spec.requiresRepublish: true on the CSIDriver.",
            signature=misconfigured(context.cluster),
        )
    if context.events:
        _failed_rotation(judgement, facts, context)
    _class(judgement, observation, facts, context, grace)
    _node(judgement, observation, facts, context, rotation)


def _is_gone(pod: object) -> bool:
    """Driver E13: it skips pods that are being deleted, and those that have ended."""
    if not isinstance(pod, PodFacts):
        return True
    return pod.deleting_since is not None or pod.phase in ("Succeeded", "Failed")


def _sub_path(judgement: Judgement, facts: MountFacts, pod: PodFacts) -> None:
    if any(mount.sub_path for mount in pod.mounts if mount.class_name == facts.class_name):
        judgement.find(
            "csi-subpath",
            Health.AT_RISK,
            f"A container of pod {facts.pod} mounts a part of this volume by subPath, which never sees a rotation.",
            hint="Mount the whole volume instead, or restart the pod after each rotation.",
        )


def _unstable(observation: Observation, facts: MountFacts) -> bool:
    """Vault's provider hashes a request id when a whole secret is mounted: each poll brings another version."""
    changes = facts.generation - 1
    if changes < UNSTABLE_CHANGES or observation.created_at is None or facts.written_at is None:
        return False
    return (facts.written_at - observation.created_at) / changes < UNSTABLE_GAP


def _outdated(
    judgement: Judgement,
    observation: Observation,
    facts: MountFacts,
    context: Context,
    rotation: Rotation,
    grace: timedelta,
) -> None:
    key = observation.key
    remembered = _remembered(ResourceKey("SecretProviderClass", key.namespace, facts.class_name), context)
    behind: list[tuple[datetime, str, Newest | None]] = []
    for item in facts.objects:
        since, far = _behind_since(item, context, remembered)
        if since is not None and judgement.passed(after(since, grace)):
            behind.append((since, item.id, far))
    if not behind:
        return
    behind.sort(key=lambda found: found[:2])
    since, _, far = behind[0]
    names = listed([name for _, name, _ in behind])
    off = rotation is Rotation.OFF
    who = f"Cluster {far.cluster} has" if far is not None and not far.here else "Other pods have, or had,"
    judgement.find(
        "csi-outdated-version",
        Health.STALE,
        f"{who} a newer version of {names} since {moment_words(since)}; this pod still has the old one."
        + (" Rotation is off: restart the pod." if off else ""),
        hint=f"Restart the pod {facts.pod}." if off else f"Look at the driver's log on node {facts.node}.",
        since=since,
        signature=signed("csi rotation off", context.cluster.name)
        if off
        else signed("csi-outdated-version", key.namespace, facts.class_name, names),
        threshold=f"Grace {grace_words(context.cluster, rotation)}.",
    )
    if off:
        judgement.find(
            "csi-rotation-off",
            Health.HEALTHY,
            "Rotation is off in this cluster: a running pod keeps what it mounted at its start.",
        )


class _Newest(NamedTuple):
    """The newest version of an object, and when each mount that has it got it, in order; without moments none is."""

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
    """The newest version of each object by its id; without moments where each mount has its own.

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
        if _each_its_own(items):
            newest[name] = _Newest("", [])
        elif dated:
            version = max(dated)[1]
            newest[name] = _Newest(version, sorted(moment for moment, other in dated if other == version))
    return newest


def _remembered(key: ResourceKey, context: Context) -> Mapping[str, Newest]:
    """Newest versions by our history, where they can be compared: Vault may give each pod its own, now or earlier."""
    related = context.related.get(key)
    is_vault = isinstance(related, ClassFacts) and related.provider == "vault"
    return {} if is_vault else context.newest


def _behind_since(
    item: MountedObject, context: Context, remembered: Mapping[str, Newest]
) -> tuple[datetime | None, Newest | None]:
    """Since when a newer version of `item` is mounted elsewhere (None: it is not behind), and where, if not here.

    What we remember of this source goes beyond the siblings that are there now: other clusters, and mounts that had the
    newest version and went away.
    """
    near, far = _newest_of(_Siblings(context.siblings)).get(item.id), remembered.get(item.id)
    if item.changed_at is None or (near is not None and not near.moments):
        return None, None
    if far is not None and (near is None or far.changed_at > near.moments[-1]):
        is_behind = far.version != item.version and far.changed_at > item.changed_at
        return (far.changed_at, far) if is_behind else (None, None)
    if near is None or near.version == item.version:
        return None, None
    later = bisect_right(near.moments, item.changed_at)
    return (near.moments[later], None) if later < len(near.moments) else (None, None)


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
                signature=signed("csi-class-missing", context.cluster.name, key.namespace, facts.class_name),
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
            signature=signed("csi-class-newer", key.namespace, facts.class_name),
            threshold=f"Grace {grace_words(context.cluster, rotation_of(context.cluster))}.",
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


def _node(
    judgement: Judgement, observation: Observation, facts: MountFacts, context: Context, rotation: Rotation
) -> None:
    node = context.related.get(ResourceKey("CSINode", "", facts.node)) or next(
        (w.facts for w in context.cluster.supporting.get("CSINode", ()) if w.key.name == facts.node), None
    )
    if isinstance(node, NodeFacts) and misses_driver(context.cluster, node):
        judgement.find(
            "csi-driver-missing",
            Health.AT_RISK,
            f"The CSI driver is not registered on node {facts.node}: no rotation reaches this pod, and the next pod "
            f"there cannot start.",
            hint=f"Look at the driver's pod on node {facts.node}.",
            signature=signed("csi driver missing", context.cluster.name, facts.node),
        )
    if rotation is Rotation.ON:
        _blind(judgement, observation, facts, context)


def _blind(judgement: Judgement, observation: Observation, facts: MountFacts, context: Context) -> None:
    """Without its pod on the node a rotation is neither done nor refused: versions may be old, and nothing tells."""
    if "DriverPod" not in context.cluster.readable:
        return
    related = context.related.get(ResourceKey("SecretProviderClass", observation.key.namespace, facts.class_name))
    provider = related.provider if isinstance(related, ClassFacts) else ""
    if silent := not_ready_on(context.cluster, facts.node, provider):
        judgement.find(
            "csi-rotation-blind",
            Health.AT_RISK,
            f"The {' and the '.join(silent)} has no ready pod on node {facts.node}: a rotation does not reach this "
            f"pod, and it cannot be told whether there was one.",
            hint=f"kubectl get pods --all-namespaces --field-selector spec.nodeName={facts.node}",
            signature=signed("csi rotation blind", context.cluster.name, facts.node),
        )
