"""The past at its edges: clocks that differ, kinds that come and go, what was not there, what was learnt later."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.models import Cluster
from clusters.observations import Failure, KindResult, Outcome, Problem, Snapshot
from monitoring import outcomes
from monitoring.families import JUDGED_KINDS
from monitoring.filters import DiffFilters, ResourceFilters
from monitoring.filters.rotations import LedgerFilters
from monitoring.health import Health, Severity
from monitoring.models import ClusterState, Gap, Rotation
from monitoring.pruning import prune
from monitoring.queries import diff, past
from monitoring.queries.ledger import ledger
from monitoring.rules.base import Finding, Verdict
from tests.integration.snapshots import NOW, apply, make_cluster
from tests.integration.test_time_travel import collected, known_of, record, told

pytestmark = pytest.mark.django_db

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATER = NOW + HOUR


def healths(at: datetime, now: datetime = LATER) -> list[Health]:
    return [row.health for row in past.resources(ResourceFilters(), at, now).rows]


def changed(before: datetime, after: datetime) -> list[tuple[Health | None, Health | None, bool]]:
    """The health at both ends, and whether it is told to have changed between them."""
    found = diff.differences(DiffFilters(before=before, after=after, kinds=("ExternalSecret",)), LATER).rows
    return [(row.from_health, row.to_health, before < row.at <= after) for row in found]


@pytest.fixture
def skewed() -> Cluster:
    """At risk, well, failing at +60 s by one worker, and stale at +50 s by one whose clock is 10 s behind."""
    cluster = make_cluster()
    known_of(cluster, "ExternalSecret", read_at=LATER)
    told(cluster, Health.AT_RISK, NOW - 60 * DAY)
    told(cluster, Health.HEALTHY, NOW - 30 * DAY, "")
    told(cluster, Health.FAILING, NOW + 60 * SECOND)
    told(cluster, Health.STALE, NOW + 50 * SECOND)
    return cluster


@pytest.mark.usefixtures("skewed")
def test_a_clock_that_is_behind_loses_no_state_and_doubles_none() -> None:
    moments = {NOW - 40 * DAY: Health.AT_RISK, NOW - DAY: Health.HEALTHY, NOW + 55 * SECOND: Health.HEALTHY}
    assert {at: healths(at) for at in moments} == {at: [health] for at, health in moments.items()}
    assert healths(NOW + 61 * SECOND) == [Health.STALE]
    assert changed(NOW - 40 * DAY, NOW - DAY) == [(Health.AT_RISK, Health.HEALTHY, True)]
    assert changed(NOW - DAY, LATER) == [(Health.HEALTHY, Health.STALE, True)]


def test_a_removal_by_a_clock_that_is_behind(skewed: Cluster) -> None:
    record(skewed, {"a": ("remove", (Health.STALE, ""))}, NOW + 40 * SECOND, {})
    assert healths(NOW + 55 * SECOND) == [Health.HEALTHY]
    assert healths(NOW + 61 * SECOND) == []
    assert past.counts(NOW + 61 * SECOND)[skewed.pk]["ExternalSecret"] == {}
    assert changed(NOW, LATER) == [(Health.HEALTHY, None, True)]


def verdict(health: Health, words: str = "") -> Verdict:
    found = (Finding(rule="op", severity=Severity.WARNING, health=health, summary=words),) if words else ()
    return Verdict(health=health, findings=found)


def test_a_cluster_that_is_judged_twice_in_one_moment() -> None:
    cluster = make_cluster()
    ClusterState.objects.create(cluster=cluster, outcome="complete", collected_at=NOW, health=0, findings=[])
    for said, at in ((verdict(Health.FAILING, "x"), NOW), (verdict(Health.STALE, "y"), LATER)):
        outcomes.remember_verdict(cluster.pk, said, None, at)
    outcomes.remember_verdict(cluster.pk, verdict(Health.HEALTHY), None, LATER)
    assert past.cluster_states(NOW + HOUR / 2)[cluster.pk].health == Health.FAILING


def read(cluster: Cluster, outcome: Outcome, at: datetime) -> None:
    problem = Problem(failure=Failure.TIMEOUT, message="x") if outcome == Outcome.FAILED else None
    result = KindResult(kind="ExternalSecret", outcome=outcome, problem=problem)
    apply(cluster, Snapshot(cluster_id=cluster.pk, kinds={"ExternalSecret": result}, server_version="v1"), at)


def test_what_was_uninstalled_was_not_seen_until_it_was_read_again() -> None:
    cluster = make_cluster()
    collected(cluster, NOW)
    read(cluster, Outcome.NOT_INSTALLED, NOW + MINUTE)
    read(cluster, Outcome.NOT_INSTALLED, NOW + 60 * MINUTE)
    now = NOW + 61 * MINUTE
    assert healths(NOW + 30 * SECOND, now) == [Health.HEALTHY]
    assert healths(NOW + 30 * MINUTE, now) == [Health.UNKNOWN]
    collected(cluster, now)
    assert healths(NOW + 30 * MINUTE, now + MINUTE) == [Health.UNKNOWN]
    assert healths(now, now + MINUTE) == [Health.HEALTHY]


def test_what_was_not_seen_before_it_was_uninstalled_stays_so() -> None:
    cluster = make_cluster()
    collected(cluster, NOW)
    for minutes in (30, 60):
        read(cluster, Outcome.FAILED, NOW + minutes * MINUTE)
    seen = [healths(NOW + 45 * MINUTE, NOW + 61 * MINUTE)]
    read(cluster, Outcome.NOT_INSTALLED, NOW + 62 * MINUTE)
    seen.append(healths(NOW + 45 * MINUTE, NOW + 63 * MINUTE))
    collected(cluster, NOW + 64 * MINUTE)
    seen.append(healths(NOW + 45 * MINUTE, NOW + 65 * MINUTE))
    assert seen == [[Health.UNKNOWN]] * 3


def test_rights_that_were_not_given_are_no_gap() -> None:
    """Pods need the tier T1; and where nothing is installed, a cluster that answers is not silent."""
    clusters = {name: make_cluster(name) for name in ("t0", "bare")}
    for name, outcome in (("t0", "complete"), ("bare", "not installed")):
        told(clusters[name], Health.HEALTHY, NOW, "") if name == "t0" else None
        for kind in JUDGED_KINDS:
            refused = kind == "Pod"
            read_at = None if refused or outcome != "complete" else LATER
            known_of(clusters[name], kind, read_at=read_at, outcome="forbidden" if refused else outcome)
    at = NOW + HOUR / 2
    assert past.coverage(at, LATER, [clusters["bare"].pk]).reporting == 1
    assert diff.differences(DiffFilters(before=NOW, after=at), LATER).unseen == ()


def test_a_cluster_that_was_registered_in_between_is_told_once() -> None:
    old, new = make_cluster("old"), make_cluster("new")
    for cluster in (old, new):
        known_of(cluster, "ExternalSecret", read_at=LATER)
    Cluster.objects.filter(pk=new.pk).update(created_at=NOW + MINUTE)
    told(old, Health.HEALTHY, NOW, "")
    told(new, Health.HEALTHY, NOW + 2 * MINUTE, "")
    found = diff.differences(DiffFilters(before=NOW, after=LATER, kinds=("ExternalSecret",)), LATER)
    assert found.rows == ()
    assert [(unseen.cluster, unseen.before, unseen.after) for unseen in found.unseen] == [("new", True, False)]


def test_gaps_stay_as_long_as_a_moment_of_their_month_can_be_asked_for(settings: Any) -> None:
    settings.TRANSITION_RETENTION_DAYS = 100
    cluster = make_cluster()
    cutoff = NOW - 100 * DAY
    first = cutoff.replace(day=1, hour=0, minute=0)
    for ended_at in (first - MINUTE, first + MINUTE):
        Gap.objects.create(cluster=cluster, kind="ExternalSecret", began_at=ended_at - HOUR, ended_at=ended_at)
    assert prune(NOW)["monitoring_gap"] == 1
    assert Gap.objects.get().ended_at == first + MINUTE


def test_the_ledger_of_a_moment_does_not_know_what_was_learnt_later() -> None:
    cluster = make_cluster()
    key = {"cluster": cluster, "kind": "ExternalSecret", "namespace": "shop", "name": "db"}
    Rotation.objects.create(**key, at=NOW, seen_at=NOW + 2 * HOUR, confidence=3, source="target")
    assert ledger(LedgerFilters(), at=NOW + HOUR).rows == ()
    assert len(ledger(LedgerFilters(), at=NOW + 3 * HOUR).rows) == 1
