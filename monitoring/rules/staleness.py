"""Whether an ExternalSecret or PushSecret was refreshed when it should have been, and for its newest spec.

External Secrets 2.9.0; where older versions differ, it is said at the line.
"""

from datetime import datetime, timedelta
from typing import Final

from clusters.facts import RefreshedFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import causes, sync_windows
from monitoring.rules.base import Context
from monitoring.rules.durations import after, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed
from monitoring.rules.workloads import EXTERNAL_SECRETS, look_at_controller

WINDOW_BACKOFF: Final = timedelta(minutes=7)  # a refresh held back by a sync window is requeued with this cap
CLOCK_TOLERANCE: Final = timedelta(minutes=5)


def grace_of(interval: timedelta | None, context: Context) -> timedelta:
    """How late a refresh may be: a tenth of its interval within limits, two polls, the cluster's usual queue."""
    limits = context.cluster.thresholds
    tenth = interval / 10 if interval else limits.grace_least
    within = max(limits.grace_least, min(tenth, limits.grace_most), 2 * context.cluster.poll_interval)
    return within + context.cluster.queue_lag


def _grace_words(grace: timedelta, context: Context) -> str:
    queue = context.cluster.queue_lag
    learnt = f", of which {span_words(queue)} are this cluster's usual queue" if queue else ""
    return f"A refresh may be late by {span_words(grace)}{learnt}."


def is_periodic(facts: RefreshedFacts, interval: timedelta | None) -> bool:
    return interval is not None and interval > timedelta(0) and facts.policy in ("", "Periodic")


def judge_staleness(
    judgement: Judgement, facts: RefreshedFacts, interval: timedelta | None, grace: timedelta, context: Context
) -> None:
    refreshed = facts.refreshed_at
    if refreshed is None or interval is None or not is_periodic(facts, interval):
        return
    due: datetime | None = after(refreshed, interval)
    late = after(refreshed, interval + grace)
    if facts.sync_windows:
        due, late = _with_windows(judgement, facts, after(refreshed, interval), grace)
    judgement.due_at = due
    if refreshed > judgement.now and not judgement.passed(after(refreshed, -CLOCK_TOLERANCE)):
        judgement.find(
            "es-clock",
            Health.UNKNOWN,
            f"The refresh time {moment_words(refreshed)} lies in the future, so staleness cannot be told.",
            hint="Compare the clocks of the controller's node and of the API server.",
        )
    if due is None or not judgement.passed(late):
        return
    lateness = f"Not refreshed since {moment_words(refreshed)}; it should refresh every {span_words(interval)}"
    if facts.ready:
        hint = f"See whether the controller runs and keeps up: {look_at_controller(context.cluster, EXTERNAL_SECRETS)}"
        summary = f"{lateness}. Ready=True, so kubectl shows it healthy."
        judgement.find(
            "es-silent-stale",
            Health.STALE,
            summary,
            hint=hint,
            since=due,
            signature=causes.not_acting(context.cluster, EXTERNAL_SECRETS),
            threshold=_grace_words(grace, context),
        )
    else:
        judgement.find(
            "es-stale",
            Health.STALE,
            f"{lateness}.",
            hint="See why its refreshes fail.",
            since=due,
            threshold=_grace_words(grace, context),
        )


def _with_windows(
    judgement: Judgement, facts: RefreshedFacts, planned: datetime, grace: timedelta
) -> tuple[datetime | None, datetime]:
    """(due, late) with sync windows. A window may also open or shut while the grace runs."""
    broken = [window.schedule[:40] for window in facts.sync_windows if not sync_windows.readable(window)]
    if broken:
        judgement.find(
            "es-sync-window-unreadable",
            Health.AT_RISK,
            f"The controller takes sync windows that it cannot read as never open: {listed(broken)}.",
            hint="Correct spec.syncWindows: five-field cron in UTC, and a Go duration.",
        )
    due = sync_windows.next_allowed(facts.sync_windows, planned)
    if due is None:
        judgement.find(
            "es-sync-window",
            Health.HEALTHY,
            "No sync window ever allows a refresh, so it keeps the value that it has.",
        )
        return None, planned
    if due != planned and judgement.passed(planned) and not judgement.passed(due):
        judgement.find(
            "es-sync-window",
            Health.HEALTHY,
            f"A sync window holds the refresh back until {moment_words(due)}.",
            since=planned,
        )
    late = after(due, grace + WINDOW_BACKOFF if due != planned else grace)
    return due, sync_windows.next_allowed(facts.sync_windows, late) or late


def judge_versions(
    judgement: Judgement,
    observation: Observation,
    facts: RefreshedFacts,
    interval: timedelta | None,
    grace: timedelta,
    context: Context,
) -> None:
    """Whether the controller acted on the newest spec, labels and annotations."""
    if not facts.expected_version or not facts.synced_version or not facts.ready:
        return
    synced = facts.synced_version.partition("-")[0][:20]
    if facts.policy == "CreatedOnce" or (interval is not None and interval <= timedelta(0)):
        # Controllers <= 0.10.7 still acted on a change with interval 0; nothing in the object tells them apart.
        why = "refreshPolicy is CreatedOnce" if facts.policy == "CreatedOnce" else "its interval is 0"
        judgement.find(
            "es-frozen-by-design",
            Health.HEALTHY,
            f"Frozen by design at generation {synced}: {why}, so generation {facts.generation} was never applied.",
            hint="Delete the target Secret to let the controller make it from the newest spec.",
        )
        return
    moments = (facts.spec_written_at, facts.refreshed_at, observation.created_at)
    changed = max((moment for moment in moments if moment), default=None)
    if changed is None or judgement.passed(after(changed, grace)):
        judgement.find(
            "es-out-of-date",
            Health.STALE,
            f"The controller has not acted on the newest change: it synced generation {synced}, "
            f"the object is at generation {facts.generation}.",
            hint="See whether the controller runs and keeps up.",
            since=changed,
            signature=causes.not_acting(context.cluster, EXTERNAL_SECRETS),
            threshold=_grace_words(grace, context),
        )
