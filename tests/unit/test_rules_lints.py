"""Advice about specs: where each lint speaks, and that it never is part of health."""

from typing import Any

import pytest

from clusters.facts import (
    PasswordFacts,
    ResourceKey,
    SealedItem,
    SealedSecretFacts,
    SealingCertificateFacts,
    SecretFacts,
    StoreFacts,
)
from monitoring.health import Health
from monitoring.rules import judge_cluster
from monitoring.rules.base import ClusterContext, Context
from tests.unit.rule_subjects import STORE, SYNCED, T0, at, deployment, driver, verdict, with_, workload

TARGET = ResourceKey("Secret", "shop", "db")
OPEN = StoreFacts(generation=1, ready=True)
SEALED = SealedSecretFacts(generation=1, observed_generation=1, ready=True, sealed=(SealedItem(name="a"),))


def labelled(**labels: str) -> Context:
    return Context(cluster=ClusterContext(labels=labels), related={STORE: OPEN})


PROD, DEV = labelled(env="prod"), labelled(env="dev")

LINTS: list[tuple[str, str, Any, set[str], Context]] = [
    ("interval 0 in production", "ExternalSecret", with_(SYNCED, interval="0"), {"lint-interval-zero"}, PROD),
    ("interval 0 elsewhere", "ExternalSecret", with_(SYNCED, interval="0"), set(), DEV),
    ("created once", "ExternalSecret", with_(SYNCED, interval="0", policy="CreatedOnce"), set(), PROD),
    ("deletes", "ExternalSecret", with_(SYNCED, deletion_policy="Delete"), {"lint-deletion-policy"}, DEV),
    ("retains", "ExternalSecret", with_(SYNCED, deletion_policy="Retain"), set(), DEV),
    ("finds all", "ExternalSecret", with_(SYNCED, finds_all=True), {"lint-find-all"}, DEV),
    ("old API", "ExternalSecret", with_(SYNCED, written_api="v1beta1"), {"lint-deprecated-api"}, DEV),
    ("old API of a store", "SecretStore", with_(OPEN, written_api="v1beta1"), {"lint-deprecated-api"}, DEV),
    ("open store", "ClusterSecretStore", OPEN, {"lint-store-open"}, DEV),
    ("limited store", "ClusterSecretStore", with_(OPEN, namespaces_limited=True), set(), DEV),
    ("store of a namespace", "SecretStore", OPEN, set(), DEV),
    (
        "cluster-wide",
        "SealedSecret",
        with_(SEALED, scope="cluster-wide", template_scope="cluster-wide"),
        {"lint-cluster-wide-scope"},
        DEV,
    ),
    ("strict", "SealedSecret", SEALED, set(), DEV),
    ("weak", "Password", PasswordFacts(entropy_bits=127), {"lint-weak-generator"}, DEV),
    ("strong", "Password", PasswordFacts(entropy_bits=128), set(), DEV),
    ("cannot be told", "Password", PasswordFacts(), set(), DEV),
    (
        "values in an annotation",
        "ExternalSecret",
        with_(SYNCED, target="db"),
        {"lint-last-applied"},
        Context(related={STORE: OPEN, TARGET: SecretFacts(last_applied=True)}),
    ),
]
CLUSTER_LINTS = {
    "lint-renewal-off": {
        "SealingCertificate": (workload("SealingCertificate", "c", SealingCertificateFacts(not_before=T0)),),
        "Deployment": (deployment("sealed-secrets", key_renew_period="0"),),
    },
    "lint-rotation-off": driver(),
}


@pytest.mark.parametrize(("kind", "facts", "expected", "beside"), [c[1:] for c in LINTS], ids=[c[0] for c in LINTS])
def test_lint(kind: str, facts: Any, expected: set[str], beside: Context) -> None:
    found = verdict(kind, facts, at(minutes=1), beside)
    assert {lint.rule for lint in found.lints} == expected
    assert found.health is Health.HEALTHY


@pytest.mark.parametrize(("rule", "supporting"), CLUSTER_LINTS.items())
def test_lint_of_a_cluster(rule: str, supporting: Any) -> None:
    found = judge_cluster(ClusterContext(supporting=supporting), at(1))
    assert {lint.rule for lint in found.lints} == {rule}
    assert found.health is Health.HEALTHY
