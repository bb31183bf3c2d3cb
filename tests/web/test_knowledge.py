"""What we still know: overdue kinds, coverage, silent clusters, and that nothing unread is ever green."""

from datetime import timedelta

import pytest

from clusters.observations import Outcome
from monitoring import queries
from monitoring.families import JUDGED_KINDS
from monitoring.filters import ResourceFilters
from monitoring.health import Health
from monitoring.models import ClusterState, Cursor
from tests.web import factories as make
from tests.web.factories import HOUR, MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db
EVERYTHING = ResourceFilters()


def names(filters: ResourceFilters = EVERYTHING, limit: int = 200) -> list[str]:
    return [found.row.name for found in queries.resources(filters, NOW, limit=limit).rows]


def test_a_resource_of_an_overdue_kind_is_unknown_whatever_its_last_known_health() -> None:
    cluster = make.cluster(read=42 * MINUTE, failing=41 * MINUTE)
    made = make.resource(cluster, "payments/db", Health.FAILING)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    assert (found.health, found.last_known) == (Health.UNKNOWN, Health.FAILING)
    assert found.unseen is not None
    assert found.unseen.reason == "cluster unreachable"
    assert found.since == NOW - 41 * MINUTE


@pytest.mark.parametrize(("too_late", "health"), [(timedelta(0), Health.HEALTHY), (SECOND, Health.UNKNOWN)])
def test_sql_and_python_agree_when_knowledge_is_overdue(too_late: timedelta, health: Health) -> None:
    cluster = make.cluster(interval_seconds=61)
    make.resource(cluster)
    Cursor.objects.update(read_at=NOW - cluster.freshness_limit - too_late)
    ClusterState.objects.update(answered_at=NOW - cluster.freshness_limit - too_late)
    assert queries.coverage(NOW).reporting == (0 if too_late else 1)
    assert queries.cluster_rows(NOW).rows[0].worst == health
    assert [found.health for found in queries.resources(EVERYTHING, NOW).rows] == [health]
    assert queries.health_totals(NOW)[health] == 1
    assert names(ResourceFilters(healths=frozenset({health}))) == ["db"]


def test_a_kind_without_a_cursor_is_unknown() -> None:
    make.resource(make.cluster(read=None))
    assert queries.health_totals(NOW)[Health.UNKNOWN] == 1
    assert queries.resources(EVERYTHING, NOW).rows[0].unseen is not None


def test_a_kind_that_may_not_be_read_is_unknown_and_the_rest_is_not() -> None:
    cluster = make.cluster(forbidden=("SealedSecret",))
    make.resource(cluster, "a/sealed", kind="SealedSecret")
    make.resource(cluster, "a/external")
    shown = {found.row.name: found.health for found in queries.resources(EVERYTHING, NOW).rows}
    assert shown == {"sealed": Health.UNKNOWN, "external": Health.HEALTHY}
    seen = queries.coverage(NOW)
    assert [(kind.kind, kind.names) for kind in seen.unreadable] == [("SealedSecret", ("prod-eu",))]
    assert not seen.complete


def test_coverage_counts_clusters_and_finds_the_oldest_datum() -> None:
    make.cluster("a", read=10 * SECOND)
    make.cluster("b", read=50 * SECOND)
    make.cluster("c", read=42 * MINUTE, failing=41 * MINUTE)
    make.cluster("d", read=None)
    seen = queries.coverage(NOW)
    assert (seen.clusters, seen.reporting, seen.oldest) == (4, 2, 50 * SECOND)
    assert [(silent.name, silent.reason) for silent in seen.silent] == [
        ("c", "unreachable"),
        ("d", "waiting for its first collection"),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"failing": HOUR, "failure": "credential rejected"}, "not readable (credential rejected)"),
        ({"failing": HOUR, "failure": "timeout"}, "unreachable"),
        ({}, "not read"),
    ],
)
def test_why_a_cluster_is_silent(fields: dict[str, object], reason: str) -> None:
    make.cluster(read=HOUR, **fields)  # type: ignore[arg-type]
    assert [silent.reason for silent in queries.coverage(NOW).silent] == [reason]


def test_coverage_of_one_cluster_says_nothing_of_the_others() -> None:
    dead = make.cluster("prod-ap", read=HOUR, failing=HOUR)
    alive = make.cluster()
    of_dead, of_alive = (queries.coverage(NOW, [cluster.pk]) for cluster in (dead, alive))
    assert (of_dead.clusters, of_dead.reporting, of_dead.oldest_at) == (1, 0, None)
    assert (of_alive.clusters, of_alive.reporting, of_alive.silent) == (1, 1, ())


def worst_and_unread() -> tuple[Health, list[tuple[str, str]]]:
    (row,) = queries.cluster_rows(NOW).rows
    return row.worst, [(unread.kind, unread.outcome) for unread in row.unread]


@pytest.mark.parametrize("outcome", [Outcome.FORBIDDEN, Outcome.FAILED])
def test_a_cluster_of_which_a_kind_is_not_read_is_not_green(outcome: str) -> None:
    cluster = make.cluster(not_installed=tuple(kind for kind in JUDGED_KINDS if kind != "ExternalSecret"))
    assert worst_and_unread() == (Health.HEALTHY, [])
    Cursor.objects.filter(cluster=cluster, kind="ExternalSecret").update(outcome=outcome)
    assert worst_and_unread() == (Health.UNKNOWN, [("ExternalSecret", outcome)])


