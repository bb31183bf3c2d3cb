"""ExternalSecret and PushSecret: each rule where it speaks, and right beside it where it must not."""

from datetime import timedelta

import pytest

from clusters.facts import RefreshedFacts, ResourceKey, StoreFacts, SyncWindow
from clusters.observations import EventNote
from monitoring.health import Health
from monitoring.rules.base import Context
from tests.unit.rule_subjects import (
    FAILED,
    STORE,
    SYNCED,
    T0,
    WELL,
    Case,
    at,
    context,
    deployment,
    event,
    finding,
    said,
    verdict,
    with_,
)

KIND = "ExternalSecret"
NEVER = RefreshedFacts(generation=1, stores=(STORE,))
NO_STORES = context(related={})
NOT_READABLE = context(related={}, readable=frozenset())
BROKEN_STORE = context(related={STORE: StoreFacts(ready=False, message="unable to validate store", condition_since=T0)})
OTHER_CLASS = context(related={STORE: StoreFacts(controller="team-b")})
OTHER_CLASS_SERVED = context(
    related=OTHER_CLASS.related,
    supporting={"Deployment": (deployment("external-secrets", controller_class="team-b"),)},
)
SLOW_POLL = context(related=WELL.related, poll_interval=timedelta(minutes=10))


def seen(*events: EventNote) -> Context:
    return context(related=WELL.related, events=events)


def windows(kind: str, schedule: str, duration: str) -> tuple[SyncWindow, ...]:
    return (SyncWindow(kind=kind, schedule=schedule, duration=duration),)


WINDOWED = with_(SYNCED, interval="5m", sync_windows=windows("deny", "0 4 * * *", "2h"))
CHANGED = with_(SYNCED, expected_version="2-a", generation=2)
SILENT = {"es-silent-stale": Health.STALE}

