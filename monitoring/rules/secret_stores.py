"""Rules for SecretStore and ClusterSecretStore, as External Secrets 2.9.0 writes their status."""

from clusters.observations import Observation, StoreFacts
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words
from monitoring.rules.external_secrets import FIRST_RECONCILE, cause_of, deletion
from monitoring.rules.judgement import Judgement, newest_at
from monitoring.rules.workloads import served_class


def judge_store(judgement: Judgement, observation: Observation, facts: StoreFacts, context: Context) -> None:
    """SecretStore and ClusterSecretStore. Ready=True is no proof of access: many providers are never asked."""
    name = observation.key
    if facts.deleting_since is not None:
        deletion(judgement, "store-deletion-stuck", facts.deleting_since)
    if facts.ready is None:
        _without_condition(judgement, observation, facts, context)
    elif not facts.ready:
        begun = f" since {moment_words(facts.condition_since)}" if facts.condition_since else ""
        cause = cause_of(facts, newest_at(context.events, "Valid"), context.events)
        command = f"kubectl {f'-n {name.namespace} ' if name.namespace else ''}describe {name.kind.lower()} {name.name}"
        judgement.find(
            "store-not-ready",
            Health.FAILING,
            f"Not ready{begun}: whatever reads this store fails at its next refresh.",
            cause=cause,
            hint=causes.hint(cause, command),
            since=facts.condition_since,
        )


def _without_condition(judgement: Judgement, observation: Observation, facts: StoreFacts, context: Context) -> None:
    created = observation.created_at
    served = served_class(context.cluster)
    foreign = f' Its controller class "{facts.controller}" is not the one served here ("{served}").'
    note = foreign if facts.controller not in ("", served) else ""
    if created is not None and not judgement.passed(after(created, FIRST_RECONCILE)):
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
    )
