"""Rules for SecretProviderClass: the Secrets that it declares beside its mounts (syncSecret of the driver, 1.6.0).

A class has no status. What fails with its Secrets stands in Events of the pods that mount it, and shows where the
metadata of Secrets may be listed (tier T2).
"""

from datetime import timedelta
from typing import Final

from clusters.facts import ClassFacts, ResourceKey
from clusters.observations import EventNote, Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words
from monitoring.rules.judgement import Judgement, listed, newest_at, newest_warning, signed

REFUSED: Final = "FailedToCreateSecret"
EVENT_LIFE: Final = timedelta(hours=1)  # the driver tries every few minutes: an older Event is of something that ended


def judge_class(judgement: Judgement, observation: Observation, facts: ClassFacts, context: Context) -> None:
    """A class without declared Secrets, or that no pod mounts, has nothing to be judged by."""
    if not facts.secret_names:
        return
    if context.neighbours:
        own, names = observation.key.name, sorted(key.name for key in context.neighbours)
        judgement.find(
            "csi-synced-secret-conflict",
            Health.AT_RISK,
            f"It makes a Secret of the same name as {listed(names)}: they overwrite each other.",
            hint="Give one of the Secrets another name (spec.secretObjects[].secretName).",
            signature=signed("csi-synced-secret-conflict", observation.key.namespace, *sorted({own, *names})),
        )
    if context.siblings:
        _synced_secrets(judgement, observation, facts, context)


def _synced_secrets(judgement: Judgement, observation: Observation, facts: ClassFacts, context: Context) -> None:
    key = observation.key
    refused = tuple(event for event in context.events if event.reason == REFUSED)
    if context.cluster.sees_secrets(key.namespace):
        secrets = [ResourceKey("Secret", key.namespace, name) for name in facts.secret_names]
        missing = [secret.name for secret in secrets if secret not in context.related]
        first = min((mount.written_at for mount in context.siblings if mount.written_at), default=None)
        wait = context.cluster.thresholds.mount_wait
        if missing and (first is None or judgement.passed(after(first, wait))):
            _missing(judgement, observation, f"The Secret {listed(missing)} does not exist", refused)
        return
    failed = newest_at(refused, REFUSED)
    if failed is not None and not judgement.passed(after(failed, EVENT_LIFE)):
        what = f"Its Secret could not be made, the last time on {moment_words(failed)}"
        _missing(judgement, observation, what, refused)


def _missing(judgement: Judgement, observation: Observation, what: str, refused: tuple[EventNote, ...]) -> None:
    key = observation.key
    cause = newest_warning(refused, None)
    found = causes.diagnose(cause, f"kubectl -n {key.namespace} describe secretproviderclass {key.name}", own=key)
    judgement.find(
        "csi-synced-secret-missing",
        Health.FAILING,
        f"{what}, although pods mount this class.",
        cause=cause,
        hint=found.hint,
        cause_class=found.cause_class,
        signature=found.signature,
    )
