"""Judging: what an observation means. Pure functions over facts; the clock is an argument.

`judge` and `judge_cluster` never raise: what goes wrong while judging one subject is a finding about that subject.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from clusters.facts import ClassFacts, Facts, MountFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import (
    clusters,
    external_secrets,
    lints,
    parents,
    pods,
    provider_classes,
    sealed_secrets,
    secret_stores,
    secrets_store_csi,
)
from monitoring.rules.base import ClusterContext, Context, Verdict
from monitoring.rules.judgement import Judgement
from monitoring.rules.registry import RULES, RuleDoc

__all__ = ["RULES", "RuleDoc", "judge", "judge_cluster"]

log = logging.getLogger(__name__)

Rule = Callable[[Judgement, Observation, Any, Context], None]


def _nothing_to_judge(judgement: Judgement, observation: Observation, facts: Any, context: Context) -> None:
    """Supporting kinds are judged as part of their cluster, see `judge_cluster`."""


_RULES_BY_KIND: Final[dict[str, Rule]] = {
    "ExternalSecret": external_secrets.judge_refreshed,
    "PushSecret": external_secrets.judge_refreshed,
    "ClusterExternalSecret": parents.judge_parent,
    "ClusterPushSecret": parents.judge_parent,
    "SecretStore": secret_stores.judge_store,
    "ClusterSecretStore": secret_stores.judge_store,
    "SealedSecret": sealed_secrets.judge_sealed_secret,
    "SecretProviderClass": provider_classes.judge_class,
    "SecretProviderClassPodStatus": secrets_store_csi.judge_mount,
    "Pod": pods.judge_pod,
    "DriverPod": _nothing_to_judge,
    "Secret": _nothing_to_judge,
    "SealingKey": _nothing_to_judge,
    "SealingCertificate": _nothing_to_judge,
    "CSIDriver": _nothing_to_judge,
    "CSINode": _nothing_to_judge,
    "DaemonSet": _nothing_to_judge,
    "Deployment": _nothing_to_judge,
    "Password": lints.lint_generator,
}


def judge(observation: Observation, context: Context, now: datetime) -> Verdict:
    """What `observation` means at `now` (the cluster's clock), with `context` beside it. Never raises."""
    facts = observation.facts
    judgement = Judgement(now, observation.key)
    try:
        judgement.in_cluster(context.cluster.name)
        if not _is_unread(facts):
            _RULES_BY_KIND[observation.key.kind](judgement, observation, facts, _with_own_events(observation, context))
    except Exception as error:
        log.exception("could not judge %s", observation.key)
        judgement = _failed(now, observation.key, error)
    if facts.problem:
        judgement.find(
            "could-not-be-read",
            Health.UNKNOWN,
            f"Not everything of this object could be read: {facts.problem}",
            hint="Look at the object itself: a field has a form that its controller does not write.",
        )
    return judgement.verdict()


def _is_unread(facts: Facts) -> bool:
    """Whether nothing but a problem is known: then a missing condition is no sign of anything."""
    return bool(facts.problem) and facts == type(facts)(problem=facts.problem)


def _with_own_events(observation: Observation, context: Context) -> Context:
    """Without the Events of an earlier object of the same name: the API server keeps them for an hour."""
    facts = observation.facts
    if isinstance(facts, ClassFacts):
        return context  # its Events are those of its pods
    uid = facts.pod_uid if isinstance(facts, MountFacts) else observation.uid
    if not uid or all(event.involved_uid in ("", uid) for event in context.events):
        return context
    own = tuple(event for event in context.events if event.involved_uid in ("", uid))
    return msgspec.structs.replace(context, events=own)


def judge_cluster(context: ClusterContext, now: datetime) -> Verdict:
    """What the cluster's keys, controllers and drivers mean at `now` (the cluster's clock). Never raises."""
    subject = ()  # the same finding about several clusters is one cause
    judgement = Judgement(now, subject)
    try:
        judgement.in_cluster(context.name)
        clusters.judge_cluster(judgement, context)
    except Exception as error:
        log.exception("could not judge a cluster")
        judgement = _failed(now, subject, error)
    return judgement.verdict()


def _failed(now: datetime, subject: tuple[str, ...], error: Exception) -> Judgement:
    judgement = Judgement(now, subject)
    judgement.find(
        "could-not-be-judged",
        Health.UNKNOWN,
        f"A rule failed on this object ({type(error).__name__}), so nothing is known about its health.",
        hint="Look at the object itself, and report the error with the log of the worker.",
    )
    return judgement
