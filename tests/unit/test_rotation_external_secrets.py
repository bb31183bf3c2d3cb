"""Rotations of ExternalSecrets: what proves one, what makes one likely, and everything that is none."""

from datetime import UTC, datetime, timedelta
from hashlib import sha3_224
from typing import Any

import pytest
from msgspec import structs

from clusters.facts import DataWriter, RefreshedFacts, ResourceKey, SecretFacts
from clusters.observations import EventNote
from monitoring.rotation import with_past
from monitoring.rotation.base import Confidence, Evidence, Source
from monitoring.rotation.external_secrets import (
    Refreshed,
    Target,
    is_another,
    is_updated,
    of_event,
    of_target,
    of_write,
)

KEY = ResourceKey("ExternalSecret", "shop", "db")
MANAGER = "externalsecrets.external-secrets.io/db"
CREATED = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # the refresh that is known
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
NEXT = FIRST + HOUR
OLD, NEW = "sha3.0a1b2c3d.11111111aaaa", "sha3.0a1b2c3d.22222222bbbb"


def external_secret(refreshed_at: datetime | None = FIRST, **changes: Any) -> RefreshedFacts:
    values: dict[str, Any] = {
        "ready": True,
        "refreshed_at": refreshed_at,
        "interval": "1h",
        "target": "db",
        "synced_version": "1-a",
        "expected_version": "1-a",
        "in_turn": True,
    }
    return RefreshedFacts(**values | changes)


def secret(tag: str = OLD, written_at: datetime | None = FIRST, manager: str = MANAGER, **changes: Any) -> SecretFacts:
    return SecretFacts(
        data_tag=tag, writers=(DataWriter(manager=manager, at=written_at, keys=("password",)),), **changes
    )


def target(before: SecretFacts | None, after: SecretFacts, created_at: datetime = CREATED) -> Target:
    past = with_past(before, after, created_at, NEXT)
    assert isinstance(past, SecretFacts)
    return Target(created_at=created_at, before=before, after=past)


def seen(
    before: RefreshedFacts | None = None,
    after: RefreshedFacts | None = None,
    written: Target | None = None,
    created_at: datetime = CREATED,
) -> Refreshed:
    before, after = before or external_secret(), after or external_secret(NEXT)
    past = with_past(before, after, created_at, NEXT)
    assert isinstance(past, RefreshedFacts)
    return Refreshed(key=KEY, created_at=created_at, before=before, after=past, target=written)


def event(
    last_at: datetime | None = NEXT, first_at: datetime | None = None, count: int = 1, **changes: Any
) -> EventNote:
    values: dict[str, Any] = {
        "uid": "e",
        "fingerprint": 1,
        "involved": KEY,
        "involved_uid": "",
        "type": "Normal",
        "reason": "Updated",
        "message": "secret updated",
        "component": "external-secrets",
        "first_at": first_at or last_at,
        "last_at": last_at,
        "count": count,
    }
    return EventNote(**values | changes)


CHANGED = target(secret(), secret(NEW, NEXT + SECOND))
SAME = target(secret(), secret(OLD, NEXT + SECOND))


def test_a_changed_tag_of_a_ready_external_secret_is_proved() -> None:
    assert of_target(seen(written=CHANGED)) == Evidence(
        key=KEY,
        at=NEXT + SECOND,
        confidence=Confidence.PROVED,
        source=Source.TARGET,
        before="11111111",
        after="22222222",
    )


def test_the_secret_may_come_before_the_news_of_its_external_secret_and_after_it() -> None:
    early = of_target(seen(after=external_secret(), written=CHANGED))
    late = of_target(seen(before=external_secret(NEXT), after=external_secret(NEXT), written=CHANGED))
    assert early == late == of_target(seen(written=CHANGED))


