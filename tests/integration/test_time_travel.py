"""The estate of a moment, read by interval, against a plain replay of what was recorded until then."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.kinds import JUDGED_KINDS
from clusters.models import Cluster
from monitoring import known, partitions, recorder
from monitoring.filters import CauseFilters, DiffFilters, ResourceFilters, WrongParameter
from monitoring.health import Health, Severity
from monitoring.models import Cursor, Gap, Transition
from monitoring.queries import diff, past
from monitoring.recorder import Entry
from monitoring.rules.base import Finding, Verdict
from tests.integration.snapshots import NOW, apply, complete, external_secret, make_cluster

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
SIGNATURE = "0123456789abcdef"
NAMES = ("a", "b", "c")
HEALTHS = (Health.HEALTHY, Health.PROGRESSING, Health.AT_RISK, Health.STALE, Health.FAILING)
# A state: what an answer shows of a resource.
State = tuple[Health, tuple[str, ...]]
Estate = dict[str, State]

# As often as everything else what most are: healthy, with nothing found.
states = st.one_of(
    st.just((Health.HEALTHY, "")), st.tuples(st.sampled_from(HEALTHS), st.sampled_from(("", "one", "two")))
)
actions = st.one_of(st.tuples(st.just("set"), states), st.tuples(st.sampled_from(("remove", "recreate")), states))
steps = st.lists(
    st.tuples(st.integers(1, 100_000), st.dictionaries(st.sampled_from(NAMES), actions, min_size=1)), max_size=12
)


def entry(name: str, health: Health, words: str, at: datetime, uid: str, *, recreated: bool) -> Entry:
    told = Finding(rule="es-not-ready", severity=Severity.WARNING, health=health, summary=words, signature=SIGNATURE)
    found = (told,) if words else ()
    return Entry(
        observation=external_secret(name, fingerprint=hash((name, at)) % 2**60, uid=uid),
        verdict=Verdict(health=health, findings=found),
        since=at,
        first_seen_at=at,
        recheck_at=None,
        due_at=None,
        recreated=recreated,
    )


def record(
    cluster: Cluster, done: Mapping[str, tuple[str, tuple[Health, str]]], at: datetime, estate: Estate
) -> Estate:
    """Apply one step through the recorder, and to the plain estate."""
    keys = [external_secret(name, fingerprint=0).key for name in done]
    rows = {key.name: row for key, row in known.rows(cluster.pk, keys, {}).items()}
    removed = [rows[name] for name, (what, _) in done.items() if what == "remove" and name in rows]
    entries, after = [], dict(estate)
    for name, (what, (health, words)) in done.items():
        if what == "remove":
            after.pop(name, None)
            continue
        recreated = what == "recreate" and name in rows
        made = entry(name, health, words, at, f"{name}{at}" if recreated else name, recreated=recreated)
        first_seen = at if recreated or name not in rows else rows[name].first_seen_at
        entries.append(
            Entry(**{field: getattr(made, field) for field in made.__struct_fields__} | {"first_seen_at": first_seen})
        )
        after[name] = (health, (words,) if words else ())
    recorder.record(cluster.pk, entries, removed, at=at, collection_id=None, judged_kinds=JUDGED_KINDS)
    return after


def shown(at: datetime, now: datetime, limit: int = 50) -> Estate:
    """All pages of the list at a moment."""
    found: Estate = {}
    cursor, position = "", (99, 0)
    while True:
        page = past.resources(ResourceFilters(), at, now, cursor, limit)
        for row in page.rows:
            assert (-position[0], -position[1]) < (-row.row.health, -row.row.pk) or position[0] == 99
            position = (row.row.health, row.row.pk)
            assert row.row.name not in found
            found[row.row.name] = (row.last_known, tuple(finding.summary for finding in row.findings))
        if not page.next:
            return found
        cursor = page.next


def replayed(history: Sequence[tuple[datetime, Estate]], at: datetime) -> Estate:
    return next((estate for moment, estate in reversed(history) if moment <= at), {})


# Times in which nobody saw the cluster, as shares of the story.
outages = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(1, 3), outages)
def test_the_past_is_what_a_replay_gives(story: Any, shares: list[float], limit: int, unread: Any) -> None:
    with transaction.atomic():
        cluster, at, estate = make_cluster(), NOW, Estate()
        history = [(NOW, estate)]
        for minutes, done in story:
            at += timedelta(minutes=minutes)
            estate = record(cluster, done, at, estate)
            history.append((at, estate))
        now = at + timedelta(minutes=1)
        known_of(cluster, "ExternalSecret", read_at=now)
        gaps = [[NOW + share * (now - NOW) for share in sorted(pair)] for pair in unread]
        for began_at, ended_at in gaps:
            Gap.objects.create(cluster=cluster, kind="ExternalSecret", began_at=began_at, ended_at=ended_at)
        moments = sorted({NOW + share * (now - NOW) for share in shares} | {moment for moment, _ in history})
        unseen = {moment for moment in moments if any(began < moment < ended for began, ended in gaps)}
        for moment in moments:
            assert listed(moment, now, limit) == (replayed(history, moment), moment in unseen)
        for earlier, later in (*pairwise(moments), (NOW, now)):
            states = [(replayed(history, moment), moment in unseen) for moment in (earlier, later)]
            assert changed(earlier, later, now) == difference(*states)
        transaction.set_rollback(True)


def listed(at: datetime, now: datetime, limit: int) -> tuple[Estate, bool]:
    """What the list shows of then, and whether it shows all of it as unknown."""
    rows = past.resources(ResourceFilters(), at, now).rows
    unknown = {row.unseen is not None for row in rows}
    assert len(unknown) < 2
    return shown(at, now, limit), unknown.pop() if unknown else bool(past.gaps(at, now))


def difference(before: tuple[Estate, bool], after: tuple[Estate, bool]) -> tuple[Any, Any]:
    """What is not equal of two answers, and when it was not seen: then only what came or went is told."""
    (old, hidden), (new, hidden_after) = before, after
    rows = {
        name: (_as_shown(old.get(name), hidden=hidden), _as_shown(new.get(name), hidden=hidden_after))
        for name in old.keys() | new.keys()
        if old.get(name) != new.get(name) and not ((hidden or hidden_after) and name in old and name in new)
    }
    return rows, [(hidden, hidden_after)] if hidden or hidden_after else []


def _as_shown(state: State | None, *, hidden: bool) -> State | None:
    return (Health.UNKNOWN, state[1]) if state and hidden else state


def changed(earlier: datetime, later: datetime, now: datetime) -> tuple[Any, Any]:
    found = diff.differences(DiffFilters(before=earlier, after=later, kinds=("ExternalSecret",)), now)
    rows = {
        row.name: (
            None if row.from_health is None else (row.from_health, tuple(f.summary for f in row.findings_before)),
            None if row.to_health is None else (row.to_health, tuple(f.summary for f in row.findings_after)),
        )
        for row in found.rows
    }
    assert len(rows) == len(found.rows)
    return rows, [(unseen.before, unseen.after) for unseen in found.unseen]


def told(cluster: Cluster, health: Health, at: datetime, words: str = "one") -> None:
    record(cluster, {"a": ("set", (health, words))}, at, {})


def known_of(cluster: Cluster, kind: str, *, read_at: datetime | None, outcome: str = "complete") -> None:
    Cursor.objects.create(cluster=cluster, kind=kind, outcome=outcome, read_at=read_at, attempted_at=NOW, since=NOW)


def test_a_cluster_that_nobody_read_was_not_healthy() -> None:
    """Registered and never read; and read for the first time long after."""
    told(make_cluster("seen"), Health.HEALTHY, NOW)
    make_cluster("never")
    later = make_cluster("later")
    collected(later, NOW + 3 * HOUR)
    at, now = NOW + HOUR, NOW + 3 * HOUR
    rows = {row.cluster.name: (row.worst, row.silent is None) for row in past.cluster_rows(at, now).rows}
    assert rows["never"] == rows["later"] == (Health.UNKNOWN, False)
    assert {silent.name for silent in past.coverage(at, now).silent} >= {"never", "later"}


def test_what_is_not_installed_is_known() -> None:
    """External Secrets was uninstalled; Sealed Secrets could not be seen for an hour."""
    cluster, now = make_cluster(), NOW + 6 * HOUR
    known_of(cluster, "ExternalSecret", read_at=NOW, outcome="not installed")
    known_of(cluster, "SealedSecret", read_at=now)
    assert past.coverage(NOW + 1.5 * HOUR, now).reporting == 1
    Gap.objects.create(cluster=cluster, kind="SealedSecret", began_at=NOW + HOUR, ended_at=NOW + 2 * HOUR)
    assert past.coverage(NOW + 1.5 * HOUR, now).reporting == 0
    assert past.coverage(NOW + 3 * HOUR, now).reporting == 1


def test_what_nobody_could_see_was_unknown() -> None:
    cluster = make_cluster()
    told(cluster, Health.HEALTHY, NOW)
    known_of(cluster, "ExternalSecret", read_at=NOW + 5 * HOUR)
    Gap.objects.create(cluster=cluster, kind="ExternalSecret", began_at=NOW + HOUR, ended_at=NOW + 2 * HOUR)
    now = NOW + 6 * HOUR  # the open gap began at the last reading
    seen = {
        hours: past.resources(ResourceFilters(), NOW + hours * HOUR, now).rows[0].health for hours in (0.5, 1.5, 3, 5.5)
    }
    assert seen == {0.5: Health.HEALTHY, 1.5: Health.UNKNOWN, 3: Health.HEALTHY, 5.5: Health.UNKNOWN}
    unknown = ResourceFilters(healths=frozenset({Health.UNKNOWN}))
    assert len(past.resources(unknown, NOW + 1.5 * HOUR, now).rows) == 1
    assert past.resources(unknown, NOW + 3 * HOUR, now).rows == ()
    assert past.coverage(NOW + 1.5 * HOUR, now).reporting == 0
    assert past.coverage(NOW + 3 * HOUR, now).reporting == 1
    (row,) = past.cluster_rows(NOW + 1.5 * HOUR, now).rows
    assert (row.worst, row.counts[Health.UNKNOWN], row.counts[Health.HEALTHY]) == (Health.UNKNOWN, 1, 0)


def test_a_late_reading_leaves_a_gap_and_an_ordinary_one_none() -> None:
    cluster = make_cluster()
    for minutes in (0, 1, 2, 30, 31):
        collected(cluster, NOW + timedelta(minutes=minutes))
    found = Gap.objects.filter(kind="ExternalSecret").values_list("began_at", "ended_at")
    assert list(found) == [(NOW + timedelta(minutes=2), NOW + timedelta(minutes=30))]


def collected(cluster: Cluster, at: datetime) -> None:
    apply(cluster, complete(cluster, [external_secret("a", fingerprint=1)]), at)


def test_counts_of_a_moment_are_those_of_its_list() -> None:
    cluster, estate = make_cluster(), Estate()
    for step in range(30):
        health = HEALTHS[step * 7 % 5]
        what = "remove" if step % 11 == 10 else "set"
        estate = record(cluster, {NAMES[step % 3]: (what, (health, "x" * (step % 2)))}, NOW + step * HOUR, estate)
    for step in range(30):
        at = NOW + (step + 0.5) * HOUR
        listed = [health for health, _ in shown(at, NOW + 40 * HOUR).values()]
        counted = past.counts(at)[cluster.pk].get("ExternalSecret", {})
        assert {health: number for health, number in counted.items() if number} == {
            health: listed.count(health) for health in set(listed)
        }


def test_causes_of_a_moment() -> None:
    cluster = make_cluster()
    told(cluster, Health.FAILING, NOW)
    told(cluster, Health.HEALTHY, NOW + HOUR, "")
    now = NOW + 5 * HOUR
    known_of(cluster, "ExternalSecret", read_at=now)
    found = past.causes(CauseFilters(), NOW + HOUR / 2, now).rows
    assert [(line.health, line.count, line.subject) for line in found] == [(Health.FAILING, 1, "payments/a")]
    assert past.causes(CauseFilters(), NOW + 2 * HOUR, now).rows == ()


def test_a_moment_before_all_records_is_refused() -> None:
    with pytest.raises(WrongParameter, match="nothing was recorded yet"):
        past.check(NOW)
    told(make_cluster(), Health.FAILING, NOW)
    past.check(NOW)
    with pytest.raises(WrongParameter, match="before our first record, of 2026-11-24 12:00 UTC"):
        past.check(NOW - timedelta(seconds=1))


def test_rows_of_a_month_move_to_its_partition_and_whole_months_go() -> None:
    cluster, months = make_cluster(), (0, 40, 80, 400)
    for days in months:
        told(cluster, Health.FAILING if days else Health.STALE, NOW - timedelta(days=400 - days), str(days))
    before = list(Transition.objects.order_by("at").values_list("at", "name", "to_health"))
    assert len(before) == len(months)
    made = partitions.ensure(NOW)
    assert made[0] == "monitoring_transition_2025_10"
    assert made[-1] == "monitoring_transition_2027_01"
    assert partitions.ensure(NOW) == []
    assert list(Transition.objects.order_by("at").values_list("at", "name", "to_health")) == before
    dropped = partitions.drop_before(NOW - timedelta(days=300))
    assert dropped[0] == "monitoring_transition_2025_10"
    assert dropped[-1] < "monitoring_transition_2026_01"
    kept = [row for row in before if row[0] >= NOW - timedelta(days=330)]
    assert list(Transition.objects.order_by("at").values_list("at", "name", "to_health")) == kept
    # What began before all that is kept, and lasted, is still known.
    assert shown(NOW - timedelta(days=300), NOW + HOUR)["a"][1] == ("80",)
