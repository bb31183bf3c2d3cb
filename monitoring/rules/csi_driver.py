"""The CSI driver of a cluster: whether rotations reach running pods, how long they may take, where it does not run.

As 1.6.0 behaves, and 1.5 where said. Which pods the driver has is known with tier T1 only.
"""

import re
from datetime import timedelta
from enum import Enum
from typing import Final

from clusters.facts import DriverFacts, DriverPodFacts, NodeFacts, WorkloadFacts
from monitoring.health import Health
from monitoring.rules.base import ClusterContext
from monitoring.rules.durations import go_duration, span_words
from monitoring.rules.judgement import Judgement, listed, signed
from monitoring.rules.workloads import CSI_DRIVER, CSI_PROVIDER, workloads

DEFAULT_POLL: Final = timedelta(minutes=2)  # --rotation-poll-interval
KUBELET_LAG: Final = timedelta(seconds=90)  # kubelet calls again at its next pod sync
_NEEDS_REPUBLISH: Final = (1, 6)
_USUAL_NAME: Final = "secrets-store.csi.k8s.io"


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


def grace_words(cluster: ClusterContext, rotation: Rotation) -> str:
    """The grace in words for people."""
    if rotation is Rotation.OFF:
        return "none: rotation is off"
    return (
        f"{span_words(grace_of(cluster, rotation))}: rotation interval, {span_words(KUBELET_LAG)} for kubelet, our poll"
    )


def misses_driver(cluster: ClusterContext, node: NodeFacts) -> bool:
    """Whether no secrets-store driver is registered on this node."""
    known = [w.key.name for w in cluster.supporting.get("CSIDriver", ())]
    known = [name for name in known if name.startswith("secrets-store")] or [_USUAL_NAME]
    return not any(name in node.drivers for name in known)


def not_ready_on(cluster: ClusterContext, node: str, provider: str) -> list[str]:
    """Of driver and provider, which has pods in this cluster but none that is ready on this node (tier T1)."""
    pods = [w.facts for w in cluster.supporting.get("DriverPod", ()) if isinstance(w.facts, DriverPodFacts)]
    wanted = {
        "driver": [facts for facts in pods if facts.role == CSI_DRIVER],
        f"provider {provider}": [facts for facts in pods if facts.role == CSI_PROVIDER and facts.provider == provider],
    }
    return [
        name
        for name, running in wanted.items()
        if running and not any(facts.ready for facts in running if facts.node == node)
    ]


def judge_driver(judgement: Judgement, context: ClusterContext) -> None:
    """The cluster's findings about rotation."""
    rotation = rotation_of(context)
    _blind_nodes(judgement, context)
    if rotation is Rotation.OFF:
        judgement.find(
            "cluster-rotation-off",
            Health.HEALTHY,
            "The CSI driver runs without rotation: pods keep what they mounted when they started.",
            hint="Start the driver with --enable-secret-rotation=true if rotations shall reach running pods.",
        )
        judgement.lint(
            "lint-rotation-off",
            "The CSI driver runs without rotation.",
            hint="Start the driver with --enable-secret-rotation=true.",
        )
    elif rotation is Rotation.MISCONFIGURED:
        names = [
            workload.key.name
            for workload in context.supporting.get("CSIDriver", ())
            if isinstance(workload.facts, DriverFacts) and workload.facts.requires_republish is not True
        ]
        judgement.find(
            "cluster-rotation-misconfigured",
            Health.AT_RISK,
            f"Rotation is on, but CSIDriver {listed(names)} does not ask for republish, which driver 1.6 needs.",
            hint="Set spec.requiresRepublish: true on the CSIDriver.",
            signature=misconfigured(context),
        )


def _blind_nodes(judgement: Judgement, context: ClusterContext) -> None:
    """Nodes with a pod of the driver that is not ready (tier T1)."""
    pods = [w.facts for w in context.supporting.get("DriverPod", ()) if isinstance(w.facts, DriverPodFacts)]
    nodes = sorted({facts.node for facts in pods if facts.role == CSI_DRIVER and not facts.ready and facts.node})
    if nodes:
        judgement.find(
            "cluster-rotation-blind",
            Health.AT_RISK,
            f"The CSI driver has no ready pod on {listed(nodes)}: no rotation arrives there, and no pod can start.",
            hint="Look at the driver's DaemonSet and at its pods on these nodes.",
            signature=signed("csi rotation blind", context.name, nodes[0]),
        )


def misconfigured(cluster: ClusterContext) -> str:
    """The signature of all that a rotation which cannot work leaves at risk in one cluster."""
    return signed("csi rotation misconfigured", cluster.name)