FAILING = external_secret(ready=False)
UNTOLD: dict[str, Refreshed] = {
    "no change": seen(written=SAME),
    "no target known": seen(),
    "seen for the first time": seen(written=target(None, secret(NEW, NEXT))),
    "no tag before": seen(written=target(secret(""), secret(NEW, NEXT))),
    "no tag now": seen(written=target(secret(), secret("", NEXT))),
    "another algorithm": seen(written=target(secret("md5.0a1b2c3d.11111111"), secret(NEW, NEXT))),
    "another key of ours": seen(written=target(secret("sha3.ffffffff.11111111"), secret(NEW, NEXT))),
    "failing": seen(after=FAILING, written=CHANGED),
    "not reconciled yet": seen(after=external_secret(ready=None), written=CHANGED),
    "immutable": seen(after=external_secret(NEXT, immutable=True), written=CHANGED),
    "first sync": seen(before=external_secret(None, ready=None), written=CHANGED),
    "written twice in its first second": seen(written=CHANGED, created_at=NEXT),
    "the Secret was made just now": seen(written=target(secret(), secret(NEW, NEXT), created_at=NEXT - MINUTE / 3)),
    "another wrote it": seen(written=target(secret(), secret(NEW, NEXT, manager=f"{MANAGER}-two"))),
    "another wrote it, we before": seen(written=target(secret(), secret(NEW, FIRST))),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_a_tag_tells_nothing_of(name: str) -> None:
    assert of_target(UNTOLD[name]) is None


def test_a_hash_that_changed_under_a_failing_external_secret_counts_when_it_is_well_again() -> None:
    lying = seen(after=FAILING, written=CHANGED)
    assert of_target(lying) is None
    rewritten = target(CHANGED.after, secret(NEW, NEXT + HOUR))
    again = of_target(seen(before=FAILING, after=external_secret(NEXT + HOUR), written=rewritten))
    assert again is not None
    assert (again.at, again.before, again.after) == (NEXT + HOUR, "11111111", "22222222")


def test_being_well_again_without_a_changed_hash_is_no_rotation() -> None:
    told_before = target(CHANGED.after, CHANGED.after)
    failing = external_secret(NEXT + HOUR, ready=False)
    well = external_secret(NEXT + 2 * HOUR)
    assert of_target(seen(before=failing, after=well, written=told_before)) is None
    relabelled = target(CHANGED.after, secret(NEW, NEXT + 2 * HOUR))
    assert of_target(seen(before=failing, after=well, written=relabelled)) is None


def test_a_long_name_is_hashed_in_the_name_of_the_manager() -> None:
    key = ResourceKey("ExternalSecret", "shop", "a-name-of-more-than-28-characters")
    manager = f"externalsecrets.external-secrets.io/sha3/{sha3_224(key.name.encode()).hexdigest()}"
    written = target(secret(manager=manager), secret(NEW, NEXT, manager=manager))
    told = of_target(structs.replace(seen(written=written), key=key))
    assert told is not None
    assert told.at == NEXT


def test_who_owns_the_secret_wrote_it_whatever_its_manager_is_called() -> None:
    owned = {"owner_kind": "ExternalSecret", "owner": "db", "manager": "externalsecrets.external-secrets.io/other"}
    told = of_target(seen(written=target(secret(), secret(NEW, NEXT, **owned))))
    assert told is not None
    assert told.at == NEXT


def test_without_a_recorded_time_the_refresh_is_when_it_happened() -> None:
    told = of_target(seen(written=target(secret(written_at=None), secret(NEW, None))))
    assert told is not None
    assert told.at == NEXT


def moments(now: Refreshed, noted: EventNote, known: EventNote | None = None) -> list[datetime]:
    told = of_event(now, known, noted)
    assert {(e.confidence, e.source, e.before, e.after) for e in told} <= {(Confidence.LIKELY, Source.UPDATED, "", "")}
    return sorted(e.at for e in told)


def test_an_event_that_nothing_explains_is_likely() -> None:
    assert moments(seen(), event(NEXT + SECOND)) == [NEXT + SECOND]


def test_an_event_that_grew_tells_of_its_last_moment() -> None:
    assert moments(seen(), event(NEXT, FIRST, 7), event(FIRST, FIRST, 6)) == [NEXT]


def test_an_event_that_did_not_grow_tells_nothing() -> None:
    assert moments(seen(), event(NEXT, FIRST, 7), event(NEXT, FIRST, 7)) == []


def test_an_event_unknown_before_tells_of_its_first_moment_too() -> None:
    three_later = seen(after=external_secret(NEXT + 2 * HOUR))
    assert moments(three_later, event(NEXT + HOUR, NEXT, 2)) == [NEXT, NEXT + HOUR]


def test_the_first_moment_of_an_event_that_is_older_than_our_knowledge_tells_nothing() -> None:
    # client-go makes a forgotten Event anew, with its old count and first time
    assert moments(seen(), event(NEXT, FIRST - 3 * HOUR, 9)) == [NEXT]


def test_an_event_may_come_before_the_news_of_its_refresh_and_after_it() -> None:
    assert moments(seen(after=external_secret()), event(NEXT)) == [NEXT]
    known = external_secret(NEXT)
    assert moments(seen(before=known, after=known), event(NEXT + SECOND)) == [NEXT + SECOND]


def test_while_the_controller_cannot_write_its_status_events_tell_alone() -> None:
    # a poison object freezes every status, but targets are written still
    frozen = external_secret()
    assert moments(seen(before=frozen, after=frozen), event(NEXT + 5 * HOUR)) == [NEXT + 5 * HOUR]


EARLY = FIRST + 20 * MINUTE
EXPLAINED: dict[str, tuple[Refreshed, EventNote]] = {
    "a label changed": (seen(after=external_secret(NEXT, synced_version="1-b", expected_version="1-b")), event()),
    "a label changed, its refresh not yet seen": (
        seen(after=external_secret(expected_version="1-b")),
        event(NEXT + MINUTE),
    ),
    "a hand edit was reverted": (seen(after=external_secret(EARLY)), event(EARLY)),
    "a hand edit was reverted, its refresh not yet seen": (seen(after=external_secret()), event(EARLY)),
    "a hand edit, and a refresh in turn later": (seen(after=external_secret(NEXT + 20 * MINUTE)), event(EARLY)),
    "an early refresh that was seen before its Event": (
        seen(before=external_secret(EARLY, in_turn=False), after=external_secret(EARLY, in_turn=False)),
        event(EARLY + SECOND),
    ),
    "failing": (seen(after=external_secret(ready=False)), event()),
    "immutable": (seen(after=external_secret(NEXT, immutable=True)), event()),
    "a label changed, and we missed its refresh": (
        seen(after=external_secret(NEXT + HOUR, synced_version="1-b", expected_version="1-b")),
        event(),
    ),
    "first sync": (seen(before=external_secret(None, ready=None)), event()),
    "before the first sync": (seen(before=external_secret(None, ready=None)), event(NEXT - MINUTE)),
    "its first seconds": (seen(created_at=NEXT - 29 * SECOND), event()),
    "known too late": (seen(), event(FIRST - HOUR)),
    "without a moment": (seen(), event(None)),
    "the tags are equal": (seen(written=SAME), event()),
    "an edit that is reverted, without an interval": (
        seen(before=external_secret(interval="0"), after=external_secret(EARLY, interval="0")),
        event(EARLY),
    ),
    "an edit that is reverted, created once": (
        seen(before=external_secret(policy="CreatedOnce"), after=external_secret(EARLY, policy="CreatedOnce")),
        event(EARLY),
    ),
    "only a changed spec refreshes it, and it changed": (
        seen(
            before=external_secret(policy="OnChange"),
            after=external_secret(NEXT, policy="OnChange", synced_version="2-a", expected_version="2-a"),
        ),
        event(),
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_an_event_is_explained_by(name: str) -> None:
    now, noted = EXPLAINED[name]
    assert moments(now, noted) == []


UNEXPLAINED: dict[str, tuple[Refreshed, EventNote]] = {
    "a slow reconcile": (seen(), event(NEXT + 40 * SECOND)),
    "half a minute old": (seen(created_at=NEXT - 30 * SECOND), event()),
    "late by a queue": (seen(after=external_secret(NEXT + 9 * MINUTE)), event(NEXT + 9 * MINUTE)),
    "a second early": (seen(after=external_secret(NEXT - SECOND)), event(NEXT - SECOND)),
    "the tags differ": (seen(written=CHANGED), event()),
    "no tag was known": (seen(written=target(None, secret(NEW, NEXT))), event()),
}


@pytest.mark.parametrize("name", UNEXPLAINED)
def test_an_event_is_likely_a_rotation(name: str) -> None:
    now, noted = UNEXPLAINED[name]
    assert moments(now, noted) == [noted.last_at]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "Warning"},
        {"reason": "Created"},
        {"component": "other"},
        {"involved": ResourceKey("Pod", "shop", "db")},
    ],
)
def test_other_events_say_nothing_of_a_written_target(changes: dict[str, Any]) -> None:
    assert is_updated(event())
    assert not is_updated(event(**changes))


