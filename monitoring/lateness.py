"""How late a cluster's External Secrets usually refreshes: its queue, not an outage.

With one worker (the default of --concurrent) and thousands of ExternalSecrets each refresh comes seconds to minutes
after its moment (external-secrets#6019, #2878). That much must not count as stale. No setting tells it: it is learnt.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from clusters.facts import RefreshedFacts
from clusters.observations import Observation
from monitoring.diff import Known
from monitoring.health import Health

LEAST_SAMPLES = 5
WEIGHT = 0.2  # of the newest collection: about the last five count
MOST = timedelta(minutes=10)  # a controller that slows down for ever must become visible
STEP = timedelta(seconds=15)


def learnt(before: timedelta, changed: Iterable[tuple[Observation, Known]], offset: timedelta) -> timedelta:
    """The usual lateness after this collection.

    `changed` pairs what changed with its row before, `offset` is the cluster's clock minus ours.

    Only refreshes count that came after a moment which we knew, of what was neither stale nor failing: after an outage
    everything is late, which says nothing about the queue. Fewer than 5 of them teach nothing, nor does what is later
    than by half its interval: whoever looks away for an hour sees one refresh of many.
    """
    lates = (_late(observation, row, offset) for observation, row in changed)
    samples = [late.total_seconds() for late in lates if late is not None]
    if len(samples) < LEAST_SAMPLES:
        return before
    usual = before * (1 - WEIGHT) + timedelta(seconds=median(samples)) * WEIGHT
    # Whole seconds, downwards: rounding up would keep what was learnt once for ever.
    return min(MOST, timedelta(seconds=usual // timedelta(seconds=1)))


def rounded(lag: timedelta) -> timedelta:
    """What rules reckon with: up to the next 15 s, so that verdicts do not change with every second; 3 s are none."""
    return -(-lag // STEP) * STEP if lag > STEP / 5 else timedelta(0)


def _late(observation: Observation, row: Known, offset: timedelta) -> timedelta | None:
    facts = observation.facts
    if not isinstance(facts, RefreshedFacts) or facts.refreshed_at is None or row.health >= Health.STALE:
        return None
    known = row.facts.get("refreshed_at")
    if row.due_at is None or not facts.ready or known is None:
        return None
    moved = facts.refreshed_at - datetime.fromisoformat(str(known))
    late = facts.refreshed_at - offset - row.due_at
    # Later than by half an interval it may be the second refresh since we looked, or the tenth.
    return late if timedelta(0) <= late < (moved - late) / 2 else None
