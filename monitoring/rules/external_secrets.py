"""Rules for ExternalSecret and PushSecret: what External Secrets refreshes on an interval.

Strings and timing are those of External Secrets 2.9.0, checked against a running controller; where older versions
differ, it is said at the line.
"""

from datetime import datetime, timedelta
from typing import Final

from clusters.observations import (
    EventNote,
    Observation,
    ReconciledFacts,
    RefreshedFacts,
    ResourceKey,
    StoreFacts,
)
from monitoring.health import Health
from monitoring.rules import causes, sync_windows
from monitoring.rules.base import Context
from monitoring.rules.durations import after, go_duration, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, newest_at, newest_warning
from monitoring.rules.workloads import EXTERNAL_SECRETS, look_at_controller, served_class

DEFAULT_INTERVAL: Final = "1h"
FIRST_RECONCILE: Final = timedelta(minutes=15)  # until then "no status yet" is normal
STUCK_DELETION: Final = timedelta(minutes=10)
LEAST_GRACE: Final = timedelta(minutes=1)
MOST_GRACE: Final = timedelta(minutes=10)
WINDOW_BACKOFF: Final = timedelta(minutes=7)  # a refresh held back by a sync window is requeued with this cap
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
EVENT_GAP: Final = timedelta(minutes=5)  # client-go lets one Event of an object through in 300 s once 25 came

# Ready=True, and yet there is no target.
_WITHOUT_SECRET: Final = frozenset({"SecretDeleted", "ResourceDeleted", "SecretMissing", "ResourceMissing"})
_RETAINED: Final = "secret retained due to DeletionPolicy=Retain"
# Failures that the controller does not queue again: only a change or its restart leads to another try.
_NOT_REQUEUED: Final = (
    "could not update secret, target is immutable",
    "failed to take ownership of target secret",
    "target is owned by another ExternalSecret",
    "invalid generic target",
    "source secret deleted; provider secrets cleaned up",
)
# Permanent Warnings about a provider's upkeep; never the cause of a failure.
UPKEEP: Final = frozenset({"StoreUnmaintained", "StoreDeprecated"})


