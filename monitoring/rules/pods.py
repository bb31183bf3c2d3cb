"""Rules for pods that mount a SecretProviderClass (tier T1): what they ask for is mounted, or why it is not.

A mount that does not exist has no object of its own, so the pod is the subject. Driver 1.6.0: after a first mount that
timed out its retry answers ok, and the pod runs with an empty directory and without a pod status.
"""

from clusters.facts import ClassFacts, NodeFacts, PodFacts, ResourceKey
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.csi_driver import misses_driver, not_ready_on
from monitoring.rules.durations import after, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, newest_warning, signed

MOUNT_KIND, CLASS_KIND = "SecretProviderClassPodStatus", "SecretProviderClass"
_PROVIDER_GONE = "provider not found"


def judge_pod(judgement: Judgement, observation: Observation, facts: PodFacts, context: Context) -> None:
    """A pod that is not scheduled yet, has ended or is being deleted has nothing to mount."""
    ended = facts.deleting_since is not None or facts.phase in ("Succeeded", "Failed")
    if ended or not facts.node or MOUNT_KIND not in context.cluster.readable:
        return
    mounted = {mount.class_name for mount in context.siblings}
    waiting = list(dict.fromkeys(mount.class_name for mount in facts.mounts if mount.class_name not in mounted))
    began = facts.scheduled_at or observation.created_at
    if not waiting:
        return
    wait = context.cluster.thresholds.mount_wait
    if began is not None and not judgement.passed(after(began, wait)):
        judgement.find(
            "csi-pending",
            Health.PROGRESSING,
            f"On its node since {moment_words(began)}; {listed(waiting)} is not mounted yet.",
            since=began,
        )
        return
    _not_mounted(judgement, observation, facts, context, waiting)


def _not_mounted(
    judgement: Judgement, observation: Observation, facts: PodFacts, context: Context, waiting: list[str]
) -> None:
    key, began = observation.key, facts.scheduled_at or observation.created_at
    failures = tuple(event for event in context.events if event.reason == "FailedMount")
    cause = newest_warning(failures, None)
    command = f"kubectl -n {key.namespace} describe pod {key.name}"
    found = causes.diagnose(cause, command, own=(key.namespace, *waiting))
    runs = " The pod runs, perhaps with an empty directory." if facts.phase == "Running" else " The pod cannot start."
    judgement.find(
        "csi-not-mounted",
        Health.FAILING,
        f"{listed(waiting)} is not mounted, although the pod is on its node"
        + (f" since {moment_words(began)}." if began else ".")
        + runs,
        cause=cause,
        hint=found.hint,
        since=began,
        cause_class=found.cause_class,
        signature=found.signature,
        threshold=f"A pod may wait for its volume for {span_words(context.cluster.thresholds.mount_wait)}.",
    )
    _reasons(judgement, observation, facts, context, waiting, cause)


def _reasons(
    judgement: Judgement, observation: Observation, facts: PodFacts, context: Context, waiting: list[str], cause: str
) -> None:
    """What else is known to be missing for this mount."""
    classes = {name: ResourceKey(CLASS_KIND, observation.key.namespace, name) for name in waiting}
    absent = [name for name, key in classes.items() if key not in context.related]
    if absent and CLASS_KIND in context.cluster.readable:
        judgement.find(
            "csi-class-missing",
            Health.FAILING,
            f"The SecretProviderClass {listed(absent)} does not exist.",
            hint="Create the class, or correct its name in the pod's volume.",
            signature=signed("csi-class-missing", context.cluster.name, observation.key.namespace, absent[0]),
        )
    node = context.related.get(ResourceKey("CSINode", "", facts.node))
    if isinstance(node, NodeFacts) and misses_driver(context.cluster, node):
        judgement.find(
            "csi-driver-missing",
            Health.FAILING,
            f"The CSI driver is not registered on node {facts.node}.",
            hint=f"Look at the driver's pod on node {facts.node}.",
            signature=signed("csi driver missing", context.cluster.name, facts.node),
        )
    providers = {
        found.provider for key in classes.values() if isinstance(found := context.related.get(key), ClassFacts)
    }
    silent = [name for provider in sorted(providers) for name in not_ready_on(context.cluster, facts.node, provider)]
    gone = [name for name in silent if name.startswith("provider")]
    if _PROVIDER_GONE in cause or gone:
        judgement.find(
            "csi-provider-missing",
            Health.FAILING,
            f"The {listed(gone) if gone else 'provider ' + listed(sorted(providers))} does not answer on node "
            f"{facts.node}.",
            hint="Look at the provider's DaemonSet, and at its pod on that node.",
            signature=signed("csi provider missing", context.cluster.name, facts.node),
        )
