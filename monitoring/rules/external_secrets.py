"""Rules for ExternalSecret and PushSecret: what External Secrets refreshes on an interval.

Strings and timing are those of External Secrets 2.9.0, checked against a running controller; where older versions
differ, it is said at the line.
"""

from datetime import timedelta
from typing import Final

from clusters.facts import RefreshedFacts, ResourceKey, SecretFacts, StoreFacts
from clusters.observations import EventNote, Observation
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context
from monitoring.rules.durations import after, go_duration, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, newest_at, signed
from monitoring.rules.lints import lint_refreshed
from monitoring.rules.refreshing import cause_of, deletion, judge_poison
from monitoring.rules.staleness import grace_of, judge_staleness, judge_versions
from monitoring.rules.store_use import (
    absent_signature,
    absent_stores,
    broken_stores,
    diagnosis_of,
    judge_stores,
    source_of,
)
from monitoring.rules.targets import judge_target_lints
from monitoring.rules.workloads import EXTERNAL_SECRETS, look_at_controller, served_class

DEFAULT_INTERVAL: Final = "1h"

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


def judge_refreshed(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    """ExternalSecret and PushSecret."""
    interval = go_duration(facts.interval or DEFAULT_INTERVAL)
    poison = _unreadable_duration(facts, interval)
    lint_refreshed(judgement, facts, context)
    if poison:
        judge_poison(judgement, observation, poison, context)
    if facts.deleting_since is not None:
        deletion(judgement, context, "es-deletion-stuck", facts.deleting_since)
    if facts.ready is None:
        _without_condition(judgement, observation, facts, context)
        return
    if facts.ready:
        _green(judgement, observation, facts, context)
    else:
        _not_ready(judgement, observation, facts, context)
    grace = grace_of(interval, context)
    judge_staleness(judgement, facts, interval, grace, context)
    if facts.deleting_since is None and facts.expected_version != facts.synced_version:
        judge_versions(judgement, observation, facts, interval, grace, context)
    if facts.stores:
        judge_stores(judgement, facts, context)


def _unreadable_duration(facts: RefreshedFacts, interval: timedelta | None) -> str:
    """The text that the controller's typed decoder stumbles over. An empty one counts as absent."""
    if interval is None:
        return facts.interval
    windows = facts.sync_windows
    return next((w.duration for w in windows if w.duration and go_duration(w.duration) is None), "") if windows else ""


def _without_condition(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    created, wait = observation.created_at, context.cluster.thresholds.first_reconcile
    if created is not None and not judgement.passed(after(created, wait)):
        judgement.find(
            "es-pending",
            Health.PROGRESSING,
            f"Created on {moment_words(created)}; the controller has not written a status yet.",
            since=created,
        )
        return
    when = f"Created on {moment_words(created)}" if created else "Created at an unknown time"
    foreign = _foreign_classes(facts, context)
    judgement.find(
        "es-never-reconciled",
        Health.FAILING,
        f"{when} and never reconciled: the controller has not written any status.",
        hint=f"See whether the controller runs ({look_at_controller(context.cluster, EXTERNAL_SECRETS)}), and whether "
        f"the stores belong to its controller class.",
        since=created,
        signature=_class_signature(foreign, context)
        if foreign
        else causes.not_acting(context.cluster, EXTERNAL_SECRETS),
        threshold=f"A first status may take {span_words(wait)}.",
    )
    if foreign:
        _controller_class(judgement, foreign, context)


def _foreign_classes(facts: RefreshedFacts, context: Context) -> list[str]:
    """Stores of another class make every controller but their own skip the object without a word."""
    served = served_class(context.cluster)
    return [
        f"{store.name} ({related.controller})"
        for store in facts.stores
        if isinstance(related := context.related.get(store), StoreFacts) and related.controller not in ("", served)
    ]


def _class_signature(foreign: list[str], context: Context) -> str:
    """Of all that waits for the same stores' controller."""
    return signed("controller class", context.cluster.name, *sorted(foreign))


def _controller_class(judgement: Judgement, foreign: list[str], context: Context) -> None:
    judgement.find(
        "es-controller-class",
        Health.FAILING,
        f"A store belongs to a controller class that is not served here: {listed(foreign)}; served is "
        f'"{served_class(context.cluster)}".',
        hint="Correct spec.controller of the store, or start a controller with that --controller-class.",
        signature=_class_signature(foreign, context),
    )


def _green(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
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
    else:
        _partly_missing(judgement, facts, context.events)
        _target(judgement, observation, facts, context)
    if facts.immutable and facts.policy in ("", "Periodic"):
        judgement.find(
            "es-immutable-target",
            Health.HEALTHY,
            "The target is immutable: refreshes succeed, but a rotation never reaches the Secret.",
            hint="Delete the Secret to let the controller write the newest value.",
        )


def _target(judgement: Judgement, observation: Observation, facts: RefreshedFacts, context: Context) -> None:
    """Its Secret, where the metadata of Secrets is read (tier T2)."""
    secret = context.related.get(ResourceKey("Secret", observation.key.namespace, facts.target))
    if isinstance(secret, SecretFacts):
        judge_target_lints(judgement, secret)
        if secret.empty and secret.managed_by == "external-secrets":
            judgement.find(
                "es-target-empty",
                Health.FAILING,
                f"The Secret {facts.target} has no data, although Ready=True.",
                hint="Look at what the object reads at the provider; deletionPolicy Merge empties a Secret silently.",
            )
    elif facts.target and facts.deleting_since is None and context.cluster.sees_secrets(observation.key.namespace):
        wait = context.cluster.thresholds.observed_lag
        if facts.refreshed_at is None or judgement.passed(after(facts.refreshed_at, wait)):
            judgement.find(
                "es-target-missing",
                Health.FAILING,
                f"The Secret {facts.target} does not exist, although Ready=True.",
                hint="See who deleted it; its next refresh makes it again, unless creationPolicy is Orphan or Merge.",
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
            cause_class="provider-not-found",
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
    found = _diagnosis(cause, observation, facts, context)
    judgement.find(
        "es-not-ready",
        Health.FAILING,
        f"Failing {begun}{what}; {age}.{retry}",
        cause=cause,
        hint=found.hint,
        since=since,
        cause_class=found.cause_class,
        signature=found.signature,
    )


def _diagnosis(cause: str, observation: Observation, facts: RefreshedFacts, context: Context) -> causes.Diagnosis:
    """What `cause` tells; signed as the store's own cause where the store is the reason."""
    key = observation.key
    known = ((store, context.related.get(store)) for store in facts.stores)
    sources = [source_of(context.cluster, store, facts) for store, facts in known if isinstance(facts, StoreFacts)]
    command = f"kubectl -n {key.namespace} describe {key.kind.lower()} {key.name}"
    found = causes.diagnose(cause, command, own=key, source=sources[0] if sources else ())
    broken, absent = broken_stores(facts, context), absent_stores(facts, context)
    # Without an Event (client-go drops them in a burst) a failure while the store is broken has the store's cause too.
    if broken and (found.cause_class in ("", "store-not-ready") or _is_of_store(found)):
        store, related = broken[0]
        _, of_store = diagnosis_of(context.cluster, store, related, context.store_events.get(store, ()))
        return found._replace(signature=of_store.signature, hint=f"Repair the store first. {of_store.hint}")
    if absent and found.cause_class == "store-absent":
        return found._replace(signature=absent_signature(context.cluster, absent[0]))
    return found


def _is_of_store(found: causes.Diagnosis) -> bool:
    """A failure of the provider while the store is not ready either has the store's cause."""
    return any(known.id == found.cause_class and known.behind_store for known in causes.CLASSES)
