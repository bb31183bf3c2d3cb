"""Targets and stores of ExternalSecrets: where each rule speaks, and which of them are one cause."""

from typing import Any

import pytest

from clusters.facts import FailedNamespace, ParentFacts, RefreshedFacts, ResourceKey, SecretFacts, StoreFacts
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import Context, Finding
from tests.unit.rule_subjects import FAILED, STORE, SYNCED, T0, Case, at, context, event, finding, said, verdict, with_

TARGET = ResourceKey("Secret", "shop", "db")
READABLE = frozenset({"SecretStore", "ClusterSecretStore", "Secret"})
VALID = StoreFacts(generation=1, ready=True, provider="vault", server="vault.example.com")
BROKEN = with_(VALID, ready=False, message="unable to validate store", condition_since=T0)
NAMED = with_(SYNCED, target="db")
FULL = SecretFacts(managed_by="external-secrets")
REFUSED = event("InvalidProviderConfig", at(1), "dial tcp 192.0.2.1:8200: connect: connection refused")


def beside(secret: SecretFacts | None, store: StoreFacts = VALID, **parts: Any) -> Context:
    related = {STORE: store, **({TARGET: secret} if secret is not None else {})}
    return context(**{"readable": READABLE, "related": related, **parts})


TARGETS_AND_STORES = [
    Case("Secret there", "ExternalSecret", NAMED, at(minutes=5), {}, beside(FULL)),
    Case("Secret missing", "ExternalSecret", NAMED, at(minutes=5), {"es-target-missing": Health.FAILING}, beside(None)),
    Case("just refreshed", "ExternalSecret", NAMED, at(minutes=1), {}, beside(None)),
    Case("no target", "ExternalSecret", SYNCED, at(minutes=5), {}, beside(None)),
    Case(
        "Secrets not readable", "ExternalSecret", NAMED, at(minutes=5), {}, beside(None, readable=READABLE - {"Secret"})
    ),
    Case(
        "Secret empty",
        "ExternalSecret",
        NAMED,
        at(minutes=5),
        {"es-target-empty": Health.FAILING},
        beside(with_(FULL, empty=True)),
    ),
    Case(
        "validation unknown",
        "SecretStore",
        with_(VALID, reason="ValidationUnknown"),
        at(1),
        {"store-validation-unknown": Health.HEALTHY},
    ),
    Case(
        "unmaintained",
        "SecretStore",
        VALID,
        at(1),
        {"store-unmaintained": Health.HEALTHY},
        beside(None, events=(event("StoreUnmaintained", T0),)),
    ),
    Case(
        "deprecated",
        "SecretStore",
        VALID,
        at(1),
        {"store-deprecated": Health.HEALTHY},
        beside(None, events=(event("StoreDeprecated", T0),)),
    ),
]


@pytest.mark.parametrize("case", TARGETS_AND_STORES, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def not_ready(key: str) -> Context:
    text = f'error processing spec.data[0] (key: {key}), err: SecretStore "vault" is not ready'
    return beside(None, BROKEN, events=(event("UpdateFailed", at(1), text),), store_events={STORE: (REFUSED,)})


def test_a_store_and_all_that_reads_it_are_one_cause() -> None:
    store = verdict("SecretStore", BROKEN, at(2), beside(None, events=(REFUSED,)))
    failing = [verdict("ExternalSecret", FAILED, at(1, minutes=30), not_ready(f"team/app-{n}")) for n in range(3)]
    at_risk = verdict("ExternalSecret", SYNCED, at(minutes=30), not_ready("x"))
    assert {found.signature for found in (store, *failing, at_risk)} == {store.signature}
    assert store.signature
    assert finding(at_risk, "es-store-not-ready").cause == REFUSED.message


def test_an_outage_of_one_server_is_one_cause_seen_directly_or_through_the_store() -> None:
    direct = event(
        "UpdateFailed",
        at(1),
        "error processing spec.data[0] (key: k), err: dial tcp 192.0.2.1:8200: connection refused",
    )
    seen = verdict("ExternalSecret", FAILED, at(1, minutes=30), beside(None, events=(direct,)))
    store = verdict("SecretStore", BROKEN, at(2), beside(None, events=(REFUSED,)))
    elsewhere = verdict(
        "SecretStore", with_(BROKEN, server="other.example.com"), at(2), beside(None, events=(REFUSED,))
    )
    assert seen.signature == store.signature != elsewhere.signature


def test_what_the_provider_lacks_is_the_cause_of_that_object_alone() -> None:
    lacks = event("UpdateFailed", at(1), "error processing spec.data[0] (key: k), err: Secret does not exist")
    one = verdict("ExternalSecret", FAILED, at(1, minutes=30), beside(None, events=(lacks,)))
    other = verdict("PushSecret", FAILED, at(1, minutes=30), beside(None, events=(lacks,)))
    assert one.signature != other.signature


def test_all_that_reads_an_absent_store_is_one_cause() -> None:
    gone = event("UpdateFailed", at(1), 'could not get SecretStore "vault", SecretStore "vault" not found')
    without = context(readable=READABLE, events=(gone,))
    failing = verdict("ExternalSecret", FAILED, at(1, minutes=30), without)
    at_risk = verdict("ExternalSecret", SYNCED, at(minutes=30), without)
    assert finding(failing, "es-not-ready").signature == finding(at_risk, "es-store-absent").signature


def test_what_a_controller_leaves_undone_is_one_cause() -> None:
    undone = (
        verdict("ExternalSecret", SYNCED, at(24), beside(None)),
        verdict("ExternalSecret", RefreshedFacts(generation=1), at(24), beside(None)),
        verdict("SecretStore", StoreFacts(generation=1), at(24), beside(None)),
    )
    assert {found.signature for found in undone} == {causes.not_acting(beside(None).cluster, "external-secrets")}


def test_what_waits_for_the_controller_of_one_store_is_one_cause() -> None:
    foreign = beside(None, with_(VALID, controller="other"))
    waiting = [
        verdict(kind, RefreshedFacts(generation=1, stores=(STORE,)), at(24), foreign)
        for kind in ("ExternalSecret", "PushSecret")
    ]
    assert len({found.signature for verdict in waiting for found in verdict.findings}) == 1


def test_a_key_that_is_missing_is_classified() -> None:
    missing = beside(None, events=(event("MissingProviderSecret", at(1)),))
    found = finding(verdict("ExternalSecret", SYNCED, at(minutes=30), missing), "es-partly-missing")
    assert found.cause_class == "provider-not-found"


def test_namespaces_that_fail_for_one_reason_are_one_cause() -> None:
    def failing(namespace: str, target: str) -> Finding:
        failed = FailedNamespace(namespace=namespace, reason=f'external secret "{target}" already exists in namespace')
        facts = ParentFacts(ready=False, failed_namespaces=(failed,))
        return finding(verdict("ClusterExternalSecret", facts, at(1)), "es-namespaces-failed")

    assert failing("a", "db").cause_class == "target-conflict"
    assert failing("a", "db").signature == failing("b", "api").signature
    told = causes.diagnose(failing("a", "db").cause, "", own=ResourceKey("ClusterExternalSecret", "", "db"))
    assert failing("a", "db").signature == told.signature
