"""How late External Secrets usually refreshes is learnt from refreshes that came after their moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import RefreshedFacts, ResourceKey
from clusters.observations import Observation
from monitoring.diff import Known
from monitoring.health import Health
from monitoring.lateness import MOST, STEP, learnt, rounded

DUE = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, MINUTE, NONE = timedelta(hours=1), timedelta(minutes=1), timedelta(0)


def refreshed(late: timedelta, *, health: Health = Health.HEALTHY, **facts: Any) -> tuple[Observation, Known]:
    """An ExternalSecret that was due at DUE and was refreshed `late` after it."""
    key = ResourceKey("ExternalSecret", "shop", "db")
    now = RefreshedFacts(**{"ready": True, "refreshed_at": DUE + late, **facts})
    row = Known(
        id=1,
        key=key,
        uid="",
        fingerprint=1,
        created_at=None,
        first_seen_at=DUE,
        health=health,
        since=DUE,
        findings=[],
        lints=[],
        facts={"ready": True, "refreshed_at": (DUE - HOUR).isoformat()},
        recheck_at=None,
        due_at=DUE,
    )
    return Observation(key=key, uid="", fingerprint=2, created_at=None, facts=now), row


def test_a_queue_is_learnt_and_forgotten() -> None:
    lag = NONE
    for _ in range(30):
        lag = learnt(lag, [refreshed(4 * MINUTE)] * 10, NONE)
    assert 4 * MINUTE - STEP <= lag <= 4 * MINUTE
    for _ in range(60):
        lag = learnt(lag, [refreshed(timedelta(seconds=1))] * 10, NONE)
    assert rounded(lag) == NONE


def test_a_second_of_work_is_no_queue() -> None:
    assert rounded(learnt(NONE, [refreshed(timedelta(seconds=1))] * 100, NONE)) == NONE
    assert rounded(timedelta(seconds=4)) == STEP
    assert rounded(STEP + timedelta(seconds=1)) == 2 * STEP


def test_what_teaches_nothing() -> None:
    late = 5 * MINUTE
    assert learnt(NONE, [refreshed(late)] * 4, NONE) == NONE  # too few
    assert learnt(NONE, [refreshed(late, health=Health.STALE)] * 9, NONE) == NONE  # after an outage
    assert learnt(NONE, [refreshed(late, ready=False)] * 9, NONE) == NONE
    assert learnt(NONE, [refreshed(-MINUTE)] * 9, NONE) == NONE  # refreshed early: the spec changed
    assert learnt(NONE, [refreshed(-HOUR)] * 9, NONE) == NONE  # not refreshed at all
    assert learnt(NONE, [refreshed(HOUR)] * 9, NONE) == NONE  # we looked away: it is the second refresh since


def test_the_clock_of_the_cluster_is_no_lateness() -> None:
    assert learnt(NONE, [refreshed(9 * MINUTE)] * 9, 9 * MINUTE) == NONE
    assert learnt(NONE, [refreshed(9 * MINUTE)] * 9, NONE) > NONE


@given(st.lists(st.timedeltas(min_value=-HOUR, max_value=24 * HOUR)), st.timedeltas(min_value=NONE, max_value=MOST))
def test_it_stays_within_its_bounds(lates: list[timedelta], before: timedelta) -> None:
    assert NONE <= learnt(before, map(refreshed, lates), NONE) <= MOST
