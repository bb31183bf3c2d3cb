"""No object, however odd, makes finding rotations raise, and what is found is sound."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import (
    MountedObject,
    MountFacts,
    RefreshedFacts,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    SecretFacts,
)
from clusters.observations import EventNote
from monitoring.models import Rotation
from monitoring.rotation import HAVE_PAST, with_past
from monitoring.rotation.base import Confidence, Entry, Evidence, Source, merged
from monitoring.rotation.external_secrets import Refreshed, Target, of_event, of_target
from monitoring.rotation.mounts import Mounted, of_class
from monitoring.rotation.sealed_secrets import of_seal
from monitoring.rotation.sealing_keys import Key, of_certificate, of_keys
from tests.unit.rule_strategies import START, moments, of, some

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
KEY = ResourceKey("ExternalSecret", "shop", "db")
odd_moments = st.sampled_from([FIRST, LAST, START, None]) | moments
intervals = st.sampled_from(["1h", "2562047h", "-2562047h", "1ns", "", "0", "1d", "30s"])


def odd(facts_type: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Facts with moments at both ends of the calendar."""
    times = {name for name in facts_type.__struct_fields__ if name.endswith(("_at", "_since"))}
    return of(facts_type, **dict.fromkeys(times, odd_moments) | fields)


refreshed = odd(RefreshedFacts, interval=intervals, ready=st.sampled_from([True, True, False]))
secrets = odd(SecretFacts)
seals = odd(SealedSecretFacts)
versions = st.sampled_from(["1", "2", "3", "0", ""])
items = of(MountedObject, id=st.sampled_from("ab"), version=versions, changed_at=odd_moments)
mounted = odd(MountFacts, objects=some(items, 3))
notes = odd(EventNote, fingerprint=st.just(1))
pairs = st.sampled_from([refreshed, secrets, seals, mounted]).flatmap(lambda kind: st.tuples(st.none() | kind, kind))


def believable(found: list[Evidence]) -> None:
    for evidence in found:
        assert evidence.at.tzinfo is not None
    rows = merged([], found)
    assert merged([Entry(id=n, evidence=e.evidence) for n, e in enumerate(rows, 1)], found) == []


@given(pairs, odd_moments)
def test_history_never_raises_and_is_stable(pair: tuple[Any, Any], created_at: datetime | None) -> None:
    before, after = pair
    assert isinstance(after, HAVE_PAST)
    seen = with_past(before, after, created_at, START)
    if before is not None:
        assert with_past(seen, after, created_at, START) == seen


@given(refreshed, refreshed, secrets, secrets, st.lists(notes, max_size=3), odd_moments)
def test_external_secrets(before: Any, after: Any, old: Any, new: Any, events: list[Any], created_at: Any) -> None:
    facts, written = with_past(before, after, created_at, START), with_past(old, new, created_at, START)
    assert isinstance(facts, RefreshedFacts)
    assert isinstance(written, SecretFacts)
    target = Target(created_at=created_at, before=old, after=written)
    seen = Refreshed(key=KEY, created_at=created_at, before=before, after=facts, target=target)
    proved = of_target(seen)
    found = [e for event in events for e in of_event(seen, events[0], event) + of_event(seen, None, event)]
    believable(found + ([proved] if proved else []))
    if not facts.ready or facts.immutable or before.refreshed_at is None:
        assert not found
        assert proved is None
    if proved:
        assert proved.before != proved.after
        assert "k." not in proved.before + proved.after


@given(st.lists(st.tuples(st.none() | mounted, mounted), max_size=4), st.sampled_from(["vault", "azure", ""]))
def test_mounts(readings: list[tuple[Any, Any]], provider: str) -> None:
    key = ResourceKey("SecretProviderClass", "shop", "a")
    mounts = [Mounted(before=before, after=after) for before, after in readings]
    found = of_class(key, provider, mounts, [], START)
    believable(found)
    told = [Entry(id=n, evidence=e) for n, e in enumerate(found, 1)]
    again = of_class(key, provider, mounts, told, START)
    assert [e for e in again if e.after not in {t.after for t in found if t.object == e.object}] == []


@given(seals, seals, st.none() | notes)
def test_seals(before: Any, after: Any, event: Any) -> None:
    facts = with_past(before, after, START, START)
    assert isinstance(facts, SealedSecretFacts)
    told = of_seal(KEY, facts, event, None)
    believable([told] if told else [])
    assert told is None or of_seal(KEY, facts, event, told) is None


keys = of(Key, key=st.just(ResourceKey("SealingKey", "a", "b")), created_at=odd_moments, facts=odd(SealingKeyFacts))
certificates = odd(SealingCertificateFacts, not_before=odd_moments)


@given(some(keys, 3), odd_moments, some(certificates), certificates, certificates)
def test_sealing_keys(there: Any, newest: Any, served: Any, before: Any, after: Any) -> None:
    found = of_keys(there, newest, served)
    renewed = of_certificate(ResourceKey("SealingCertificate", "a", "c"), before, after, there)
    believable(found + ([renewed] if renewed else []))


def test_the_words_are_those_of_the_table() -> None:
    assert {c.name: int(c) for c in Confidence} == {c.name: c.value for c in Rotation.Confidence}
    assert {str(source) for source in Source} == set(Rotation.Source.values)
