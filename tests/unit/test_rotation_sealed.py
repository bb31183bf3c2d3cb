"""What was sealed anew, keys that were renewed, and when two pieces of evidence are one rotation."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from msgspec import structs

from clusters.facts import ResourceKey, SealedItem, SealedSecretFacts, SealingCertificateFacts, SealingKeyFacts
from clusters.observations import EventNote
from monitoring.rotation import with_past
from monitoring.rotation.base import Confidence, Entry, Evidence, Source, merged
from monitoring.rotation.sealed_secrets import is_unsealed, of_seal, short_seal
from monitoring.rotation.sealing_keys import Key, of_certificate, of_keys

KEY = ResourceKey("SealedSecret", "shop", "db")
START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
WRITTEN = START + HOUR


def sealed(generation: int, *digests: str, **changes: Any) -> SealedSecretFacts:
    values: dict[str, Any] = {
        "ready": True,
        "generation": generation,
        "observed_generation": generation,
        "updated_at": WRITTEN + SECOND,
        "spec_written_at": WRITTEN,
        "sealed": tuple(SealedItem(name=str(number), digest=digest) for number, digest in enumerate(digests)),
    }
    return SealedSecretFacts(**values | changes)


def unsealed(last_at: datetime | None, **changes: Any) -> EventNote:
    values: dict[str, Any] = {
        "uid": "e",
        "fingerprint": 1,
        "involved": KEY,
        "involved_uid": "",
        "type": "Normal",
        "reason": "Unsealed",
        "message": "SealedSecret unsealed successfully",
        "component": "sealed-secrets",
        "first_at": START,
        "last_at": last_at,
    }
    return EventNote(**values | changes)


def past(before: SealedSecretFacts, after: SealedSecretFacts) -> SealedSecretFacts:
    facts = with_past(before, after, START, WRITTEN)
    assert isinstance(facts, SealedSecretFacts)
    return facts


ONCE = sealed(1, "a", "b", updated_at=START, spec_written_at=START)
# The status is not written yet, or switched off.
UNSEEN: dict[str, Any] = {"observed_generation": 1, "updated_at": START}


@pytest.mark.parametrize(
    ("facts", "event", "at"),
    [
        (sealed(2, "c", "d"), unsealed(WRITTEN + SECOND), WRITTEN + SECOND),
        (sealed(2, "c", "d", **UNSEEN), unsealed(WRITTEN), WRITTEN),
        (sealed(2, "c", "d"), None, WRITTEN + SECOND),
        (sealed(2, "c", "d"), unsealed(START), WRITTEN + SECOND),
        (sealed(2, "a", "d"), None, WRITTEN + SECOND),
    ],
)
def test_new_ciphertexts_that_were_unsealed_are_inferred(
    facts: SealedSecretFacts, event: EventNote | None, at: datetime
) -> None:
    told = of_seal(KEY, past(ONCE, facts), event, None)
    assert told == Evidence(
        key=KEY,
        at=at,
        confidence=Confidence.INFERRED,
        source=Source.RESEALED,
        before=short_seal(ONCE),
        after=short_seal(facts),
    )


UNTOLD: dict[str, tuple[SealedSecretFacts, EventNote | None]] = {
    "a restart of the controller": (past(ONCE, ONCE), unsealed(WRITTEN)),
    "a changed template": (past(ONCE, sealed(2, "a", "b")), unsealed(WRITTEN)),
    "other digests of the same generation": (past(ONCE, sealed(1, "c")), unsealed(WRITTEN)),
    "first sight": (sealed(2, "c"), unsealed(WRITTEN)),
    "not unsealed yet": (past(ONCE, sealed(2, "c", **UNSEEN)), None),
    "unsealed before": (past(ONCE, sealed(2, "c", **UNSEEN)), unsealed(WRITTEN - SECOND)),
    "an Event without a moment": (past(ONCE, sealed(2, "c", **UNSEEN)), unsealed(None)),
    "it failed": (past(ONCE, sealed(2, "c", ready=False)), None),
    "nothing is sealed any more": (past(ONCE, sealed(2)), unsealed(WRITTEN)),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_no_rotation_is(name: str) -> None:
    facts, event = UNTOLD[name]
    assert of_seal(KEY, facts, event, None) is None


def test_status_and_event_may_come_later_and_tell_once() -> None:
    changed = past(ONCE, sealed(2, "c", **UNSEEN))
    later = past(changed, sealed(2, "c"))
    told = of_seal(KEY, later, None, None)
    assert told is not None
    assert told == of_seal(KEY, changed, unsealed(WRITTEN + SECOND), None)
    assert of_seal(KEY, later, unsealed(WRITTEN + 9 * HOUR), told) is None


def test_sealing_the_former_ciphertexts_again_is_a_rotation() -> None:
    second = past(ONCE, sealed(2, "c"))
    told = of_seal(KEY, second, None, None)
    back = past(second, sealed(3, "a", "b", updated_at=WRITTEN + HOUR))
    again = of_seal(KEY, back, None, told)
    assert again is not None
    assert again.after == short_seal(ONCE)


@pytest.mark.parametrize(
    "changes", [{"reason": "ErrUnsealFailed"}, {"type": "Warning"}, {"involved": ResourceKey("A", "", "b")}]
)
def test_other_events_tell_of_nothing_unsealed(changes: dict[str, Any]) -> None:
    assert is_unsealed(unsealed(START))
    assert not is_unsealed(unsealed(START, **changes))


def key(name: str, created_at: datetime | None, state: str = "active", manager: str = "controller") -> Key:
    return Key(
        key=ResourceKey("SealingKey", "kube-system", name),
        created_at=created_at,
        facts=SealingKeyFacts(state=state, manager=manager),
    )


def certificate(not_before: datetime | None, sha256: str) -> SealingCertificateFacts:
    return SealingCertificateFacts(not_before=not_before, sha256=sha256 * 16)


SERVICE = ResourceKey("SealingCertificate", "kube-system", "sealed-secrets-controller")
OLD, NEW = certificate(START - SECOND, "aaaa"), certificate(WRITTEN - SECOND, "bbbb")
RENEWED = key("new", WRITTEN)


def test_a_new_key_of_the_controller_is_a_renewal() -> None:
    (told,) = of_keys([RENEWED], START, [OLD])
    assert told == Evidence(
        key=RENEWED.key, at=WRITTEN, confidence=Confidence.PROVED, source=Source.RENEWED, after="new"
    )
    assert [e.after for e in of_keys([RENEWED], START, [OLD, NEW])] == ["bbbbbbbb"]


@pytest.mark.parametrize(
    ("new", "newest"),
    [
        (RENEWED, None),
        (RENEWED, WRITTEN),
        (key("new", WRITTEN, manager="kubectl-create"), START),
        (key("new", WRITTEN, state="compromised"), START),
        (key("new", None), START),
    ],
)
def test_other_keys_that_appear_are_none(new: Key, newest: datetime | None) -> None:
    assert of_keys([new], newest, []) == []


def test_another_certificate_tells_of_a_renewal_with_or_without_the_name_of_its_key() -> None:
    without = of_certificate(SERVICE, OLD, NEW, [])
    assert without is not None
    assert (without.key.name, without.at, without.after) == ("", WRITTEN - SECOND, "bbbbbbbb")
    named = of_certificate(SERVICE, OLD, NEW, [key("old", START), RENEWED])
    assert named is not None
    assert (named.key.name, named.at, named.after) == ("new", WRITTEN, "bbbbbbbb")


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (OLD, OLD, []),
        (NEW, OLD, []),
        (certificate(None, "aaaa"), NEW, []),
        (OLD, certificate(None, "bbbb"), []),
        (OLD, NEW, [key("old", START)]),
        (OLD, NEW, [key("restored", WRITTEN, manager="kubectl-create")]),
    ],
)
def test_other_certificates_are_none(
    before: SealingCertificateFacts, after: SealingCertificateFacts, keys: list[Key]
) -> None:
    assert of_certificate(SERVICE, before, after, keys) is None


def evidence(second: float = 0, **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "key": KEY,
        "at": START + timedelta(seconds=second),
        "confidence": Confidence.LIKELY,
        "source": Source.UPDATED,
    }
    return Evidence(**values | changes)


PROVED = evidence(-2, confidence=Confidence.PROVED, source=Source.TARGET, before="1", after="2")


def apply(rows: list[Entry], *found: Evidence) -> list[Entry]:
    """The ledger after it was written, new rows numbered."""
    written = {entry.id: entry for entry in rows}
    for entry in merged(rows, found):
        number = entry.id or len(written) + 1
        written[number] = structs.replace(entry, id=number)
    return list(written.values())


def test_better_evidence_replaces_worse_and_brings_its_moment() -> None:
    rows = apply(apply([], evidence()), PROVED)
    assert rows == [Entry(id=1, evidence=PROVED)]
    assert apply(rows, evidence()) == rows
    assert merged(rows, [evidence(), PROVED]) == []


def test_the_moment_is_that_of_the_better_evidence_and_of_equal_evidence_the_earlier() -> None:
    later = structs.replace(PROVED, at=START + 2 * SECOND)
    assert [e.evidence for e in apply([], evidence(), later)] == [later]
    assert [e.evidence for e in apply([], evidence(3), evidence(1))] == [evidence(1)]


def test_what_lies_further_apart_is_another_rotation() -> None:
    assert len(apply([], evidence(), evidence(10))) == 1
    assert len(apply([], evidence(), evidence(11))) == 2


def test_only_one_resource_and_one_object_are_compared() -> None:
    others = [evidence(key=ResourceKey("SealedSecret", "shop", "web")), evidence(object="a"), evidence(object="b")]
    assert len(apply([], evidence(), *others)) == 4


def test_two_versions_of_a_mount_are_two_rotations_however_close() -> None:
    first = evidence(source=Source.MOUNT, before="1", after="2", object="db")
    second = evidence(1, source=Source.MOUNT, before="2", after="3", object="db")
    assert len(apply([], first, second)) == 2


def test_key_and_certificate_tell_of_one_renewal_in_any_order() -> None:
    tells = [
        *of_keys([RENEWED], START, []),
        *of_keys([RENEWED], START, [NEW]),
        *(e for keys in ([], [RENEWED]) if (e := of_certificate(SERVICE, OLD, NEW, keys))),
    ]
    for order in permutations(tells):
        rows: list[Entry] = []
        for told in order:
            rows = apply(rows, told)
        assert [(e.evidence.key.name, e.evidence.after, e.evidence.at) for e in rows] == [
            ("new", "bbbbbbbb", WRITTEN - SECOND)
        ]


def test_two_keys_of_one_moment_are_two_renewals() -> None:
    assert len(apply([], *of_keys([RENEWED, key("other", WRITTEN)], START, []))) == 2


def test_the_order_of_evidence_does_not_matter() -> None:
    tells = [PROVED, evidence(), evidence(3), evidence(40), structs.replace(PROVED, at=START + timedelta(minutes=5))]
    together = sorted(e.evidence.at for e in apply([], *tells))
    assert len(together) == 3
    for order in permutations(tells):
        rows: list[Entry] = []
        for told in order:
            rows = apply(rows, told)
        assert sorted(e.evidence.at for e in rows) == together