def test_a_cluster_without_the_rights_of_a_higher_tier_may_be_green() -> None:
    make.cluster(forbidden=("Pod",))
    assert worst_and_unread() == (Health.HEALTHY, [])
    assert queries.coverage(NOW).complete
    (row,) = queries.cluster_rows(NOW).rows
    assert {cell.note for cell in row.cells} == {"none"}
    Cursor.objects.filter(kind="Pod").update(outcome=Outcome.FAILED)
    assert worst_and_unread() == (Health.UNKNOWN, [("Pod", Outcome.FAILED)])
    assert not queries.coverage(NOW).complete


def test_a_kind_that_is_overdue_or_was_never_read_makes_a_cluster_unknown() -> None:
    make.cluster()
    Cursor.objects.filter(kind="SealedSecret").update(read_at=NOW - HOUR)
    assert worst_and_unread() == (Health.UNKNOWN, [("SealedSecret", Outcome.COMPLETE)])
    Cursor.objects.filter(kind="SealedSecret").delete()
    assert worst_and_unread() == (Health.UNKNOWN, [("SealedSecret", "")])


def test_what_is_known_to_be_bad_outranks_what_is_not_read() -> None:
    make.resource(make.cluster(forbidden=("SealedSecret",)), "a/b", Health.FAILING)
    assert worst_and_unread() == (Health.FAILING, [("SealedSecret", Outcome.FORBIDDEN)])


def test_a_finding_about_a_cluster_outranks_what_is_not_read() -> None:
    renewal = make.finding(Health.AT_RISK, "cluster-key-renewal-overdue")
    make.cluster(forbidden=("SealedSecret",), findings=(renewal,))
    assert worst_and_unread() == (Health.AT_RISK, [("SealedSecret", Outcome.FORBIDDEN)])


def test_a_cluster_with_nothing_installed_is_not_green() -> None:
    make.cluster(not_installed=JUDGED_KINDS)
    (row,) = queries.cluster_rows(NOW).rows
    assert (row.worst, row.unread, row.installed) == (Health.UNKNOWN, (), False)


def test_a_cell_is_not_green_while_a_kind_of_its_family_is_not_read() -> None:
    cluster = make.cluster(forbidden=("ExternalSecret",))
    make.resource(cluster, "a/pushed", kind="PushSecret")
    Cursor.objects.filter(kind="SealedSecret").update(read_at=NOW - HOUR)

    def cells() -> dict[str, tuple[Health | None, str]]:
        return {cell.family.code: (cell.health, cell.note) for cell in queries.cluster_rows(NOW).rows[0].cells}

    assert cells()["external-secrets"] == (None, "may not read")
    assert cells()["sealed-secrets"] == (None, "not read")
    make.resource(cluster, "a/broken", Health.FAILING, kind="PushSecret")
    assert cells()["external-secrets"] == (Health.FAILING, "")


OUTCOMES = [Outcome.COMPLETE, Outcome.DELTA, Outcome.NOT_INSTALLED, Outcome.FORBIDDEN, Outcome.FAILED]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("age", [None, SECOND, 159 * SECOND, 161 * SECOND])
def test_ranking_and_row_agree_what_is_not_read(outcome: str, age: timedelta | None) -> None:
    make.cluster()
    Cursor.objects.filter(kind="PushSecret").update(outcome=outcome, read_at=None if age is None else NOW - age)
    (row,) = queries.cluster_rows(NOW).rows
    assert (row.worst == Health.UNKNOWN) == bool(row.unread)


def test_a_cluster_that_is_switched_off_is_no_gap_and_needs_nobody() -> None:
    make.cluster("prod-eu")
    off = make.cluster("old", read=HOUR, enabled=False, forbidden=("SealedSecret",))
    made = make.resource(off, "a/b", Health.FAILING, findings=(make.finding(Health.FAILING),))
    seen = queries.coverage(NOW)
    assert (seen.clusters, seen.reporting, seen.switched_off) == (1, 1, 1)
    assert (seen.silent, seen.unreadable, seen.complete) == ((), (), True)
    assert queries.needs_someone(NOW, seen=seen) == ((), False)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    assert found.unseen == queries.Unseen("cluster switched off", NOW - HOUR)
    rows = {row.cluster.name: row for row in queries.cluster_rows(NOW).rows}
    assert rows["old"].silent is not None
    assert (rows["old"].worst, rows["old"].silent.reason) == (Health.UNKNOWN, "switched off")


def test_findings_about_a_cluster_that_was_just_switched_off_need_nobody() -> None:
    make.cluster(enabled=False, findings=(make.finding(Health.AT_RISK, "cluster-key-renewal-overdue"),))
    assert queries.needs_someone(NOW, seen=queries.coverage(NOW)) == ((), False)


def test_a_cluster_switched_off_before_its_first_collection_waits_for_nothing() -> None:
    make.cluster(read=None, enabled=False)
    (row,) = queries.cluster_rows(NOW).rows
    assert row.silent == queries.Silent("prod-eu", None, "switched off")
