"""Rules for SecretStore and ClusterSecretStore, as External Secrets 2.9.0 writes their status."""

from clusters.facts import StoreFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words, span_words
from monitoring.rules.judgement import Judgement
from monitoring.rules.lints import lint_store
from monitoring.rules.refreshing import deletion
from monitoring.rules.store_use import diagnosis_of
from monitoring.rules.workloads import EXTERNAL_SECRETS, served_class


def judge_store(judgement: Judgement, observation: Observation, facts: StoreFacts, context: Context) -> None:
    """SecretStore and ClusterSecretStore. Ready=True is no proof of access: many providers are never asked."""
    lint_store(judgement, observation, facts)
    _upkeep(judgement, context)
    if facts.deleting_since is not None:
        deletion(judgement, context, "store-deletion-stuck", facts.deleting_since)
    if facts.ready is None:
        _without_condition(judgement, observation, facts, context)
    elif not facts.ready:
        _not_ready(judgement, observation, facts, context)
    elif facts.reason == "ValidationUnknown":
        judgement.find(
            "store-validation-unknown",
            Health.HEALTHY,
            "Ready=True, but the provider was not asked: it says nothing about credentials.",
            hint="Only a refresh of what reads it tells whether it works.",
        )


def _not_ready(judgement: Judgement, observation: Observation, facts: StoreFacts, context: Context) -> None:
    begun = f" since {moment_words(facts.condition_since)}" if facts.condition_since else ""
    cause, found = diagnosis_of(context.cluster, observation.key, facts, context.events)
    judgement.find(
        "store-not-ready",
        Health.FAILING,
        f"Not ready{begun}: whatever reads this store fails at its next refresh.",
        cause=cause,
        hint=found.hint,
        since=facts.condition_since,
        cause_class=found.cause_class,
        signature=found.signature,
    )


def _upkeep(judgement: Judgement, context: Context) -> None:
    """Warnings about the provider's maintenance, which come again with every validation."""
    said = {event.reason for event in context.events}
    if "StoreDeprecated" in said:
        judgement.find(
            "store-deprecated",
            Health.HEALTHY,
            "Its provider is deprecated and will be removed.",
            hint="Move to another provider before the next upgrade.",
        )
    if "StoreUnmaintained" in said:
        judgement.find(
            "store-unmaintained",
            Health.HEALTHY,
            "Its provider has no maintainer.",
            hint="Plan to move to another provider.",
        )


def _without_condition(judgement: Judgement, observation: Observation, facts: StoreFacts, context: Context) -> None:
    created, wait = observation.created_at, context.cluster.thresholds.first_reconcile
    served = served_class(context.cluster)
    foreign = f' Its controller class "{facts.controller}" is not the one served here ("{served}").'
    note = foreign if facts.controller not in ("", served) else ""
    if created is not None and not judgement.passed(after(created, wait)):
        words = f"Created on {moment_words(created)}; the controller has not validated it yet.{note}"
        judgement.find("store-pending", Health.PROGRESSING, words, since=created)
        return
    when = f"Created on {moment_words(created)}" if created else "Created at an unknown time"
    judgement.find(
        "store-never-validated",
        Health.FAILING,
        f"{when} and never validated: the controller has not written any status.{note}",
        hint="See whether the controller runs and serves the store's controller class.",
        since=created,
        signature="" if note else causes.not_acting(context.cluster, EXTERNAL_SECRETS),
        threshold=f"A first status may take {span_words(wait)}.",
    )