@pytest.mark.parametrize(
    ("before", "after", "another"),
    [(OLD, NEW, True), (OLD, OLD, False), ("", NEW, False), (OLD, "", False), (OLD, NEW.replace("sha3", "md5"), False)],
)
def test_only_tags_that_can_be_compared_tell_of_another_value(before: str, after: str, another: bool) -> None:
    assert is_another(before, after) is another


def test_a_refresh_keeps_how_it_came_until_the_next_one() -> None:
    in_turn = seen().after
    assert in_turn.in_turn
    assert seen(before=in_turn, after=external_secret(NEXT, in_turn=False)).after.in_turn
    early = seen(before=in_turn, after=external_secret(NEXT + MINUTE)).after
    assert not early.in_turn


def test_at_first_sight_it_is_not_known_how_a_refresh_came() -> None:
    fresh = external_secret(in_turn=False)
    assert with_past(None, fresh, CREATED, NEXT) is fresh
    assert moments(seen(before=fresh, after=fresh), event(FIRST)) == []


def test_a_tag_remembers_the_one_before_until_it_changes_again() -> None:
    once = CHANGED.after
    assert (once.tag_before, once.tag_since) == (OLD, NEXT + SECOND)
    relabelled = with_past(once, secret(NEW, NEXT + HOUR), CREATED, NEXT)
    assert isinstance(relabelled, SecretFacts)
    assert (relabelled.tag_before, relabelled.tag_since) == (OLD, NEXT + SECOND)
    upgraded = with_past(once, secret("md5.0a1b2c3d.33333333", NEXT), CREATED, NEXT)
    assert isinstance(upgraded, SecretFacts)
    assert (upgraded.tag_before, upgraded.tag_since) == ("", None)


