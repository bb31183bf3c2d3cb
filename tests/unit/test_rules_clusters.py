"""Rules about clusters; and that every rule of every family is seen to speak."""

from datetime import datetime
from typing import Any

import pytest

from clusters.facts import SealingCertificateFacts, SealingKeyFacts
from monitoring.health import Health
from monitoring.rules import RULES, judge_cluster
from monitoring.rules.base import ClusterContext, Workload
from tests.unit.rule_subjects import T0, at, deployment, driver, said, workload
from tests.unit.test_rules_external_secrets import EXTERNAL_SECRETS
from tests.unit.test_rules_lints import CLUSTER_LINTS, LINTS
from tests.unit.test_rules_operators import OPERATORS
from tests.unit.test_rules_pods import PODS_AND_CLASSES
from tests.unit.test_rules_sealed_places import SEALED_PLACES
from tests.unit.test_rules_sealed_secrets import SEALED_SECRETS
from tests.unit.test_rules_secrets_store_csi import MOUNTS
from tests.unit.test_rules_stores import PARENTS_AND_STORES
from tests.unit.test_rules_targets import TARGETS_AND_STORES

DAY = 24  # hours


def certificate(not_before: datetime) -> tuple[Workload, ...]:
    return (workload("SealingCertificate", "sealed-secrets", SealingCertificateFacts(not_before=not_before)),)


def key(created_at: datetime, state: str = "active", manager: str = "controller") -> tuple[Workload, ...]:
    return (workload("SealingKey", "key", SealingKeyFacts(state=state, manager=manager), created_at),)


def renewing(period: str) -> dict[str, tuple[Workload, ...]]:
    operator = deployment("sealed-secrets", key_renew_period=period)
    return {"SealingCertificate": certificate(T0), "Deployment": (operator,)}


OVERDUE = {"cluster-key-renewal-overdue": Health.STALE}
DOWN = {"cluster-controller-down": Health.FAILING}
NOT_LOADED = {"cluster-key-not-loaded": Health.AT_RISK}

CLUSTERS: list[tuple[str, Any, datetime, dict[str, Health]]] = [
    ("nothing known", {}, at(9000), {}),
    ("young key", {"SealingCertificate": certificate(T0)}, at(31 * DAY, seconds=-1), {}),
    ("renewal overdue", {"SealingCertificate": certificate(T0)}, at(31 * DAY), OVERDUE),
    ("by the key alone", {"SealingKey": key(T0)}, at(32 * DAY), OVERDUE),
    ("an imported key tells no age", {"SealingKey": key(T0, manager="kubectl")}, at(900 * DAY), {}),
    (
        "a key that is not active",
        {"SealingKey": key(T0, state="compromised")},
        at(900 * DAY),
        {"cluster-key-compromised": Health.AT_RISK},
    ),
    ("another period", renewing("2400h"), at(100 * DAY), {}),
    ("another period, overdue", renewing("2400h"), at(101 * DAY), OVERDUE),
    ("a period that cannot be parsed", renewing("30d"), at(900 * DAY), {}),
    ("renewal off", renewing("0"), at(100 * DAY), {"cluster-key-renewal-off": Health.HEALTHY}),
    (
        "newest key not loaded",
        {"SealingCertificate": certificate(T0), "SealingKey": key(at(1), manager="kubectl")},
        at(2),
        NOT_LOADED,
    ),
    (
        "the key of the served certificate",
        {"SealingCertificate": certificate(T0), "SealingKey": key(at(seconds=1))},
        at(2),
        {},
    ),
    ("controller down", {"Deployment": (deployment("external-secrets", ready=0),)}, T0, DOWN),
    ("switched off on purpose", {"Deployment": (deployment("external-secrets", ready=0, desired=0),)}, T0, {}),
    ("rotation on", driver(enable_secret_rotation="true"), T0, {}),
    ("rotation off", driver(), T0, {"cluster-rotation-off": Health.HEALTHY}),
    (
        "rotation without republish",
        driver(republish=False, enable_secret_rotation="true"),
        T0,
        {"cluster-rotation-misconfigured": Health.AT_RISK},
    ),
]


@pytest.mark.parametrize(
    ("supporting", "now", "expected"), [case[1:] for case in CLUSTERS], ids=[c[0] for c in CLUSTERS]
)
def test_rule(supporting: Any, now: datetime, expected: dict[str, Health]) -> None:
    assert said(judge_cluster(ClusterContext(supporting=supporting), now)) == expected


def test_every_rule_is_seen_to_speak() -> None:
    resources = [*EXTERNAL_SECRETS, *PARENTS_AND_STORES, *TARGETS_AND_STORES, *SEALED_SECRETS, *SEALED_PLACES, *MOUNTS]
    spoken = {rule for case in (*resources, *PODS_AND_CLASSES) for rule in case.expected}
    spoken |= {rule for case in (*CLUSTERS, *OPERATORS) for rule in case[3]}
    spoken |= {rule for case in LINTS for rule in case[3]} | set(CLUSTER_LINTS)
    assert spoken == set(RULES) - {"could-not-be-judged", "could-not-be-read"}
