"""What the metadata of a target Secret tells (tier T2), whatever made it."""

from clusters.facts import SecretFacts
from monitoring.rules.judgement import Judgement


def judge_target_lints(judgement: Judgement, secret: SecretFacts) -> None:
    """kubectl's annotation holds the values themselves, and everybody who may list metadata can read it."""
    if secret.last_applied:
        judgement.lint(
            "lint-last-applied",
            "An annotation of its Secret holds the values in clear (last-applied-configuration).",
            hint="Remove the annotation, and apply with --server-side.",
        )
