"""Rotations of ExternalSecrets: a changed tag of the target proves one, an Event or a write without tags is likely one.

External Secrets 2.9.0. It writes `Updated` only when the target really changed (externalsecret_controller.go 966-1036),
but labels, a hand edit that it reverts, and the double reconcile of a new generator change a target too.
"""

from datetime import datetime, timedelta
from hashlib import sha3_224
from typing import Final

import msgspec

from clusters.facts import RefreshedFacts, ResourceKey, SecretFacts
from clusters.observations import EventNote
from clusters.tagging import comparable, short
from monitoring.rotation.base import Confidence, Evidence, Source
from monitoring.rules.durations import go_duration
from monitoring.rules.staleness import is_periodic

COMPONENT: Final = "external-secrets"
SECOND: Final = timedelta(seconds=1)  # what refreshTime and Events are cut to
# Generators and generic targets are written twice in their first second.
SETTLING: Final = timedelta(seconds=30)
# refreshTime is when a reconcile began, the Event and the target's time when it wrote.
RECONCILING: Final = timedelta(seconds=60)
MANAGER: Final = "externalsecrets.external-secrets.io/"
MANAGER_LIMIT: Final = 63


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The Secret that an ExternalSecret writes, before this collection and after it.

    `before` is None where the Secret was not known then, or another object had its name.
    """

    created_at: datetime | None
    before: SecretFacts | None
    after: SecretFacts


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """An ExternalSecret that was known before this collection, then and now, both with our history."""

    key: ResourceKey
    created_at: datetime | None
    before: RefreshedFacts
    after: RefreshedFacts
    target: Target | None = None


def came_in_turn(previous: RefreshedFacts, observed: RefreshedFacts) -> bool:
    """Whether the last refresh is explained by its interval alone. See RefreshedFacts.in_turn.

    Without an interval (CreatedOnce, OnChange, 0) none comes in turn: it is a changed spec, an edit of the target that
    is reverted, or another hash algorithm after an upgrade that brings one.
    """
    if _interval(observed) is None:
        return False
    if observed.refreshed_at is None or previous.refreshed_at is None:
        return False
    if observed.refreshed_at == previous.refreshed_at:
        return previous.in_turn
    return observed.synced_version == previous.synced_version and not _is_early(
        previous, observed.refreshed_at - previous.refreshed_at
    )


def with_tag_before(previous: SecretFacts, observed: SecretFacts, now: datetime) -> SecretFacts:
    """`observed` with the tag that its present one replaced; see SecretFacts.tag_before."""
    if not comparable(previous.data_tag, observed.data_tag):
        return observed
    if previous.data_tag == observed.data_tag:
        before, since = previous.tag_before, previous.tag_since
    else:
        before, since = previous.data_tag, _written_at(observed) or now
    return msgspec.structs.replace(observed, tag_before=before, tag_since=since)


def of_target(seen: Refreshed) -> Evidence | None:
    """The data of the target changed: proved, as long as the controller says that it could write.

    It writes the hash of a value that it failed to write, too. So a hash that changed while the ExternalSecret was
    failing counts when it is well again.
    """
    target, facts = seen.target, seen.after
    if target is None or not target.after.tag_before or not _is_well(seen) or seen.before.refreshed_at is None:
        return None
    before, since = target.before, target.after.tag_since
    if before is None or since is None:
        return None
    is_news = is_another(before.data_tag, target.after.data_tag)
    is_late = not seen.before.ready and since > seen.before.refreshed_at
    written_at = _written_by(seen.key.name, target.after)
    if not (is_news or is_late) or not _is_writer(seen, target, written_at, is_news):
        return None
    at = written_at or _written_at(target.after) or facts.refreshed_at or since
    if _is_new(seen.created_at, at) or _is_new(target.created_at, at):
        return None
    return Evidence(
        key=seen.key,
        at=at,
        confidence=Confidence.PROVED,
        source=Source.TARGET,
        before=short(target.after.tag_before),
        after=short(target.after.data_tag),
    )


def of_write(seen: Refreshed) -> Evidence | None:
    """The target was written, by its managed fields, and nothing but a new value explains it: likely.

    Only where no hash of its data is known: a hash that stayed says that the value did, and that of another algorithm
    is why an upgraded controller writes every target.
    """
    target = seen.target
    if target is None or target.before is None or target.before.data_tag or target.after.data_tag:
        return None
    before, at = (_written_by(seen.key.name, secret) for secret in (target.before, target.after))
    if at is None or before is None or at <= before or _is_new(target.created_at, at) or not _is_unexplained(seen, at):
        return None
    return Evidence(key=seen.key, at=at, confidence=Confidence.LIKELY, source=Source.WRITTEN)


def of_event(seen: Refreshed, known: EventNote | None, event: EventNote) -> list[Evidence]:
    """What an `Updated` Event tells, new (`known` is None) or grown: its last moment, and its first if we missed that.

    How often it came between them is in its count, but not when.
    """
    moments = {event.last_at}
    if known is None:
        moments.add(event.first_at)
    elif known.last_at and event.last_at and event.last_at <= known.last_at:
        return []
    return [
        Evidence(key=seen.key, at=moment, confidence=Confidence.LIKELY, source=Source.UPDATED)
        for moment in moments
        if moment is not None and _is_unexplained(seen, moment)
    ]


def is_updated(event: EventNote) -> bool:
    """Whether External Secrets tells with this Event that it changed a target."""
    return (event.type, event.reason, event.component, event.involved.kind) == (
        "Normal",
        "Updated",
        COMPONENT,
        "ExternalSecret",
    )


def is_another(before: str, after: str) -> bool:
    """Whether two tags of one Secret's data tell of two values; tags that cannot be compared tell nothing."""
    return before != after and comparable(before, after)


