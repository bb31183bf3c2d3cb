"""Operators, sealing keys and kinds of a cluster: where each rule speaks, and right beside it where it must not."""

from datetime import datetime
from typing import Any

import pytest

from clusters.facts import DriverPodFacts, ResourceKey, SealingCertificateFacts, SealingKeyFacts, WorkloadFacts
from monitoring.health import Health
from monitoring.rules import judge_cluster
from monitoring.rules.base import Census, ClusterContext, KindState, SeenCertificate, SeenKey
from tests.unit.rule_subjects import T0, at, deployment, said, with_, workload

POISON = ResourceKey("ExternalSecret", "qa", "nightly")
ES, SS = "external-secrets", "sealed-secrets"
STOPPED = Census(periodic=10, overdue=6, newest_refresh=T0)
UNOPENED = Census(sealed=10, sealed_failing=6, sealed_old=8)
FAILING, AT_RISK, HEALTHY = Health.FAILING, Health.AT_RISK, Health.HEALTHY
DEPLOYMENTS = frozenset({"Deployment"})


def running(role: str, **facts: Any) -> dict[str, Any]:
    return {
        "Deployment": (
            workload("Deployment", role, WorkloadFacts(**{"role": role, "desired": 2, "ready": 2, **facts})),
        )
    }


def serving(begun: datetime, ends: datetime | None = None, digest: str = "aa") -> dict[str, Any]:
    facts = SealingCertificateFacts(not_before=begun, not_after=ends, sha256=digest)
    return {"SealingCertificate": (workload("SealingCertificate", "c", facts),)}


def state(outcome: str, message: str = "", *, known: bool = True, resources: int = 1) -> dict[str, KindState]:
    return {
        "ExternalSecret": KindState(outcome=outcome, message=message, known_before=known, resources=resources, since=T0)
    }


def of(**parts: Any) -> ClusterContext:
    return ClusterContext(**parts)


GONE = (SeenKey(name="k1", created_at=T0, state="active", gone_at=at(1)),)
COMPROMISED = {"SealingKey": (workload("SealingKey", "k1", SealingKeyFacts(state="compromised"), T0),)}
BLIND = {"DriverPod": (workload("DriverPod", "d", DriverPodFacts(role="csi-driver", node="n1", ready=False)),)}

OPERATORS: list[tuple[str, ClusterContext, datetime, dict[str, Health]]] = [
    ("poison", of(census=Census(poison=(POISON,))), T0, {"cluster-poison-object": FAILING}),
    ("stopped", of(census=STOPPED), at(1), {"cluster-controller-stopped": FAILING}),
    ("half are overdue", of(census=with_(STOPPED, overdue=5)), at(1), {}),
    ("one of two", of(census=Census(periodic=2, overdue=2)), at(1), {}),
    ("refreshed something lately", of(census=STOPPED), at(minutes=9), {}),
    ("poison explains it", of(census=with_(STOPPED, poison=(POISON,))), at(1), {"cluster-poison-object": FAILING}),
    ("down", of(supporting=running(ES, ready=0, short_since=T0)), at(minutes=2), {"cluster-controller-down": FAILING}),
    ("restarts", of(supporting=running(ES, ready=0, short_since=T0)), at(minutes=1), {}),
    ("one of two ready", of(supporting=running(SS, ready=1)), T0, {"cluster-controller-unready": AT_RISK}),
    ("all ready", of(supporting=running(SS)), T0, {}),
    ("missing", of(census=STOPPED, readable=DEPLOYMENTS), at(minutes=5), {"cluster-controller-missing": FAILING}),
    ("Deployments not readable", of(census=STOPPED), at(minutes=5), {}),
    ("under another name, at work", of(census=Census(periodic=9, newest_refresh=T0), readable=DEPLOYMENTS), T0, {}),
    ("a known defect", of(supporting=running(ES, version="v2.1.0")), T0, {"cluster-controller-outdated": HEALTHY}),
    ("the defect is fixed", of(supporting=running(ES, version="v2.2.0")), T0, {}),
    ("no version", of(supporting=running(ES, version="latest")), T0, {}),
    (
        "webhook",
        of(kinds=state("failed", "conversion webhook for external-secrets.io/v1beta1 failed")),
        T0,
        {"cluster-conversion-webhook": FAILING},
    ),
    ("another failure", of(kinds=state("failed", "the server is busy")), T0, {}),
    ("vanished", of(kinds=state("not installed")), T0, {"cluster-kind-vanished": AT_RISK}),
    ("never installed", of(kinds=state("not installed", known=False)), T0, {}),
    ("removed when empty", of(kinds=state("not installed", resources=0)), T0, {}),
    ("rights lost", of(kinds=state("forbidden")), T0, {"cluster-rights-lost": AT_RISK}),
    ("never allowed", of(kinds=state("forbidden", known=False)), T0, {}),
    ("rebuilt", of(census=UNOPENED, supporting=serving(T0)), at(1), {"cluster-rebuilt": FAILING}),
    ("few fail", of(census=with_(UNOPENED, sealed_failing=5), supporting=serving(T0)), at(1), {}),
    (
        "key gone, some fail",
        of(census=Census(sealed=9, sealed_failing=1), keys=GONE),
        at(1),
        {"cluster-key-lost": FAILING},
    ),
    ("key gone, none fails", of(census=Census(sealed=9), keys=GONE), at(1), {}),
    (
        "an older certificate is served again",
        of(
            census=Census(sealed=9, sealed_failing=1),
            supporting=serving(T0),
            certificates=(SeenCertificate(sha256="bb", not_before=at(1)),),
        ),
        at(2),
        {"cluster-key-lost": FAILING},
    ),
    ("compromised", of(supporting=COMPROMISED), at(1), {"cluster-key-compromised": AT_RISK}),
    ("expires", of(supporting=serving(T0, at(24 * 40))), at(24 * 10), {"cluster-certificate-expiring": AT_RISK}),
    ("expires later", of(supporting=serving(T0, at(24 * 40))), at(24 * 10, seconds=-1), {}),
    (
        "shared",
        of(supporting=serving(T0), shared_with={"aa": ("prod-us",)}),
        at(1),
        {"cluster-certificate-shared": HEALTHY},
    ),
    ("its own", of(supporting=serving(T0), shared_with={"bb": ("prod-us",)}), at(1), {}),
    ("driver not ready on a node", of(supporting=BLIND), T0, {"cluster-rotation-blind": AT_RISK}),
]


@pytest.mark.parametrize(("context", "now", "expected"), [c[1:] for c in OPERATORS], ids=[c[0] for c in OPERATORS])
def test_rule(context: ClusterContext, now: datetime, expected: dict[str, Health]) -> None:
    assert said(judge_cluster(context, now)) == expected


def test_the_cure_is_named() -> None:
    (found,) = judge_cluster(of(name="prod-eu", census=Census(poison=(POISON,))), T0).findings
    assert "ExternalSecret qa/nightly" in found.summary
    assert "Do not restart" in found.hint
    assert "kubectl --context prod-eu -n qa delete externalsecret nightly" in found.hint


def test_a_known_version_is_told_of_a_stopped_controller() -> None:
    found = judge_cluster(of(census=STOPPED, supporting=running(ES, version="v2.1.0")), at(1)).findings[0]
    assert "#6053" in found.summary
    assert found.threshold


def test_whatever_stops_a_controller_has_one_signature() -> None:
    causes = (
        of(census=STOPPED),
        of(census=Census(poison=(POISON,))),
        of(supporting={"Deployment": (deployment(ES, ready=0),)}),
    )
    assert len({judge_cluster(context, at(1)).findings[0].signature for context in causes}) == 1
