"""SealedSecret: each rule where it speaks, and right beside it where it must not."""

import pytest

from clusters.facts import SealedItem, SealedSecretFacts
from monitoring.health import Health
from monitoring.rules.base import Context, Workload
from tests.unit.rule_subjects import T0, Case, at, context, deployment, event, finding, said, verdict, with_

KIND = "SealedSecret"
SEALED = SealedSecretFacts(
    generation=1,
    ready=True,
    observed_generation=1,
    condition_since=T0,
    updated_at=T0,
    sealed=(SealedItem(name="a"),),
)
NOT_SYNCED = with_(SEALED, ready=False, message="no key could decrypt secret (a)")
NO_STATUS = SealedSecretFacts(generation=1)
FAILING = {"ss-not-synced": Health.FAILING}
UNKNOWN = {"ss-status-missing": Health.UNKNOWN}


def operators(*workloads: Workload) -> Context:
    return context(supporting={"Deployment": workloads})


UNSEALED_SINCE = context(events=(event("Unsealed", at(1)),))
UNSEALED_IN_THAT_SECOND = context(events=(event("Unsealed", T0),))
FAILED_AGAIN = context(events=(event("ErrUnsealFailed", at(2)), event("Unsealed", at(1))))
DOWN = deployment("sealed-secrets", ready=0)
DOWN_SINCE = with_(operators(DOWN), events=UNSEALED_SINCE.events)
SWITCHED_OFF = deployment("sealed-secrets", ready=0, update_status="false")

SEALED_SECRETS = [
    Case("synced", KIND, SEALED, at(900), {}),
    Case("not synced", KIND, NOT_SYNCED, T0, FAILING),
    Case("a newer Event differs", KIND, NOT_SYNCED, at(2), {"ss-status-stale": Health.UNKNOWN}, UNSEALED_SINCE),
    Case("unsealed in the second of its failure", KIND, NOT_SYNCED, at(2), FAILING, UNSEALED_IN_THAT_SECOND),
    Case("failed again after that", KIND, NOT_SYNCED, at(3), FAILING, FAILED_AGAIN),
    Case("young", KIND, NO_STATUS, at(minutes=14), {"ss-pending": Health.PROGRESSING}),
    Case("no status", KIND, NO_STATUS, at(1), UNKNOWN),
    Case("controller down", KIND, NO_STATUS, at(1), {"ss-never-reconciled": Health.FAILING}, operators(DOWN)),
    Case(
        "controller down, unsealed before",
        KIND,
        NO_STATUS,
        at(1),
        UNKNOWN,
        DOWN_SINCE,
    ),
    Case("controller up", KIND, NO_STATUS, at(1), UNKNOWN, operators(deployment("sealed-secrets"))),
    Case("status switched off", KIND, NO_STATUS, T0, UNKNOWN, operators(SWITCHED_OFF)),
    Case("Deployments not readable", KIND, NO_STATUS, at(1), UNKNOWN, context(readable=frozenset())),
    Case("just changed", KIND, with_(SEALED, generation=2), at(minutes=1), {"ss-observed-lag": Health.PROGRESSING}),
    Case("lag", KIND, with_(SEALED, generation=2), at(minutes=2), {"ss-observed-lag": Health.STALE}),
    Case(
        "lag of a change long after the status",
        KIND,
        with_(SEALED, generation=2, spec_written_at=at(5)),
        at(5, minutes=1),
        {"ss-observed-lag": Health.PROGRESSING},
    ),
    Case(
        "scope differs, yet unsealed",
        KIND,
        with_(SEALED, template_scope="cluster-wide"),
        T0,
        {"ss-scope-mismatch": Health.HEALTHY},
    ),
    Case(
        "scope differs and fails",
        KIND,
        with_(NOT_SYNCED, template_scope="cluster-wide"),
        T0,
        {**FAILING, "ss-scope-mismatch": Health.AT_RISK},
    ),
]


@pytest.mark.parametrize("case", SEALED_SECRETS, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def test_the_cause_is_of_the_newest_failure() -> None:
    """After a failure has another cause, Synced stays False and the message is not written again."""
    events = (event("ErrUpdateFailed", at(2), "already exists"), event("ErrUnsealFailed", at(-2), "older"))
    assert finding(verdict(KIND, NOT_SYNCED, at(3), context(events=events)), "ss-not-synced").cause == "already exists"
    assert finding(verdict(KIND, NOT_SYNCED, at(3)), "ss-not-synced").cause == "no key could decrypt secret (a)"


def test_a_hostile_text_cannot_fill_a_page() -> None:
    found = verdict(KIND, with_(NOT_SYNCED, message="<b>" * 5000), T0)
    assert len(found.findings[0].cause) == 1000
