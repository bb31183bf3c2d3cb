"""Advice about specs of External Secrets: countable, of low severity, never part of health."""

from typing import Final

from clusters.facts import PasswordFacts, RefreshedFacts, StoreFacts
from clusters.observations import Observation
from monitoring.rules.base import ClusterContext, Context
from monitoring.rules.durations import go_duration
from monitoring.rules.judgement import Judgement

# Labels of ours that say what a cluster is for.
_ENVIRONMENT_LABELS: Final = ("env", "environment", "stage")
_PRODUCTION: Final = frozenset({"prod", "production", "live"})
LEAST_ENTROPY: Final = 128  # bits


def is_production(cluster: ClusterContext) -> bool:
    """By its label env, environment or stage: prod, production or live."""
    return any(str(cluster.labels.get(label, "")).lower() in _PRODUCTION for label in _ENVIRONMENT_LABELS)


def lint_refreshed(judgement: Judgement, facts: RefreshedFacts, context: Context) -> None:
    """ExternalSecret and PushSecret."""
    interval = go_duration(facts.interval) if facts.interval else None
    if interval is not None and not interval and facts.policy in ("", "Periodic") and is_production(context.cluster):
        judgement.lint(
            "lint-interval-zero",
            "Its interval is 0: it was refreshed once and never will be again.",
            hint="Give it an interval, or say so with refreshPolicy: CreatedOnce.",
        )
    if facts.deletion_policy == "Delete":
        judgement.lint(
            "lint-deletion-policy",
            "With deletionPolicy Delete a mistake at the provider removes the Secret here.",
            hint="Use Retain unless deletion is meant.",
        )
    if facts.finds_all:
        judgement.lint(
            "lint-find-all",
            "It reads everything that its store has: dataFrom[].find selects by nothing.",
            hint="Select by name, path or tags.",
        )
    _deprecated_api(judgement, facts.written_api)


def lint_store(judgement: Judgement, observation: Observation, facts: StoreFacts) -> None:
    """SecretStore and ClusterSecretStore."""
    if observation.key.kind == "ClusterSecretStore" and not facts.namespaces_limited:
        judgement.lint(
            "lint-store-open",
            "It serves every namespace: spec.conditions is empty.",
            hint="Name the namespaces that may use it in spec.conditions.",
        )
    _deprecated_api(judgement, facts.written_api)


def _deprecated_api(judgement: Judgement, version: str) -> None:
    if version:
        judgement.lint(
            "lint-deprecated-api",
            f"It is still written as {version}, which newer releases do not serve.",
            hint="Write it in the version that the cluster serves first.",
        )


def lint_generator(judgement: Judgement, observation: Observation, facts: PasswordFacts, context: Context) -> None:
    """Password generators; 0 bits means that it cannot be told."""
    if 0 < facts.entropy_bits < LEAST_ENTROPY:
        judgement.lint(
            "lint-weak-generator",
            f"It makes passwords of {facts.entropy_bits} bits; {LEAST_ENTROPY} are held to be safe.",
            hint="Raise spec.length, or allow more kinds of characters.",
        )
