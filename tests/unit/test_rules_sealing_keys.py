"""Sealing keys: what their rules must not say, at the edge of what they say."""

from datetime import datetime

import pytest

from clusters.facts import SealedItem, SealingKeyFacts
from monitoring.health import Health
from monitoring.rules import causes, judge_cluster
from monitoring.rules.base import Census, ClusterContext, SeenKey
from monitoring.rules.workloads import SEALED_SECRETS
from tests.unit.rule_subjects import T0, at, context, deployment, finding, said, verdict, with_, workload
from tests.unit.test_rules_sealed_secrets import KIND, NO_STATUS, SEALED

NEWEST = workload("SealingKey", "k2", SealingKeyFacts(state="active", manager="controller"), T0)
REBUILT = {"cluster-rebuilt": Health.FAILING}


def cluster(sealed: int, failing: int, old: int, *keys: SeenKey) -> ClusterContext:
    census = Census(sealed=sealed, sealed_failing=failing, sealed_old=old)
    return ClusterContext(supporting={"SealingKey": (NEWEST,)}, census=census, keys=keys)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (cluster(4, 3, 3), REBUILT),
        (cluster(4, 2, 3), {}),
        (cluster(4, 3, 2), {}),
        (cluster(2, 2, 2), {}),
        (cluster(3, 2, 2), REBUILT),
        (cluster(4, 1, 1, SeenKey(name="k1", state="active", gone_at=T0)), {"cluster-key-lost": Health.FAILING}),
        (cluster(4, 1, 1, SeenKey(name="k1", state="active")), {}),
        (cluster(4, 1, 1, SeenKey(name="k1", state="compromised", gone_at=T0)), {}),
        (cluster(4, 0, 4, SeenKey(name="k1", state="active", gone_at=T0)), {}),
    ],
    ids=[
        "most fail, most are older",
        "half fail",
        "half are older",
        "too few to tell",
        "just enough to tell",
        "a key is gone",
        "the key is there",
        "a retired key is gone",
        "nothing fails",
    ],
)
def test_rebuilt_or_lost(found: ClusterContext, expected: dict[str, Health]) -> None:
    assert said(judge_cluster(found, at(1))) == expected


@pytest.mark.parametrize(("written", "speaks"), [(at(-1), False), (at(1), True), (at(3), False)])
def test_only_what_was_written_in_its_time_is_of_a_compromised_key(written: datetime, speaks: bool) -> None:
    keys = (
        workload("SealingKey", "k1", SealingKeyFacts(state="compromised", manager="controller"), T0),
        workload("SealingKey", "k2", SealingKeyFacts(state="active", manager="controller"), at(2)),
    )
    changed = with_(SEALED, generation=2, observed_generation=2, sealed=(SealedItem(name="a", written_at=written),))
    found = said(verdict(KIND, changed, at(4), context(supporting={"SealingKey": keys})))
    assert ("ss-key-compromised" in found) is speaks


def test_what_a_stopped_controller_leaves_undone_is_one_cause() -> None:
    down = context(supporting={"Deployment": (deployment("sealed-secrets", ready=0),)})
    never = finding(verdict(KIND, NO_STATUS, at(1), down), "ss-never-reconciled")
    lag = finding(verdict(KIND, with_(SEALED, generation=2), at(1), down), "ss-observed-lag")
    assert never.signature == lag.signature == causes.not_acting(down.cluster, SEALED_SECRETS)