UNTAGGED = target(secret("", FIRST), secret("", NEXT))
WRITES = {
    "in its turn": (seen(written=UNTAGGED), NEXT),
    "not written since": (seen(written=target(secret("", FIRST), secret("", FIRST))), None),
    "a tag that stayed": (seen(written=target(secret(OLD, FIRST), secret(OLD, NEXT))), None),
    "the first tag": (seen(written=target(secret("", FIRST), secret(NEW, NEXT))), None),
    "another algorithm": (seen(written=target(secret(OLD.replace("sha3", "md5"), FIRST), secret(NEW, NEXT))), None),
    "written by another": (seen(written=target(secret("", FIRST), secret("", NEXT, manager="kubectl"))), None),
    "a changed label": (seen(after=external_secret(NEXT, synced_version="1-b"), written=UNTAGGED), None),
    "a hand edit reverted": (
        seen(
            after=external_secret(FIRST + 5 * MINUTE), written=target(secret("", FIRST), secret("", FIRST + 5 * MINUTE))
        ),
        None,
    ),
    "not ready": (seen(after=external_secret(NEXT, ready=False), written=UNTAGGED), None),
    "a new target": (seen(written=target(secret("", FIRST), secret("", NEXT), created_at=NEXT - SECOND)), None),
    "no target known": (seen(), None),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_without_any_hash_is_likely_a_rotation_if_nothing_explains_it(name: str) -> None:
    now, at = WRITES[name]
    found = of_write(now)
    assert (found.at if found else None) == at
    assert found is None or (found.confidence, found.source) == (Confidence.LIKELY, Source.WRITTEN)
