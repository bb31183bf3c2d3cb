"""Rules about the Secret that a SealedSecret makes (tier T2), as sealed-secrets 0.36.6 treats it.

The controller watches deletions of its Secrets only: one that was edited stays edited until its restart.
"""

from typing import Final

from clusters.facts import DataWriter, ResourceKey, SealedSecretFacts, SecretFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words
from monitoring.rules.judgement import Judgement, listed
from monitoring.rules.targets import judge_target_lints

CONTROLLER: Final = "controller"  # its name in managedFields: that of its binary


def target_of(observation: Observation, facts: SealedSecretFacts, context: Context) -> SecretFacts | None:
    """What is known of its Secret; None where it does not exist, or where Secrets are not listed."""
    secret = context.related.get(ResourceKey("Secret", observation.key.namespace, facts.target))
    return secret if isinstance(secret, SecretFacts) else None


def is_owned(observation: Observation, secret: SecretFacts | None) -> bool:
    """Whether that Secret belongs to this very SealedSecret."""
    return secret is not None and secret.owner_kind == "SealedSecret" and secret.owner_uid == observation.uid


def judge_child(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    """The Secret is missing, somebody else's, or was edited."""
    secret = target_of(observation, facts, context)
    if secret is not None:
        judge_target_lints(judgement, secret)
        if not is_owned(observation, secret) and not facts.shares_target:
            _foreign(judgement, facts, secret)
        elif facts.ready is not False:
            _edited(judgement, facts, secret)
    elif context.cluster.sees_secrets(observation.key.namespace):
        _missing(judgement, observation, facts, context)


def _missing(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    begun = facts.updated_at or observation.created_at
    limits = context.cluster.thresholds
    wait = limits.observed_lag if facts.ready is not None else limits.first_reconcile
    if facts.ready is not False and begun is not None and not judgement.passed(after(begun, wait)):
        return
    said = ", although the controller reports it as synced" if facts.ready else ""
    blocked = "already exists and is not managed" in facts.message
    why = " What was in its way is gone; no retry comes until the object changes or the controller restarts."
    judgement.find(
        "ss-child-missing",
        Health.FAILING,
        f"The Secret {facts.target} does not exist{said}.{why if blocked else ''}",
        hint="See whether the controller runs: it makes a deleted Secret again within a second.",
    )


def _foreign(judgement: Judgement, facts: SealedSecretFacts, secret: SecretFacts) -> None:
    whose = f"{secret.owner_kind} {secret.owner}" if secret.owner else "nothing that is named in it"
    judgement.find(
        "ss-child-foreign",
        Health.AT_RISK if facts.ready else Health.FAILING,
        f"The Secret {facts.target} exists and belongs to {whose}, not to this SealedSecret.",
        hint="Remove that Secret, or rename one of the two; then change the SealedSecret to have it tried again.",
    )


def _edited(judgement: Judgement, facts: SealedSecretFacts, secret: SecretFacts) -> None:
    # Who applies the controller's own value owns the key beside it; who writes another one takes it over.
    kept = {key for writer in secret.writers if writer.manager == CONTROLLER for key in writer.keys}
    ours = ({item.name for item in facts.sealed} | set(facts.template_items)) - kept
    edits = [writer for writer in secret.writers if _is_edit(writer, ours, facts)]
    if not edits:
        return
    keys = sorted({key for writer in edits for key in writer.keys if key in ours})
    newest = max(edits, key=lambda writer: (writer.at is not None, writer.at))
    when = f" on {moment_words(newest.at)}" if newest.at else ""
    judgement.find(
        "ss-child-edited",
        Health.AT_RISK,
        f"{listed(keys)} of its Secret was written by {newest.manager}{when}: what runs is not what is sealed, and the "
        f"controller overwrites it at its next restart.",
        hint="Seal the new value, or restart the controller to have the sealed one back.",
        since=newest.at,
    )


def _is_edit(writer: DataWriter, ours: set[str], facts: SealedSecretFacts) -> bool:
    """Only sealed and templated keys: with the patch annotation other managers rightly own other keys (E4)."""
    if writer.manager == CONTROLLER or not ours.intersection(writer.keys):
        return False
    return writer.at is None or facts.updated_at is None or writer.at >= facts.updated_at
