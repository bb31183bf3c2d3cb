"""What a SealedSecret's Secret, ciphertext and keys tell: where each rule speaks, and where it must not."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from clusters.facts import DataWriter, ResourceKey, SealedItem, SealingCertificateFacts, SealingKeyFacts, SecretFacts
from monitoring.health import Health
from monitoring.rules.base import Context, SeenCertificate, SeenSealed
from tests.unit.rule_subjects import T0, Case, at, context, finding, said, verdict, with_, workload
from tests.unit.test_rules_sealed_secrets import KIND, NO_STATUS, NOT_SYNCED, SEALED, UNSEALED_SINCE

TARGET = ResourceKey("Secret", "shop", "db")
READABLE = frozenset({"Secret", "Deployment"})
OWNED = SecretFacts(owner_kind="SealedSecret", owner="db", owner_uid="u")
OF_SHOP = with_(SEALED, target="db")
FAILS = with_(NOT_SYNCED, target="db")
ITEM = SealedItem(name="a", digest="d1", written_at=at(-1), key_bits=4096)
MADE = with_(OF_SHOP, generation=2, observed_generation=2, sealed=(ITEM,))
CERTAIN = {"ss-sealed-before-newest-key": Health.HEALTHY}


def beside(secret: SecretFacts | None, **parts: Any) -> Context:
    related = {TARGET: secret} if secret is not None else {}
    return context(**{"readable": READABLE, "related": related, **parts})


def edited(manager: str, when: datetime, *keys: str) -> Context:
    return beside(with_(OWNED, writers=(DataWriter(manager=manager, at=when, keys=keys),)))


def keyed(begun: datetime, *, state: str = "active", bits: int = 4096, **parts: Any) -> Context:
    supporting = {
        "SealingCertificate": (
            workload("SealingCertificate", "c", SealingCertificateFacts(not_before=begun, key_bits=bits)),
        ),
        "SealingKey": (workload("SealingKey", "k", SealingKeyFacts(state=state, manager="controller"), begun),),
    }
    return beside(OWNED, supporting=supporting, **parts)


def remembered(found: Context, **parts: Any) -> Context:
    return msgspec.structs.replace(found, cluster=msgspec.structs.replace(found.cluster, **parts))


def opened(cluster: str, namespace: str, name: str, *, here: bool = False, synced: bool = True) -> Context:
    other = SeenSealed(cluster=cluster, key=ResourceKey(KIND, namespace, name), here=here, synced=synced)
    return beside(OWNED, sealed_elsewhere={"d1": (other,)})


UNOPENED = with_(FAILS, sealed=(ITEM,))
CO_OWNED = beside(
    with_(OWNED, writers=tuple(DataWriter(manager=name, at=at(1), keys=("a",)) for name in ("controller", "argocd")))
)
FOR_OTHER = {"ss-not-synced": Health.FAILING, "ss-sealed-for-other": Health.FAILING}
TWO = tuple(SeenCertificate(sha256=digest) for digest in "ab")

SEALED_PLACES = [
    Case("its Secret", KIND, OF_SHOP, at(1), {}, beside(OWNED)),
    Case("no Secret", KIND, OF_SHOP, at(1), {"ss-child-missing": Health.FAILING}, beside(None)),
    Case("no Secret yet", KIND, OF_SHOP, at(minutes=1), {}, beside(None)),
    Case("Secrets not readable", KIND, OF_SHOP, at(1), {}, beside(None, readable=frozenset())),
    Case("somebody else's", KIND, OF_SHOP, at(1), {"ss-child-foreign": Health.AT_RISK}, beside(SecretFacts())),
    Case("shared on purpose", KIND, with_(OF_SHOP, shares_target=True), at(1), {}, beside(SecretFacts())),
    Case(
        "somebody else's in the way",
        KIND,
        FAILS,
        at(1),
        {"ss-not-synced": Health.FAILING, "ss-child-foreign": Health.FAILING},
        beside(SecretFacts()),
    ),
    Case("edited", KIND, OF_SHOP, at(2), {"ss-child-edited": Health.AT_RISK}, edited("kubectl-edit", at(1), "a")),
    Case("written by its controller", KIND, OF_SHOP, at(2), {}, edited("controller", at(1), "a")),
    Case("another key of it", KIND, OF_SHOP, at(2), {}, edited("reloader", at(1), "z")),
    Case("its own value applied again", KIND, OF_SHOP, at(2), {}, CO_OWNED),
    Case("before it was unsealed", KIND, OF_SHOP, at(2), {}, edited("velero", at(-1), "a")),
    Case(
        "status off, Secret there",
        KIND,
        with_(NO_STATUS, target="db"),
        at(1),
        {"ss-status-missing": Health.HEALTHY},
        beside(OWNED),
    ),
    Case(
        "condition lies, Secret there",
        KIND,
        FAILS,
        at(2),
        {"ss-status-stale": Health.HEALTHY},
        beside(OWNED, events=UNSEALED_SINCE.events),
    ),
    Case("no items", KIND, with_(OF_SHOP, sealed=()), at(1), {"ss-no-data": Health.FAILING}, beside(OWNED)),
    Case("template only", KIND, with_(OF_SHOP, sealed=(), template_items=("a",)), at(1), {}, beside(OWNED)),
    Case("written before the newest key", KIND, MADE, at(1), CERTAIN, keyed(T0)),
    Case("written after it, one key known", KIND, MADE, at(1), {}, keyed(at(-2))),
    Case(
        "seen before it",
        KIND,
        with_(MADE, sealed=(with_(ITEM, written_at=at(1)),)),
        at(2),
        CERTAIN,
        keyed(T0, first_sealed={"d1": at(-3)}),
    ),
    Case("a key of another length", KIND, MADE, at(1), CERTAIN, keyed(at(-2), bits=2048)),
    Case("nothing proves it", KIND, MADE, at(1), CERTAIN, remembered(keyed(at(-2)), certificates=TWO)),
    Case(
        "of a compromised key",
        KIND,
        MADE,
        at(1),
        {"ss-key-compromised": Health.AT_RISK},
        keyed(at(-2), state="compromised"),
    ),
    Case("for another name", KIND, UNOPENED, at(1), FOR_OTHER, opened("here", "shop", "web", here=True)),
    Case("for another cluster", KIND, UNOPENED, at(1), FOR_OTHER, opened("prod-us", "shop", "db")),
    Case(
        "fails there too",
        KIND,
        UNOPENED,
        at(1),
        {"ss-not-synced": Health.FAILING},
        opened("prod-us", "shop", "db", synced=False),
    ),
]


@pytest.mark.parametrize("case", SEALED_PLACES, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def test_certain_and_unknown_are_told_apart() -> None:
    certain = finding(verdict(KIND, MADE, at(1), keyed(T0)), "ss-sealed-before-newest-key")
    unknown = finding(
        verdict(KIND, MADE, at(1), remembered(keyed(at(-2)), certificates=TWO)), "ss-sealed-before-newest-key"
    )
    assert "certainly" in certain.summary
    assert "unknown" in unknown.summary


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        (opened("here", "shop", "web", here=True), "another name"),
        (opened("here", "billing", "db", here=True), "another namespace"),
        (
            opened("prod-us", "shop", "db"),
            "another cluster: the very same ciphertext is opened as shop/db in cluster prod-us",
        ),
    ],
)
def test_for_what_it_was_sealed_is_said_first(beside: Context, words: str) -> None:
    worst = verdict(KIND, UNOPENED, at(1), beside).findings[0]
    assert worst.rule == "ss-sealed-for-other"
    assert words in worst.summary


def test_all_that_no_key_of_a_cluster_opens_is_one_cause() -> None:
    one, other = (
        with_(FAILS, message="no key could decrypt secret (a)"),
        with_(FAILS, message="no key could decrypt secret (c, b)"),
    )
    assert (
        verdict(KIND, one, at(1), beside(OWNED)).signature == verdict(KIND, other, at(1), beside(OWNED)).signature != ""
    )


def test_what_another_cluster_still_opens_is_of_the_same_cause() -> None:
    """A rebuilt cluster beside its old one is one line; what was sealed for another name is a line of its own."""
    without = verdict(KIND, UNOPENED, at(1), beside(OWNED)).signature
    assert verdict(KIND, UNOPENED, at(1), opened("prod-us", "shop", "db")).signature == without
    assert verdict(KIND, UNOPENED, at(1), opened("here", "shop", "web", here=True)).signature != without
