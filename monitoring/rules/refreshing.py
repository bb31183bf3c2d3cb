"""What External Secrets' rules share: deletions, and which Event tells the cause of a failure.

Strings and timing are those of External Secrets 2.9.0, checked against a running controller.
"""

from datetime import datetime, timedelta
from typing import Final

from clusters.facts import ReconciledFacts
from clusters.observations import EventNote, Observation
from monitoring.health import Health
from monitoring.rules.base import Context
from monitoring.rules.causes import POISON, not_acting
from monitoring.rules.durations import after, moment_words, refusal, span_words
from monitoring.rules.judgement import Judgement, newest_warning
from monitoring.rules.workloads import EXTERNAL_SECRETS

REPAIR_POISON: Final = (
    "Do not restart the controller: with this object there it starts and then does nothing at all. "
    "Correct the duration (Go has no days: write 24h for 1d), or delete the object:"
)
EVENT_GAP: Final = timedelta(minutes=5)  # client-go lets one Event of an object through in 300 s once 25 came
# Permanent Warnings about a provider's upkeep; never the cause of a failure.
UPKEEP: Final = frozenset({"StoreUnmaintained", "StoreDeprecated"})


def deletion(judgement: Judgement, context: Context, rule: str, deleting_since: datetime) -> None:
    """While it is young, a deletion is judged as the object was before."""
    limit = context.cluster.thresholds.deletion_stuck
    if judgement.passed(after(deleting_since, limit)):
        judgement.find(
            rule,
            Health.FAILING,
            f"Deleted on {moment_words(deleting_since)}, but a finalizer still holds it.",
            hint="The controller removes its finalizer: see whether it runs, then look at metadata.finalizers.",
            since=deleting_since,
            threshold=f"A deletion may take {span_words(limit)}.",
        )


def cause_of(facts: ReconciledFacts, success: datetime | None, events: tuple[EventNote, ...]) -> str:
    """The newest Warning that belongs to this failure, or the condition's own words.

    In a namespace that is being deleted the API server refuses Events, so an Event from before the failure began
    must not be taken for its cause.
    """
    begun = after(facts.condition_since, -EVENT_GAP) if facts.condition_since else None
    oldest = max((moment for moment in (success, begun) if moment), default=None)
    return newest_warning(events, oldest, UPKEEP) or facts.message or facts.reason


def judge_poison(judgement: Judgement, observation: Observation, duration: str, context: Context) -> None:
    """A duration that Go cannot parse: the controller's typed decoder fails on the whole list of the kind (2.9.0)."""
    key = observation.key
    place = f"-n {key.namespace} " if key.namespace else ""
    judgement.find(
        "es-poison-interval",
        Health.FAILING,
        f'The controller cannot read the duration "{duration[:80]}" of this object. While it exists, the controller '
        f"sees no new or changed {key.kind} in the whole cluster, without any error on them.",
        cause=refusal(duration),
        hint=f"{REPAIR_POISON} kubectl {place}delete {key.kind.lower()} {key.name}",
        since=observation.created_at if observation.facts.generation == 1 else None,
        cause_class=POISON.id,
        signature=not_acting(context.cluster, EXTERNAL_SECRETS),
    )