def judge_refreshed(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    """ExternalSecret and PushSecret."""
    interval = go_duration(facts.interval or DEFAULT_INTERVAL)
    poison = _unreadable_duration(facts, interval)
    if poison:
        _poison(judgement, observation, poison)
    if facts.deleting_since is not None:
        deletion(judgement, "es-deletion-stuck", facts.deleting_since)
    if facts.ready is None:
        _without_condition(judgement, observation, facts, context)
        return
    if facts.ready:
        _green(judgement, facts, context)
    else:
        _not_ready(judgement, observation, facts, context)
    grace = _grace(interval, context)
    _staleness(judgement, facts, interval, grace, context)
    if facts.deleting_since is None and facts.expected_version != facts.synced_version:
        _versions(judgement, observation, facts, interval, grace)
    if facts.stores:
        _stores(judgement, facts, context)


def _unreadable_duration(facts: RefreshedFacts, interval: timedelta | None) -> str:
    """The text that the controller's typed decoder stumbles over. An empty one counts as absent."""
    if interval is None:
        return facts.interval
    windows = facts.sync_windows
    return next((w.duration for w in windows if w.duration and go_duration(w.duration) is None), "") if windows else ""


def _poison(judgement: Judgement, observation: Observation, duration: str) -> None:
    name = observation.key
    judgement.find(
        "es-poison-interval",
        Health.FAILING,
        f'The controller cannot read the duration "{duration[:80]}" of this object. While it exists, the controller '
        f"sees no new or changed {name.kind} in the whole cluster, without any error on them.",
        cause=f'time: invalid duration "{duration[:80]}"',
        hint=f"Correct it (Go has no days: write 24h for 1d) or delete the object: "
        f"kubectl -n {name.namespace} delete {name.kind.lower()} {name.name}",
        since=observation.created_at if observation.facts.generation == 1 else None,
    )


def deletion(judgement: Judgement, rule: str, deleting_since: datetime) -> None:
    """While it is young, a deletion is judged as the object was before."""
    if judgement.passed(after(deleting_since, STUCK_DELETION)):
        judgement.find(
            rule,
            Health.FAILING,
            f"Deleted on {moment_words(deleting_since)}, but a finalizer still holds it.",
            hint="The controller removes its finalizer: see whether it runs, then look at metadata.finalizers.",
            since=deleting_since,
        )


def _without_condition(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    created = observation.created_at
    if created is not None and not judgement.passed(after(created, FIRST_RECONCILE)):
        judgement.find(
            "es-pending",
            Health.PROGRESSING,
            f"Created on {moment_words(created)}; the controller has not written a status yet.",
            since=created,
        )
        return
    when = f"Created on {moment_words(created)}" if created else "Created at an unknown time"
    judgement.find(
        "es-never-reconciled",
        Health.FAILING,
        f"{when} and never reconciled: the controller has not written any status.",
        hint=f"See whether the controller runs ({look_at_controller(context.cluster, EXTERNAL_SECRETS)}), and whether "
        f"the stores belong to its controller class.",
        since=created,
    )
    _controller_class(judgement, facts, context)


def _controller_class(judgement: Judgement, facts: RefreshedFacts, context: Context) -> None:
    """A store of another class makes every controller but its own skip the object without a word."""
    served = served_class(context.cluster)
    foreign = [
        f"{store.name} ({related.controller})"
        for store in facts.stores
        if isinstance(related := context.related.get(store), StoreFacts) and related.controller not in ("", served)
    ]
    if foreign:
        judgement.find(
            "es-controller-class",
            Health.FAILING,
            f'A store belongs to a controller class that is not served here: {listed(foreign)}; served is "{served}".',
            hint="Correct spec.controller of the store, or start a controller with that --controller-class.",
        )


def _green(judgement: Judgement, facts: RefreshedFacts, context: Context) -> None:
    if facts.reason in _WITHOUT_SECRET:
        judgement.find(
            "es-green-without-secret",
            Health.FAILING,
            f"There is no Secret, although Ready=True ({facts.reason}).",
            cause=facts.message,
            hint="Restore the secret at the provider, or create the Secret that it merges into.",
        )
    elif facts.message == _RETAINED:
        judgement.find(
            "es-green-without-data",
            Health.FAILING,
            "The provider returned nothing, so the target was left as it is or never made, although Ready=True.",
            cause=facts.message,
            hint="Look at what the object searches for at the provider (spec.dataFrom).",
        )
    elif context.events:
        _partly_missing(judgement, facts, context.events)
    if facts.immutable and facts.policy in ("", "Periodic"):
        judgement.find(
            "es-immutable-target",
            Health.HEALTHY,
            "The target is immutable: refreshes succeed, but a rotation never reaches the Secret.",
            hint="Delete the Secret to let the controller write the newest value.",
        )


def _partly_missing(judgement: Judgement, facts: RefreshedFacts, events: tuple[EventNote, ...]) -> None:
    """A key lost at the provider leaves Ready=True where deletionPolicy is Delete or Merge; only an Event tells.

    It is current if the newest refresh sent it, or, as client-go drops repeated Events, if nothing was written since.
    """
    missing = newest_at(events, "MissingProviderSecret")
    if missing is None:
        return
    written = newest_at(events, "Created", "Updated")
    in_newest_refresh = facts.refreshed_at is not None and missing >= facts.refreshed_at
    if in_newest_refresh or (written is not None and missing > written):
        judgement.find(
            "es-partly-missing",
            Health.AT_RISK,
            "The provider does not have everything that is asked for, although Ready=True.",
            cause=next(event.message for event in events if event.reason == "MissingProviderSecret"),
            hint="Restore the key at the provider, or remove it from the spec.",
        )


def _not_ready(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    since = facts.condition_since
    begun = f"since {moment_words(since)}" if since else "since an unknown time"
    age = f"the value is of {moment_words(facts.refreshed_at)}" if facts.refreshed_at else "it was never synced"
    orphan = facts.message == "could not delete secret" and facts.creation_policy not in ("", "Owner")
    final = orphan or facts.message.startswith(_NOT_REQUEUED)
    retry = " No retry will come until the object or its target changes or the controller restarts." if final else ""
    name = observation.key
    # An ExternalSecret's message is one of a dozen constants; a PushSecret's holds the provider's words.
    what = f" ({facts.message})" if facts.message and name.kind == "ExternalSecret" and len(facts.message) < 80 else ""
    cause = cause_of(facts, facts.refreshed_at, context.events)
    judgement.find(
        "es-not-ready",
        Health.FAILING,
        f"Failing {begun}{what}; {age}.{retry}",
        cause=cause,
        hint=causes.hint(cause, f"kubectl -n {name.namespace} describe {name.kind.lower()} {name.name}"),
        since=since,
    )


def cause_of(facts: ReconciledFacts, success: datetime | None, events: tuple[EventNote, ...]) -> str:
    """The newest Warning that belongs to this failure, or the condition's own words.

    In a namespace that is being deleted the API server refuses Events, so an Event from before the failure began
    must not be taken for its cause.
    """
    begun = after(facts.condition_since, -EVENT_GAP) if facts.condition_since else None
    oldest = max((moment for moment in (success, begun) if moment), default=None)
    return newest_warning(events, oldest, UPKEEP) or facts.message or facts.reason


def _grace(interval: timedelta | None, context: Context) -> timedelta:
    tenth = interval / 10 if interval else LEAST_GRACE
    return max(LEAST_GRACE, min(tenth, MOST_GRACE), 2 * context.cluster.poll_interval)


def _periodic(facts: RefreshedFacts, interval: timedelta | None) -> bool:
    return interval is not None and interval > timedelta(0) and facts.policy in ("", "Periodic")


def _staleness(
    judgement: Judgement, facts: RefreshedFacts, interval: timedelta | None, grace: timedelta, context: Context
) -> None:
    refreshed = facts.refreshed_at
    if refreshed is None or interval is None or not _periodic(facts, interval):
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
        judgement.find("es-silent-stale", Health.STALE, summary, hint=hint, since=due)
    else:
        judgement.find("es-stale", Health.STALE, f"{lateness}.", hint="See why its refreshes fail.", since=due)


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


def _versions(
    judgement: Judgement,
    observation: Observation,
    facts: RefreshedFacts,
    interval: timedelta | None,
    grace: timedelta,
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
        )


def _stores(judgement: Judgement, facts: RefreshedFacts, context: Context) -> None:
    """A broken store is not seen by the object before its next refresh: the controller does not watch stores."""
    absent: list[str] = []
    broken: list[ResourceKey] = []
    for key in facts.stores:
        store = context.related.get(key)
        if store is None:
            if key.kind in context.cluster.readable:
                absent.append(f"{key.kind} {key.name}")
        elif isinstance(store, StoreFacts) and store.ready is False:
            broken.append(key)
    if not absent and not broken:
        return
    health = Health.AT_RISK if judgement.due_at is not None or not facts.ready else Health.HEALTHY
    outlook = "no refresh can succeed"
    if facts.ready and judgement.due_at is not None:
        outlook = f"the refresh that is due on {moment_words(judgement.due_at)} fails"
    if absent:
        judgement.find(
            "es-store-absent",
            health,
            f"It reads a store that does not exist ({listed(absent)}): {outlook}.",
            hint="Create the store, or correct spec.secretStoreRef.",
        )
    if broken:
        states = [context.related[key] for key in broken]
        judgement.find(
            "es-store-not-ready",
            health,
            f"Its store is not ready ({listed([f'{key.kind} {key.name}' for key in broken])}): {outlook}.",
            cause=next((state.message for state in states if isinstance(state, StoreFacts) and state.message), ""),
            hint="Repair the store first: its own page has the cause.",
            since=min(
                (s.condition_since for s in states if isinstance(s, StoreFacts) and s.condition_since), default=None
            ),
        )
