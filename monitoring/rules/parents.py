"""Rules for ClusterExternalSecret and ClusterPushSecret, which make an object in each of many namespaces."""

from clusters.facts import ParentFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, go_duration, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, newest_warning
from monitoring.rules.refreshing import UPKEEP, deletion, judge_poison
from monitoring.rules.workloads import EXTERNAL_SECRETS, look_at_controller


def judge_parent(judgement: Judgement, observation: Observation, facts: ParentFacts, context: Context) -> None:
    """ClusterExternalSecret and ClusterPushSecret. Ready=True only says that the objects were written."""
    if facts.interval and go_duration(facts.interval) is None:
        judge_poison(judgement, observation, facts.interval, context)
    if facts.deleting_since is not None:
        deletion(judgement, context, "es-deletion-stuck", facts.deleting_since)
    if facts.failed_namespaces or facts.ready is False:
        _failed_namespaces(judgement, observation, facts, context)
    elif facts.ready is None:
        _without_condition(judgement, observation, context)
    unwell = [child for child in context.children if child.health > Health.HEALTHY]
    if unwell:
        worst = max(child.health for child in unwell)
        names = [
            f"{child.key.namespace}/{child.key.name} ({child.health.word.lower()})"
            for child in sorted(unwell, key=lambda child: (-child.health, child.key))
        ]
        judgement.find(
            "es-children",
            worst,
            f"{len(unwell)} of {len(context.children)} objects that it made are not healthy: {listed(names)}.",
            hint="Open the worst of them.",
        )


def _failed_namespaces(judgement: Judgement, observation: Observation, facts: ParentFacts, context: Context) -> None:
    failed = facts.failed_namespaces
    names = [item.namespace for item in failed]
    where = f"Not written in {len(names)} of {len(names) + facts.provisioned} namespaces: {listed(names)}."
    reason = next((item.reason for item in failed if item.reason), "")
    cause = reason or newest_warning(context.events, None, UPKEEP) or facts.message
    command = f"kubectl describe {observation.key.kind.lower()} {observation.key.name}"
    found = causes.diagnose(cause, command, own=observation.key)
    judgement.find(
        "es-namespaces-failed",
        Health.FAILING,
        where if names else "The controller could not write its objects.",
        cause=cause,
        hint=found.hint,
        since=facts.condition_since,
        cause_class=found.cause_class,
        signature=found.signature,
    )


def _without_condition(judgement: Judgement, observation: Observation, context: Context) -> None:
    created, wait = observation.created_at, context.cluster.thresholds.first_reconcile
    if created is not None and not judgement.passed(after(created, wait)):
        words = f"Created on {moment_words(created)}; the controller has not written a status yet."
        judgement.find("es-pending", Health.PROGRESSING, words, since=created)
        return
    judgement.find(
        "es-never-reconciled",
        Health.FAILING,
        "Never reconciled: the controller has not written any status.",
        hint=f"See whether the controller runs: {look_at_controller(context.cluster, EXTERNAL_SECRETS)}",
        since=created,
        signature=causes.not_acting(context.cluster, EXTERNAL_SECRETS),
        threshold=f"A first status may take {span_words(wait)}.",
    )
