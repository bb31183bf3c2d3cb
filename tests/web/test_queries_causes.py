"""One line per cause: what leads it, what it counts, and in which order."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.models import Cluster
from monitoring import queries
from monitoring.filters import CauseFilters, ResourceFilters
from monitoring.health import Health
from tests.web import factories as make
from tests.web.factories import HOUR, NOW

pytestmark = pytest.mark.django_db
ONE, TWO, THREE = "1" * 16, "2" * 16, "3" * 16
EVERYTHING = CauseFilters()


def unwell(cluster: Cluster, signature: str, number: int = 1, health: Health = Health.FAILING, kind: str = "") -> None:
    """Resources that share a cause."""
    found = make.finding(health, signature=signature, cause="denied", cause_class="provider-forbidden")
    kinds: dict[str, Any] = {"kind": kind} if kind else {}
    make.many(cluster, number, health, findings=(found,), signature=signature, **kinds)


def lines(filters: CauseFilters = EVERYTHING) -> list[queries.Cause]:
    return list(queries.causes(filters, NOW).rows)


def test_one_cause_in_two_clusters_is_one_line_that_lists_what_it_counts() -> None:
    first, second = make.cluster("prod-eu"), make.cluster("prod-us")
    unwell(first, ONE, 3)
    unwell(second, ONE, 2, Health.AT_RISK)
    [line] = lines()
    assert (line.count, set(line.names), line.health, line.title) == (
        5,
        {"prod-eu", "prod-us"},
        Health.FAILING,
        "Permission denied",
    )
    assert line.headline == "Refresh fails"
    assert queries.count_resources(ResourceFilters(signatures=(ONE,)), NOW) == queries.Count(5)
    assert queries.cause_by_cluster(ONE, NOW) == [("prod-eu", 3), ("prod-us", 2)]
    assert queries.sharing(ONE, NOW) == 5


def test_a_finding_of_the_cluster_leads_what_it_leaves_behind() -> None:
    stopped = make.finding(
        Health.FAILING, "cluster-controller-stopped", summary="External Secrets stands still.", signature=ONE
    )
    unwell(make.cluster(findings=(stopped,)), ONE, 4, Health.STALE)
    [line] = lines()
    assert (line.headline, line.count, line.about) == ("External Secrets stands still.", 4, ("prod-eu",))
    assert line.health == Health.FAILING
    assert lines(CauseFilters(healths=frozenset({Health.FAILING}))) == [line]


def test_the_store_among_the_rows_speaks_for_them() -> None:
    cluster = make.cluster()
    broken = make.finding(Health.FAILING, "store-not-ready", summary="Not ready.", signature=ONE)
    make.resource(
        cluster, "vault", Health.FAILING, kind="ClusterSecretStore", findings=(broken,), signature=ONE, counted=False
    )
    unwell(cluster, ONE, 2)
    [line] = lines()
    assert (line.subject, line.headline, line.count, line.resource_id) == ("vault", "Not ready.", 3, None)


def test_poison_leads_then_what_cannot_be_seen_then_the_worst_and_widest() -> None:
    poison = make.finding(Health.FAILING, "cluster-poison-object", signature=ONE, cause_class="poison")
    cluster = make.cluster(findings=(poison,))
    other = make.cluster("prod-us")
    make.cluster("prod-ap", read=HOUR, failing=HOUR)
    unwell(cluster, TWO, 9)
    unwell(cluster, THREE)
    unwell(other, THREE)
    found, more = queries.needs_someone(NOW, seen=queries.coverage(NOW))
    assert [line.signature for line in found] == [ONE, "", THREE, TWO]
    assert not more
    few, more = queries.needs_someone(NOW, seen=queries.coverage(NOW), limit=2)
    assert ([line.signature for line in few], more) == ([ONE, ""], True)


def test_what_nobody_can_see_any_more_does_not_count() -> None:
    told = make.finding(Health.FAILING, "cluster-controller-down", signature=TWO)
    unwell(make.cluster(read=HOUR, failing=HOUR, findings=(told,)), ONE)
    assert lines() == []
    assert queries.cause(ONE, NOW) is None


def test_filters_choose_what_counts() -> None:
    cluster, other = make.cluster(), make.cluster("dev")
    unwell(cluster, ONE, 2)
    unwell(other, ONE)
    unwell(cluster, TWO, kind="SealedSecret", health=Health.STALE)
    assert [line.count for line in lines(CauseFilters(clusters=("dev",)))] == [1]
    assert [line.signature for line in lines(CauseFilters(kinds=("SealedSecret",)))] == [TWO]
    assert [line.signature for line in lines(CauseFilters(healths=frozenset({Health.STALE})))] == [TWO]
    assert lines(CauseFilters(cause_classes=("bad-credentials",))) == []
    assert len(lines(CauseFilters(cause_classes=("provider-forbidden",)))) == 2


def test_pages_show_every_cause_once() -> None:
    cluster = make.cluster()
    for number in range(7):
        unwell(cluster, f"{number:016x}", number + 1)
    seen, cursor = [], ""
    while True:
        page = queries.causes(EVERYTHING, NOW, cursor, 3)
        seen += [line.count for line in page.rows]
        if not (cursor := page.next):
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_the_number_of_statements_is_constant() -> None:
    cluster = make.cluster()
    unwell(cluster, ONE)
    with CaptureQueriesContext(connection) as few:
        queries.causes(EVERYTHING, NOW)
    for number in range(20):
        unwell(make.cluster(f"prod-{number}"), f"{number:016x}")
    with CaptureQueriesContext(connection) as many:
        queries.causes(EVERYTHING, NOW)
    assert len(few) == len(many) == 4
