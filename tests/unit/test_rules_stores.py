"""Secret stores and cluster-wide parents: each rule where it speaks, and right beside it where it must not."""

import pytest

from clusters.facts import FailedNamespace, ParentFacts, ResourceKey, StoreFacts
from monitoring.health import Health
from monitoring.rules.base import Child
from tests.unit.rule_subjects import T0, WELL, Case, at, context, event, finding, said, verdict, with_

KIND = "ClusterExternalSecret"
PARENT = ParentFacts(generation=1, ready=True, provisioned=2)
CHILD = ResourceKey("ExternalSecret", "a", "db")
WELL_CHILD, STALE_CHILD = Child(key=CHILD, health=Health.HEALTHY), Child(key=CHILD, health=Health.STALE)
NOT_EVERYWHERE = with_(PARENT, ready=False, failed_namespaces=(FailedNamespace(namespace="b", reason="exists"),))
CHILDREN = context(children=(STALE_CHILD, WELL_CHILD))
BROKEN = StoreFacts(ready=False, message="unable to validate store", condition_since=at(1))

PARENTS_AND_STORES = [
    Case("well", KIND, PARENT, at(5), {}),
    Case("namespaces failed", "ClusterPushSecret", NOT_EVERYWHERE, T0, {"es-namespaces-failed": Health.FAILING}),
    Case("its worst child", KIND, PARENT, T0, {"es-children": Health.STALE}, CHILDREN),
    Case("healthy children", KIND, PARENT, T0, {}, context(children=(WELL_CHILD,))),
    Case("young parent", KIND, ParentFacts(), T0, {"es-pending": Health.PROGRESSING}),
    Case("no status", KIND, ParentFacts(), at(1), {"es-never-reconciled": Health.FAILING}),
    Case("poison", KIND, with_(PARENT, interval="1d"), T0, {"es-poison-interval": Health.FAILING}),
    Case("deletion stuck", KIND, with_(PARENT, deleting_since=T0), at(1), {"es-deletion-stuck": Health.FAILING}),
    Case("store", "SecretStore", StoreFacts(ready=True), at(900), {}),
    Case("young store", "SecretStore", StoreFacts(), at(minutes=14), {"store-pending": Health.PROGRESSING}),
    Case("store without status", "SecretStore", StoreFacts(), at(1), {"store-never-validated": Health.FAILING}),
    Case("broken store", "ClusterSecretStore", BROKEN, at(2), {"store-not-ready": Health.FAILING}),
    Case(
        "store's deletion stuck",
        "SecretStore",
        StoreFacts(ready=True, deleting_since=T0),
        at(minutes=10),
        {"store-deletion-stuck": Health.FAILING},
    ),
]


@pytest.mark.parametrize("case", PARENTS_AND_STORES, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def test_failing_namespaces_are_named_with_their_reason() -> None:
    found = finding(verdict(KIND, NOT_EVERYWHERE, T0), "es-namespaces-failed")
    assert found.summary == "Not written in 1 of 3 namespaces: b."
    assert found.cause == "exists"


def test_the_cause_of_a_store_is_in_its_event() -> None:
    events = (event("StoreUnmaintained", at(2)), event("InvalidProviderConfig", at(1), "connection refused"))
    found = finding(verdict("SecretStore", BROKEN, at(2), context(events=events)), "store-not-ready")
    assert found.cause == "connection refused"
    assert found.hint.startswith("The provider cannot be reached")
    assert finding(verdict("SecretStore", BROKEN, at(2), WELL), "store-not-ready").cause == "unable to validate store"


def test_a_store_of_another_class_says_so() -> None:
    found = finding(verdict("SecretStore", StoreFacts(controller="team-b"), at(1)), "store-never-validated")
    assert '"team-b"' in found.summary