def was_written(before: SecretFacts, after: SecretFacts) -> bool:
    """Whether a target may have got another value: by its tags, or without any by its managed fields."""
    if before.data_tag or after.data_tag:
        return is_another(before.data_tag, after.data_tag)
    written, earlier = _written_at(after), _written_at(before)
    return written is not None and earlier is not None and written > earlier


def _is_unexplained(seen: Refreshed, moment: datetime) -> bool:
    """Whether nothing but a new value explains that the target was written at `moment`."""
    if not _is_well(seen) or _is_new(seen.created_at, moment) or _has_same_value(seen.target):
        return False
    before, after = seen.before, seen.after
    if before.refreshed_at is None or after.refreshed_at is None:
        return False  # the first sync
    if after.refreshed_at - moment <= SECOND:
        is_waiting = after.expected_version not in ("", after.synced_version)
        return not is_waiting and _came_as_usual(after, moment - after.refreshed_at)
    if before.refreshed_at - moment > SECOND or after.refreshed_at == before.refreshed_at:
        return False  # of a refresh about which nothing is known any more
    return before.synced_version == after.synced_version and _came_as_usual(before, moment - before.refreshed_at)


def _came_as_usual(facts: RefreshedFacts, later: timedelta) -> bool:
    """Of what was written so much later than the last refresh began: by that one, or by one that we have not seen."""
    if _interval(facts) is None:
        return False
    is_early = _is_early(facts, later)
    if later <= SECOND or (later <= RECONCILING and is_early):
        return facts.in_turn
    return not is_early


def _is_early(facts: RefreshedFacts, later: timedelta) -> bool:
    """Whether a refresh so much later comes clearly before the interval has passed: a hand edit, or a forced one."""
    interval = _interval(facts)
    if interval is None:
        return False
    return later < interval - max(SECOND, min(interval / 10, timedelta(seconds=10)))


def _interval(facts: RefreshedFacts) -> timedelta | None:
    interval = go_duration(facts.interval or "1h")
    return interval if is_periodic(facts, interval) else None


def _is_well(seen: Refreshed) -> bool:
    """Ready by its newest facts. An immutable target never gets the value whose hash it bears."""
    return seen.after.ready is True and not seen.after.immutable


def _is_new(created_at: datetime | None, moment: datetime) -> bool:
    return created_at is not None and moment - created_at < SETTLING


def _has_same_value(target: Target | None) -> bool:
    """Whether the tags say that the value did not change; if Secrets were read before the rest, they will say later."""
    if target is None or target.before is None or not comparable(target.before.data_tag, target.after.data_tag):
        return False
    return target.before.data_tag == target.after.data_tag


def _is_writer(seen: Refreshed, target: Target, written_at: datetime | None, is_news: bool) -> bool:
    """Whether this ExternalSecret wrote the new value: several may merge into one Secret."""
    if written_at is None:
        own = _manager(seen.key.name)
        others = any(writer.manager.startswith(MANAGER) and writer.manager != own for writer in target.after.writers)
        return not others or (target.after.owner_kind, target.after.owner) == (seen.key.kind, seen.key.name)
    if is_news and target.before is not None:
        before = _written_by(seen.key.name, target.before)
        return before is None or written_at > before
    return seen.before.refreshed_at is not None and written_at > seen.before.refreshed_at


def _manager(name: str) -> str:
    """As what the ExternalSecret of this name writes. Long names are hashed (since 0.18.1, util.go 80-88)."""
    manager = f"{MANAGER}{name}"
    return manager if len(manager) <= MANAGER_LIMIT else f"{MANAGER}sha3/{sha3_224(name.encode()).hexdigest()}"


def _written_by(name: str, secret: SecretFacts) -> datetime | None:
    """When the ExternalSecret of this name wrote the Secret last."""
    manager = _manager(name)
    return max((writer.at for writer in secret.writers if writer.manager == manager and writer.at), default=None)


def _written_at(secret: SecretFacts) -> datetime | None:
    """When any ExternalSecret wrote the Secret last."""
    times = (writer.at for writer in secret.writers if writer.manager.startswith(MANAGER))
    return max((time for time in times if time is not None), default=None)