EXTERNAL_SECRETS = [
    Case("on time", KIND, SYNCED, at(1), {}),
    Case("a second before the grace is over", KIND, SYNCED, at(1, minutes=5, seconds=59), {}),
    Case("silent", KIND, SYNCED, at(1, minutes=6), SILENT),
    Case("default interval", KIND, with_(SYNCED, interval=""), at(2), SILENT),
    Case("PushSecret", "PushSecret", SYNCED, at(2), SILENT),
    Case("short interval: two polls at least", KIND, with_(SYNCED, interval="10s"), at(minutes=2), {}),
    Case("short interval, later", KIND, with_(SYNCED, interval="10s"), at(minutes=2, seconds=10), SILENT),
    Case("long interval: 10 min at most", KIND, with_(SYNCED, interval="24h"), at(24, minutes=10), SILENT),
    Case("a slow poll stretches the grace", KIND, SYNCED, at(1, minutes=19), {}, SLOW_POLL),
    Case("CreatedOnce is never due", KIND, with_(SYNCED, policy="CreatedOnce"), at(900), {}),
    Case("OnChange is never due", KIND, with_(SYNCED, policy="OnChange"), at(900), {}),
    Case("interval 0 is never due", KIND, with_(SYNCED, interval="0"), at(900), {}),
    Case("failing", KIND, FAILED, at(1, minutes=2), {"es-not-ready": Health.FAILING}),
    Case("failing for long", KIND, FAILED, at(3), {"es-not-ready": Health.FAILING, "es-stale": Health.STALE}),
    Case("future", KIND, with_(SYNCED, refreshed_at=at(1)), T0, {"es-clock": Health.UNKNOWN}),
    Case("a clock that is 3 min ahead", KIND, with_(SYNCED, refreshed_at=at(minutes=3)), T0, {}),
    Case("young", KIND, NEVER, at(minutes=14), {"es-pending": Health.PROGRESSING}),
    Case("never reconciled", KIND, NEVER, at(minutes=15), {"es-never-reconciled": Health.FAILING}),
    Case(
        "another controller's",
        KIND,
        NEVER,
        at(1),
        {"es-never-reconciled": Health.FAILING, "es-controller-class": Health.FAILING},
        OTHER_CLASS,
    ),
    Case("the class served", KIND, NEVER, at(1), {"es-never-reconciled": Health.FAILING}, OTHER_CLASS_SERVED),
    Case("poison", KIND, with_(SYNCED, interval="1d"), T0, {"es-poison-interval": Health.FAILING}),
    Case(
        "poison in a window",
        KIND,
        with_(SYNCED, sync_windows=windows("deny", "0 3 * * *", "1d")),
        T0,
        {"es-poison-interval": Health.FAILING, "es-sync-window-unreadable": Health.AT_RISK},
    ),
    Case("deletion", KIND, with_(CHANGED, deleting_since=T0), at(minutes=9), {}),
    Case(
        "deletion stuck",
        KIND,
        with_(CHANGED, deleting_since=T0),
        at(minutes=10),
        {"es-deletion-stuck": Health.FAILING},
    ),
    Case(
        "green without Secret",
        KIND,
        with_(SYNCED, reason="ResourceMissing"),
        T0,
        {"es-green-without-secret": Health.FAILING},
    ),
    Case(
        "green without data",
        KIND,
        with_(SYNCED, message="secret retained due to DeletionPolicy=Retain"),
        T0,
        {"es-green-without-data": Health.FAILING},
    ),
    Case("immutable", KIND, with_(SYNCED, immutable=True), T0, {"es-immutable-target": Health.HEALTHY}),
    Case("immutable, never rotates anyway", KIND, with_(SYNCED, immutable=True, policy="CreatedOnce"), T0, {}),
    Case("changed a moment ago", KIND, CHANGED, at(minutes=5), {}),
    Case("out of date", KIND, CHANGED, at(minutes=6), {"es-out-of-date": Health.STALE}),
    Case("changed late", KIND, with_(CHANGED, spec_written_at=at(minutes=50)), at(minutes=55), {}),
    Case("OnChange lags", KIND, with_(CHANGED, policy="OnChange"), at(5), {"es-out-of-date": Health.STALE}),
    Case("frozen by 0", KIND, with_(CHANGED, interval="0s"), at(5), {"es-frozen-by-design": Health.HEALTHY}),
    Case("no version to compare", KIND, with_(CHANGED, expected_version=""), at(minutes=30), {}),
    Case("store absent", KIND, SYNCED, T0, {"es-store-absent": Health.AT_RISK}, NO_STORES),
    Case("stores that we cannot read", KIND, SYNCED, T0, {}, NOT_READABLE),
    Case("store broken", KIND, SYNCED, T0, {"es-store-not-ready": Health.AT_RISK}, BROKEN_STORE),
    Case(
        "a broken store that is not asked any more",
        KIND,
        with_(SYNCED, policy="CreatedOnce"),
        T0,
        {"es-store-not-ready": Health.HEALTHY},
        BROKEN_STORE,
    ),
    Case(
        "a key is missing",
        KIND,
        SYNCED,
        T0,
        {"es-partly-missing": Health.AT_RISK},
        seen(event("MissingProviderSecret", T0)),
    ),
    Case(
        "a repeated Event that client-go dropped",
        KIND,
        with_(SYNCED, refreshed_at=at(minutes=4)),
        at(minutes=4),
        {"es-partly-missing": Health.AT_RISK},
        seen(event("MissingProviderSecret", at(minutes=1)), event("Updated", T0)),
    ),
    Case(
        "a key is back",
        KIND,
        with_(SYNCED, refreshed_at=at(minutes=4)),
        at(minutes=4),
        {},
        seen(event("Updated", at(minutes=4)), event("MissingProviderSecret", at(minutes=1))),
    ),
    Case("a shut sync window", KIND, WINDOWED, at(1), {"es-sync-window": Health.HEALTHY}),
    Case("the controller's backoff after a window", KIND, WINDOWED, at(2, minutes=8), {}),
    Case("late after a window", KIND, WINDOWED, at(2, minutes=9), SILENT),
    Case(
        "no window ever",
        KIND,
        with_(SYNCED, sync_windows=windows("allow", "0 3 * * *", "0s")),
        at(900),
        {"es-sync-window": Health.HEALTHY},
    ),
]


