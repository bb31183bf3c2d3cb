"""Counts over time: a sample is what pages show, hours and days keep their worst, what nobody saw stays unknown."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.models import Cluster
from monitoring import queries, sampling, tasks
from monitoring.filters import WrongParameter
from monitoring.health import WORST_FIRST, Health
from monitoring.models import Cursor, Gap, HealthSample, Recovery, Resource, Transition
from secretsdash.celery import BEAT_SCHEDULE, app
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
FAILING = {"ExternalSecret": {"5": 1}}
HEALTHY, UNKNOWN, PROGRESSING, AT_RISK, STALE, WORST = Health


def fleet() -> dict[str, Cluster]:
    """Every health of several kinds, in a cluster that answers, one that does not, and one that is new."""
    clusters = {
        name: make.cluster(name, read=read) for name, read in (("eu", 10 * SECOND), ("ap", HOUR), ("new", None))
    }
    for name in ("eu", "ap"):
        for health in Health:
            make.many(clusters[name], health + 1, health)
        make.resource(clusters[name], "a/b", Health.STALE, kind="SealedSecret")
        make.resource(clusters[name], "node-1", Health.FAILING, kind="CSINode")
    Cursor.objects.filter(cluster=clusters["eu"], kind="SealedSecret").update(read_at=NOW - HOUR)
    return clusters


def added_up(shown: Mapping[str, Mapping[str, int]]) -> dict[Health, int]:
    return {health: sum(counts.get(str(int(health)), 0) for counts in shown.values()) for health in WORST_FIRST}


def of_all(minutes: int = 5) -> list[HealthSample]:
    return list(HealthSample.objects.filter(cluster=None, minutes=minutes).order_by("at"))


def stored(at: datetime, shown: dict[str, dict[str, int]], minutes: int = 5, of: Cluster | None = None) -> None:
    HealthSample.objects.create(at=at, minutes=minutes, cluster=of, shown=shown, samples=minutes // 5)


def test_a_sample_is_what_pages_show() -> None:
    fleet()
    sampling.sample(NOW)
    (whole,) = of_all()
    assert whole.at == NOW.replace(minute=5, second=0)
    assert added_up(whole.shown) == queries.health_totals(NOW)
    for family in queries.family_totals(NOW):
        of_family = {kind: counts for kind, counts in whole.shown.items() if kind in family.family.kinds}
        assert added_up(of_family) == family.counts
    for row in queries.cluster_rows(NOW).rows:
        assert added_up(HealthSample.objects.get(cluster=row.cluster).shown) == row.counts


def test_what_cannot_be_seen_is_unknown_in_a_sample() -> None:
    clusters = fleet()
    sampling.sample(NOW)
    by_cluster = {sample.cluster_id: sample.shown for sample in HealthSample.objects.all()}
    assert len(by_cluster) == 4
    assert by_cluster[clusters["ap"].pk] == {"ExternalSecret": {"1": 21}, "SealedSecret": {"1": 1}}
    assert by_cluster[clusters["new"].pk] == {}
    Cursor.objects.filter(cluster=clusters["eu"]).update(read_at=NOW + 5 * MINUTE)
    sampling.sample(NOW + 5 * MINUTE)
    recorded = {"ExternalSecret": {str(int(health)): health + 1 for health in Health}, "SealedSecret": {"4": 1}}
    assert HealthSample.objects.get(cluster=clusters["eu"], at__gt=NOW).shown == recorded


def test_a_sample_is_taken_once_and_costs_the_same_for_many_clusters() -> None:
    with CaptureQueriesContext(connection) as few:
        sampling.sample(NOW - HOUR)
    fleet()
    for number in range(20):
        make.many(make.cluster(f"more-{number}"), 2)
    with CaptureQueriesContext(connection) as many:
        sampling.sample(NOW)
    assert len(many) == len(few) == 4
    make.many(Cluster.objects.get(name="eu"), 7, Health.FAILING)
    before = list(HealthSample.objects.order_by("id").values())
    sampling.sample(NOW + MINUTE)
    assert list(HealthSample.objects.order_by("id").values()) == before


def test_an_hour_keeps_the_worst_numbers_of_each_kind_and_how_many_samples_they_are_of() -> None:
    of = make.cluster()
    for minutes, shown in (
        (0, {"ExternalSecret": {"0": 50, "4": 99}}),
        (25, {"ExternalSecret": {"0": 90, "5": 1}, "SealedSecret": {"0": 3, "2": 7}}),
        (30, {"ExternalSecret": {"0": 9, "1": 500}}),
    ):
        for cluster in (of, None):
            stored(MIDNIGHT - 3 * HOUR + minutes * MINUTE, shown, of=cluster)
    stored(MIDNIGHT - 2 * HOUR, {})
    stored(MIDNIGHT, {})
    sampling.roll_up(NOW)
    worst = {"ExternalSecret": {"0": 9, "1": 500, "4": 99, "5": 1}, "SealedSecret": {"0": 0, "2": 7}}
    assert [(sample.at, sample.shown, sample.samples) for sample in of_all(60)] == [
        (MIDNIGHT - 3 * HOUR, worst, 3),
        (MIDNIGHT - 2 * HOUR, {}, 1),
        (MIDNIGHT, {}, 1),
    ]
    assert [(sample.shown["SealedSecret"], sample.samples) for sample in of_all(1440)] == [({"0": 0, "2": 7}, 4)]
    kept = HealthSample.objects.get(cluster=of, minutes=60)
    assert (kept.shown, kept.samples) == (worst, 3)


def a_day(of: Cluster | None = None, **odd: dict[str, dict[str, int]] | None) -> None:
    """Yesterday with a sample of nothing but healthy resources every 5 minutes, but for those that `odd` names."""
    for place in range(288):
        shown = odd.get(f"at_{place}", odd.get("else_", {"ExternalSecret": {"0": 1000}}))
        if shown is not None:
            stored(MIDNIGHT - DAY + place * 5 * MINUTE, shown, of=of)


BLIND = {"ExternalSecret": {"1": 1000}}


@pytest.mark.parametrize("window", ["7d", "30d", "1y"])
@pytest.mark.parametrize("rolled", [True, False])
def test_blindness_does_not_hide_behind_one_failure(window: str, rolled: bool) -> None:
    a_day(else_=BLIND, at_280={"ExternalSecret": {"5": 1, "0": 999}})
    now = MIDNIGHT + 14 * HOUR if rolled else MIDNIGHT + 9 * MINUTE
    for _ in range(2 if rolled else 0):
        sampling.roll_up(now)
    worst = next(moment for moment in queries.trend(now, window).moments if moment.counts and moment.counts[WORST])
    assert worst.counts == dict.fromkeys(WORST_FIRST, 0) | {UNKNOWN: 1000, WORST: 1}
    assert worst.uncounted == timedelta(0)


@pytest.mark.parametrize(("window", "uncounted"), [("7d", 55 * MINUTE), ("30d", 55 * MINUTE), ("1y", DAY - 5 * MINUTE)])
@pytest.mark.parametrize("rolled", [True, False])
def test_one_sample_does_not_speak_for_an_hour_or_a_day(window: str, uncounted: timedelta, rolled: bool) -> None:
    a_day(else_=None, at_280={"ExternalSecret": {"0": 1000}})
    now = MIDNIGHT + 9 * MINUTE
    if rolled:
        sampling.roll_up(MIDNIGHT + 10 * MINUTE)
    (counted,) = (moment for moment in queries.trend(now, window).moments if moment.counts)
    assert counted.uncounted == uncounted
    assert {moment.uncounted for moment in queries.trend(now, window).moments if moment.counts is None} <= {HOUR, DAY}


def test_the_hour_that_lasts_lacks_only_what_is_over() -> None:
    for minutes in (0, 5, 15):
        stored(MIDNIGHT + minutes * MINUTE, FAILING)
    for minutes, missing in ((20, 5), (24, 5), (25, 10)):
        moment = queries.trend(MIDNIGHT + minutes * MINUTE, "7d").moments[-1]
        assert moment.uncounted == missing * MINUTE


def test_a_cluster_registered_at_noon_does_not_make_the_day_of_others_incomplete() -> None:
    old, new = make.cluster("old"), make.cluster("new")
    a_day(old)
    a_day(new, **{f"at_{place}": None for place in range(144)})
    sampling.roll_up(NOW)
    both, alone = (queries.trend(NOW, "1y", ids=ids).moments[-1] for ids in ([old.pk, new.pk], [new.pk]))
    assert (both.uncounted, alone.uncounted) == (timedelta(0), 12 * HOUR)


@pytest.mark.parametrize("rolled", [True, False])
def test_a_short_outage_of_one_kind_does_not_hide_behind_a_greater_one_of_another(rolled: bool) -> None:
    stored(MIDNIGHT - HOUR, {"ExternalSecret": {"5": 40}, "SealedSecret": {"0": 9}})
    stored(MIDNIGHT - 30 * MINUTE, {"ExternalSecret": {"0": 40}, "SealedSecret": {"5": 9}})
    if rolled:
        sampling.roll_up(MIDNIGHT + 10 * MINUTE)
    for kinds, failing in ((["SealedSecret"], 9), (["ExternalSecret"], 40), ([], 49)):
        for window in ("7d", "1y"):
            found = queries.trend(MIDNIGHT + 9 * MINUTE, window, kinds=kinds)
            assert [number for number in counts(found) if number is not None] == [failing]


def test_a_day_is_rolled_up_when_its_last_hour_is() -> None:
    for hours in (3, 2, 1):
        stored(MIDNIGHT - hours * HOUR, FAILING if hours == 3 else {})
    stored(MIDNIGHT + HOUR, {})
    sampling.roll_up(MIDNIGHT + 5 * MINUTE)
    assert ([sample.at for sample in of_all(60)], of_all(1440)) == ([MIDNIGHT - 3 * HOUR, MIDNIGHT - 2 * HOUR], [])
    sampling.roll_up(MIDNIGHT + 15 * MINUTE)
    assert [(sample.at, sample.shown) for sample in of_all(1440)] == [(MIDNIGHT - DAY, FAILING)]


def test_an_hour_that_is_not_over_or_may_still_get_a_sample_waits() -> None:
    stored(MIDNIGHT, FAILING)
    sampling.roll_up(MIDNIGHT + HOUR + 9 * MINUTE)
    assert of_all(60) == []
    sampling.roll_up(MIDNIGHT + HOUR + 10 * MINUTE)
    assert [sample.at for sample in of_all(60)] == [MIDNIGHT]


def test_rolling_up_again_changes_nothing_and_an_outage_is_caught_up_in_steps() -> None:
    for hours in (*range(200, 120, -1), 2):
        stored(NOW - hours * HOUR, {"ExternalSecret": {"5": 300 - hours}})
    numbers = []
    for _ in range(4):
        sampling.roll_up(NOW)
        numbers.append(len(of_all(60)))
    assert numbers == [48, 80, 81, 81]
    before = list(HealthSample.objects.order_by("id").values())
    sampling.roll_up(NOW)
    assert list(HealthSample.objects.order_by("id").values()) == before
    assert [sample.shown["ExternalSecret"]["5"] for sample in of_all(1440)] == [117, 141, 165, 179]


def turned(of: Resource, *steps: tuple[timedelta, Health | None, Health | None], unwell: timedelta = HOUR) -> None:
    """Changes of health at a time before NOW; what was at risk or worse had been so for `unwell`."""
    for ago, before, after in steps:
        change = make.transition(of, after, NOW - ago, before=before)
        if before is not None and before >= Health.AT_RISK:
            Transition.objects.filter(pk=change.pk).update(unwell_since=NOW - ago - unwell)


def test_recoveries_by_cluster_and_store() -> None:
    here, away = make.cluster("eu"), make.cluster("us")
    first, second, third = (make.resource(of, f"a/b{place}") for place, of in enumerate((here, here, away)))
    make.reference(first, "store", "SecretStore", "a/vault")
    make.reference(first, "target", "Secret", "a/b0")
    for secret in (first, second):
        make.reference(secret, "store", "ClusterSecretStore", "vault")
    turned(first, (2 * DAY, Health.FAILING, Health.HEALTHY))
    turned(second, (2 * DAY, Health.STALE, Health.HEALTHY), unwell=3 * HOUR)
    turned(third, (DAY, Health.AT_RISK, Health.HEALTHY), (HOUR, Health.FAILING, Health.HEALTHY), unwell=9 * HOUR)
    sampling.roll_up(NOW)
    sampling.roll_up(NOW)
    assert [(row.cluster, row.store) for row in queries.recovery(NOW)] == [("us", ""), ("eu", "")]
    named = queries.recovery(NOW, ids=[here.pk, away.pk])
    assert [(row.cluster, row.store, row.count, row.mean) for row in named] == [
        ("us", "", 1, 9 * HOUR),
        ("eu", "", 2, 2 * HOUR),
        ("eu", "ClusterSecretStore vault", 2, 2 * HOUR),
        ("eu", "SecretStore a/vault", 1, HOUR),
    ]
    assert [row.cluster for row in queries.recovery(NOW, ids=[away.pk])] == ["us"]
    assert queries.recovery(NOW, days=1, ids=[here.pk]) == ()
    sampling.roll_up(NOW + DAY)
    assert [row.count for row in queries.recovery(NOW + DAY, ids=[away.pk])] == [2]


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([(DAY, WORST, HEALTHY)], [3600]),
        ([(DAY, WORST, STALE)], []),
        ([(DAY, WORST, None)], []),
        ([(DAY, PROGRESSING, HEALTHY)], []),
        ([(DAY + HOUR, HEALTHY, PROGRESSING), (DAY, PROGRESSING, HEALTHY)], []),
        ([(DAY + HOUR, WORST, PROGRESSING), (DAY, PROGRESSING, HEALTHY)], [7200]),
        ([(DAY + 2 * HOUR, STALE, UNKNOWN), (DAY + HOUR, UNKNOWN, PROGRESSING), (DAY, PROGRESSING, HEALTHY)], [10800]),
        ([(DAY + HOUR, WORST, PROGRESSING), (DAY, PROGRESSING, AT_RISK)], []),
        ([(2 * DAY, WORST, HEALTHY), (DAY + HOUR, HEALTHY, PROGRESSING), (DAY, PROGRESSING, HEALTHY)], [3600]),
        ([(DAY + HOUR, WORST, None), (DAY + HOUR, None, PROGRESSING), (DAY, PROGRESSING, HEALTHY)], []),
    ],
)
def test_what_counts_as_recovered(
    steps: list[tuple[timedelta, Health | None, Health | None]], seconds: list[int]
) -> None:
    turned(make.resource(make.cluster()), *steps)
    sampling.roll_up(NOW)
    assert list(Recovery.objects.values_list("seconds", flat=True)) == seconds


@pytest.mark.parametrize(
    ("of", "kind", "began", "ended", "seconds"),
    [
        ("eu", "ExternalSecret", DAY + 30 * MINUTE, DAY, []),
        ("eu", "ExternalSecret", DAY + 40 * MINUTE, DAY + 30 * MINUTE, []),
        ("eu", "ExternalSecret", DAY + 2 * HOUR, DAY + 59 * MINUTE, []),
        ("eu", "ExternalSecret", DAY + 2 * HOUR, DAY + HOUR, [3600]),
        ("eu", "ExternalSecret", DAY, DAY - HOUR, [3600]),
        ("eu", "SealedSecret", DAY + 30 * MINUTE, DAY, [3600]),
        ("us", "ExternalSecret", DAY + 30 * MINUTE, DAY, [3600]),
    ],
)
def test_what_we_lost_sight_of_is_no_recovery(
    of: str, kind: str, began: timedelta, ended: timedelta, seconds: list[int]
) -> None:
    clusters = {name: make.cluster(name) for name in ("eu", "us")}
    turned(make.resource(clusters["eu"]), (DAY, WORST, HEALTHY))
    Gap.objects.create(cluster=clusters[of], kind=kind, began_at=NOW - began, ended_at=NOW - ended)
    sampling.roll_up(NOW)
    assert list(Recovery.objects.values_list("seconds", flat=True)) == seconds


def test_a_day_without_recoveries_does_not_stop_the_later_ones() -> None:
    secret = make.resource(make.cluster())
    turned(secret, (20 * DAY, Health.FAILING, Health.HEALTHY), (5 * DAY, Health.FAILING, Health.HEALTHY))
    for days in range(22, 0, -1):
        sampling.roll_up(NOW - days * DAY)
    assert list(Recovery.objects.order_by("day").values_list("day", flat=True)) == [
        (NOW - 20 * DAY).date(),
        (NOW - 5 * DAY).date(),
    ]


def counts(found: queries.Trend) -> list[int | None]:
    return [None if moment.counts is None else moment.counts[Health.FAILING] for moment in found.moments]


@pytest.mark.parametrize(
    ("window", "slots", "step"), [("24h", 288, 5 * MINUTE), ("7d", 168, HOUR), ("30d", 720, HOUR), ("1y", 365, DAY)]
)
def test_a_hole_is_a_hole(window: str, slots: int, step: timedelta) -> None:
    end = NOW - (NOW - MIDNIGHT) % step
    stored(end, {}, step // MINUTE)
    stored(end - 5 * step, FAILING, step // MINUTE)
    found = queries.trend(NOW, window)
    assert len(found.moments) == slots + 1
    assert [moment.at for moment in found.moments] == [end - place * step for place in range(slots, -1, -1)]
    assert counts(found)[-6:] == [1, None, None, None, None, 0]
    assert counts(found)[:-6] == [None] * (slots - 5)


def test_the_slot_that_is_not_over_is_no_hole_yet() -> None:
    stored(NOW.replace(minute=0, second=0), FAILING)
    assert queries.trend(NOW).moments[-1].at == NOW.replace(minute=0, second=0)
    assert counts(queries.trend(NOW + 5 * MINUTE))[-2:] == [1, None]


def test_what_is_not_rolled_up_yet_is_read_from_finer_samples() -> None:
    stored(MIDNIGHT + 13 * HOUR, {"ExternalSecret": {"5": 2}}, 60)
    for minutes, number in ((5, 5), (60, 9), (65, 3), (70, 4)):
        stored(MIDNIGHT + 13 * HOUR + minutes * MINUTE, {"ExternalSecret": {"5": number}})
    assert counts(queries.trend(MIDNIGHT + 14 * HOUR + 20 * MINUTE, "7d"))[-2:] == [2, 9]
    assert counts(queries.trend(MIDNIGHT + 14 * HOUR + 20 * MINUTE, "1y"))[-1:] == [9]


def test_some_clusters_and_some_kinds() -> None:
    clusters = fleet()
    sampling.sample(NOW)
    eu, ap = clusters["eu"].pk, clusters["ap"].pk
    both = queries.trend(NOW, ids=[eu, ap]).moments[-1].counts
    assert both == queries.trend(NOW).moments[-1].counts == queries.health_totals(NOW)
    (row,) = queries.cluster_rows(NOW, ids=[eu]).rows
    assert queries.trend(NOW, ids=[eu]).moments[-1].counts == row.counts
    sealed = queries.trend(NOW, kinds=["SealedSecret"]).moments[-1].counts
    assert sealed == dict.fromkeys(WORST_FIRST, 0) | {Health.UNKNOWN: 2}
    assert not queries.trend(NOW, ids=[]).known


def test_a_cluster_that_was_not_registered_yet_adds_nothing() -> None:
    old, new = make.cluster("old"), make.cluster("new")
    for place, clusters in enumerate(((old,), (old, new))):
        for of in clusters:
            stored(MIDNIGHT + place * 5 * MINUTE, FAILING, of=of)
    assert counts(queries.trend(MIDNIGHT + 5 * MINUTE, ids=[old.pk, new.pk]))[-2:] == [1, 2]


def test_too_many_clusters_to_add_up_are_refused() -> None:
    with pytest.raises(WrongParameter, match="cluster: fits 101 clusters"):
        queries.trend(NOW, ids=range(101))


@pytest.mark.parametrize("window", ["24h", "1y"])
def test_a_trend_is_one_statement(window: str) -> None:
    for number in range(20):
        stored(NOW - number * HOUR, FAILING)
    with CaptureQueriesContext(connection) as found:
        queries.trend(NOW, window)
        queries.recovery(NOW)
    assert len(found) == 2


def test_beat_samples_once_in_every_five_minutes_and_rolls_up_after_every_hour() -> None:
    sample, roll_up = (BEAT_SCHEDULE[name]["schedule"] for name in ("sample", "roll-up"))
    assert {minute // 5 for minute in sample.minute} == set(range(12))
    assert (len(sample.minute), sample.hour, roll_up.hour) == (12, set(range(24)), set(range(24)))
    assert all(minute * MINUTE >= sampling.SETTLED for minute in roll_up.minute)
    assert {entry["task"] for entry in BEAT_SCHEDULE.values()} <= app.tasks.keys()


def test_the_tasks_read_the_clock() -> None:
    make.cluster()
    tasks.sample()
    tasks.roll_up()
    tasks.prune()
    assert HealthSample.objects.filter(minutes=5).count() == 2
