"""Rules for SealedSecret, as sealed-secrets 0.36.6 behaves (checked against a running controller).

The status is written only when Synced flips or the generation was not observed yet, so its times say nothing about the
last attempt, and its message can be of an older failure than the one that holds now.
"""

from datetime import datetime
from typing import Final

from clusters.facts import SealedSecretFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words, span_words
from monitoring.rules.judgement import Judgement, newest_at, newest_warning
from monitoring.rules.sealed_children import is_owned, judge_child, target_of
from monitoring.rules.sealed_origin import judge_misplaced, judge_origin
from monitoring.rules.sealing_keys import unopened
from monitoring.rules.workloads import SEALED_SECRETS, controllers, look_at_controller

_WARNINGS: Final = ("ErrUnsealFailed", "ErrUpdateFailed")


def judge_sealed_secret(
    judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context
) -> None:
    if facts.scope != facts.template_scope:
        _scope_mismatch(judgement, facts)
    if facts.scope == "cluster-wide":
        judgement.lint(
            "lint-cluster-wide-scope",
            "Anyone who can create objects in any namespace can open it under any name.",
            hint="Seal it strictly, or namespace-wide.",
        )
    judge_origin(judgement, observation, facts, context)
    if facts.ready is None:
        _without_status(judgement, observation, facts, context)
        judge_child(judgement, observation, facts, context)
        return
    if facts.ready:
        _no_data(judgement, facts)
    else:
        _not_synced(judgement, observation, facts, context)
    judge_child(judgement, observation, facts, context)
    if facts.observed_generation != facts.generation:
        _observed_lag(judgement, observation, facts, context)


def _scope_mismatch(judgement: Judgement, facts: SealedSecretFacts) -> None:
    """kubeseal writes the scope on both; decryption reads the object's own annotations only."""
    judgement.find(
        "ss-scope-mismatch",
        Health.HEALTHY if facts.ready else Health.AT_RISK,
        f"The object says scope {facts.scope}, its template says {facts.template_scope}. Only the object's own "
        f"annotation counts when it is decrypted.",
        hint="Put the scope annotation of spec.template.metadata back on metadata.annotations, or seal it again.",
    )


def _no_data(judgement: Judgement, facts: SealedSecretFacts) -> None:
    if not facts.sealed and not facts.template_items and not facts.problem:
        judgement.find(
            "ss-no-data",
            Health.FAILING,
            "It has no encrypted items: the controller reports it as synced and made a Secret without data.",
            hint="Seal the values and apply the object again.",
        )


def _without_status(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    created = observation.created_at
    # Where Deployments are not readable, a controller that we do not see may well run.
    readable = "Deployment" in context.cluster.readable
    operators = controllers(context.cluster, SEALED_SECRETS) if readable else []
    disabled = any(facts.options.get("update-status") == "false" for facts in operators)
    wait = context.cluster.thresholds.first_reconcile
    if created is not None and not disabled and not judgement.passed(after(created, wait)):
        judgement.find(
            "ss-pending",
            Health.PROGRESSING,
            f"Created on {moment_words(created)}; the controller has not written a status yet.",
            since=created,
        )
        return
    when = f"Created on {moment_words(created)}" if created else "Created at an unknown time"
    unsealed = newest_at(context.events, "Unsealed")
    if operators and not disabled and unsealed is None and all(facts.ready == 0 for facts in operators):
        judgement.find(
            "ss-never-reconciled",
            Health.FAILING,
            f"{when} and never unsealed: it has no status, and the controller has no ready replica.",
            hint=f"Start the controller: {look_at_controller(context.cluster, SEALED_SECRETS)}",
            since=created,
            signature=causes.not_acting(context.cluster, SEALED_SECRETS),
            threshold=f"A first status may take {span_words(wait)}.",
        )
        return
    why = " The controller writes none (--update-status=false)." if disabled else ""
    seen = f" An event of {moment_words(unsealed)} says that it was unsealed." if unsealed else ""
    owned = is_owned(observation, target_of(observation, facts, context))
    known = "but its Secret is there" if owned else "so it cannot be told whether its Secret was made"
    judgement.find(
        "ss-status-missing",
        Health.HEALTHY if owned else Health.UNKNOWN,
        f"{when}, and it has no status, {known}.{why}{seen}",
        hint="Run the controller with --update-status (before 0.17 that was not the default), and see its log.",
        since=created,
    )


def _not_synced(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    unsealed = newest_at(context.events, "Unsealed")
    failed = newest_at(context.events, *_WARNINGS)
    newest = max((moment for moment in (facts.updated_at, failed) if moment), default=None)
    if unsealed is not None and newest is not None and unsealed > newest:
        _stale_condition(judgement, observation, facts, context, unsealed)
        return
    judge_misplaced(judgement, observation, facts, context)
    # The message of the condition stays when a later failure has another cause (Synced does not flip then).
    cause = newest_warning(context.events, facts.updated_at) or facts.message
    begun = f" since {moment_words(facts.condition_since)}" if facts.condition_since else ""
    name = observation.key
    found = causes.diagnose(cause, f"kubectl -n {name.namespace} describe sealedsecret {name.name}", own=name)
    judgement.find(
        "ss-not-synced",
        Health.FAILING,
        f"Unsealing fails{begun}. No retry will come until the object changes or the controller restarts.",
        cause=cause,
        hint=found.hint,
        since=facts.condition_since,
        cause_class=found.cause_class,
        signature=unopened(context.cluster) if found.cause_class == "undecryptable" else found.signature,
    )


def _stale_condition(
    judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context, unsealed: datetime
) -> None:
    """A status write that fails is never repeated; up to 0.24.1 a recovery was not written at all."""
    owned = is_owned(observation, target_of(observation, facts, context))
    judgement.find(
        "ss-status-stale",
        Health.HEALTHY if owned else Health.UNKNOWN,
        f"Synced=False, but an event of {moment_words(unsealed)} says that it was unsealed since"
        + (", and its Secret is there." if owned else "."),
        cause=facts.message,
        hint="See whether the Secret exists and belongs to the SealedSecret; any change of the spec renews the status.",
        since=unsealed,
    )


def _observed_lag(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    # Without managedFields the last status is all that is known: the change is younger than that.
    moments = (facts.spec_written_at, facts.updated_at, observation.created_at)
    changed = max((moment for moment in moments if moment), default=None)
    lag = context.cluster.thresholds.observed_lag
    waiting = changed is not None and not judgement.passed(after(changed, lag))
    judgement.find(
        "ss-observed-lag",
        Health.PROGRESSING if waiting else Health.STALE,
        f"The status is of generation {facts.observed_generation}, the object is at generation {facts.generation}: "
        f"the Secret holds what was sealed before.",
        hint=f"See whether the controller runs: {look_at_controller(context.cluster, SEALED_SECRETS)}",
        since=changed,
        signature="" if waiting else causes.not_acting(context.cluster, SEALED_SECRETS),
        threshold=f"The status may be behind by {span_words(lag)}.",
    )