@pytest.mark.parametrize("case", EXTERNAL_SECRETS, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def test_due_at_is_when_the_controller_must_have_refreshed() -> None:
    assert verdict(KIND, SYNCED, T0).due_at == at(1)
    assert verdict(KIND, FAILED, at(2)).due_at == at(1)
    assert verdict(KIND, with_(SYNCED, policy="OnChange"), T0).due_at is None
    assert verdict("SecretStore", StoreFacts(ready=True), T0).due_at is None


def test_of_several_moments_the_next_one_is_when_to_judge_again() -> None:
    """Out of date 6 min after the change, silently stale 6 min after it was due, stuck 10 min after the deletion."""
    changed = with_(CHANGED, spec_written_at=at(minutes=30))
    assert verdict(KIND, changed, at(minutes=30)).recheck_at == at(minutes=36)
    assert verdict(KIND, changed, at(minutes=36)).recheck_at == at(1, minutes=6)
    assert verdict(KIND, changed, at(1, minutes=6)).recheck_at is None
    deleting = with_(SYNCED, deleting_since=at(1))
    assert verdict(KIND, deleting, at(1)).recheck_at == at(1, minutes=6)
    assert verdict(KIND, deleting, at(1, minutes=6)).recheck_at == at(1, minutes=10)


CONSTANT = "could not get secret data from provider"


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        ((), CONSTANT),
        ((event("UpdateFailed", at(1)),), "the cause"),
        ((event("UpdateFailed", at(1), "newer"), event("UpdateFailed", at(0.98), "older")), "newer"),
        # What was before the last success is history.
        ((event("UpdateFailed", at(-1)),), CONSTANT),
        # In a namespace that is deleted the API server takes no Events: the last one is of another failure.
        ((event("UpdateFailed", at(0.5)),), CONSTANT),
        ((event("Updated", at(1)),), CONSTANT),
        # Every `fake` store carries this for good.
        ((event("StoreUnmaintained", at(1)),), CONSTANT),
        # An object of the same name that was deleted an hour ago.
        ((event("UpdateFailed", at(1), involved_uid="another"),), CONSTANT),
        ((event("UpdateFailed", at(1), involved_uid="u"),), "the cause"),
    ],
)
def test_the_cause_is_the_newest_warning_of_this_failure(events: tuple[EventNote, ...], cause: str) -> None:
    assert finding(verdict(KIND, FAILED, at(1.1), seen(*events)), "es-not-ready").cause == cause


@pytest.mark.parametrize(
    ("changes", "final"),
    [
        ({}, False),
        ({"message": "could not update secret"}, False),
        ({"message": "could not update secret, target is immutable"}, True),
        ({"message": "target is owned by another ExternalSecret"}, True),
        ({"message": "could not delete secret"}, False),
        ({"message": "could not delete secret", "creation_policy": "Orphan"}, True),
    ],
)
def test_failures_that_are_not_tried_again_say_so(changes: dict[str, str], final: bool) -> None:
    found = finding(verdict(KIND, with_(FAILED, **changes), at(1)), "es-not-ready")
    assert ("No retry will come" in found.summary) is final


def test_sentences_hold_moments_and_no_ages() -> None:
    early = verdict(KIND, SYNCED, at(2))
    late = verdict(KIND, SYNCED, at(200))
    assert early.findings == late.findings
    assert early.findings[0].summary == (
        "Not refreshed since 24 Nov 2026 04:00 UTC; it should refresh every 1 h. "
        "Ready=True, so kubectl shows it healthy."
    )


def test_a_list_of_names_is_cut() -> None:
    stores = tuple(ResourceKey("SecretStore", "shop", f"store-{number:04}") for number in range(1000))
    found = verdict(KIND, with_(SYNCED, stores=stores), T0, NO_STORES)
    assert len(found.findings) == 1
    assert "store-0002 and 997 more" in found.findings[0].summary
