"""Drift over many objects: pages, parts of the index, and a fixed number of statements."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.facts import ResourceKey
from clusters.models import Cluster
from monitoring import queries
from monitoring.filters import DriftFilters
from monitoring.health import Health
from monitoring.queries.drift import Budget
from tests.web import factories as make
from tests.web.drift_data import ALL, cluster, drift, many, secret
from tests.web.factories import NOW

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("filters", [ALL, DriftFilters(), DriftFilters(only="missing"), DriftFilters(q="s01")])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_together_are_the_whole_list(filters: DriftFilters, limit: int) -> None:
    many(40)
    whole = drift(filters, NOW, limit=500)
    paged: list[queries.DriftRow] = []
    cursor, compared = "", 0
    while True:
        page = drift(filters, NOW, cursor, limit)
        paged += page.rows
        compared += page.compared
        cursor = page.next
        if not cursor:
            break
    assert [row.key for row in paged] == [row.key for row in whole.rows]
    assert [row.key for row in paged] == sorted([row.key for row in paged], key=lambda key: (key[1], key[2], key[0]))
    assert compared == whole.compared
    assert whole.next == ""


@pytest.mark.parametrize(
    "budget", [Budget(scanned=1), Budget(scanned=5), Budget(loaded=20), Budget(scanned=7, loaded=1)]
)
def test_a_part_of_the_index_is_a_page_even_if_nothing_in_it_differs(budget: Budget) -> None:
    many(30, clusters=3)
    everything = [row.key for row in drift(DriftFilters(), NOW, limit=500).rows]
    found: list[ResourceKey] = []
    cursor, pages = "", 0
    while (pages == 0 or cursor) and pages < 50:
        page = drift(DriftFilters(), NOW, cursor, budget=budget)
        found += [row.key for row in page.rows]
        cursor, pages = page.next, pages + 1
    assert found == everything
    assert pages > 3


def test_the_number_of_statements_does_not_depend_on_the_number_of_rows() -> None:
    counted = []
    for number in (2, 60):
        Cluster.objects.all().delete()
        many(number, clusters=number // 10 + 2)
        make.compared()
        with CaptureQueriesContext(connection) as found:
            queries.drift(DriftFilters(clusters=("c*",)), NOW)
        counted.append(len(found))
    assert counted[0] == counted[1] <= 7


def test_at_most_twelve_clusters_are_beside_each_other_the_worst_first() -> None:
    for place in range(20):
        health = Health.FAILING if place == 17 else Health.HEALTHY
        secret(cluster(f"c{place:02}"), "x", interval="5m" if place == 9 else "1h", health=health)
    found = drift(DriftFilters(), NOW)
    assert found.columns[:3] == ("c17", "c09", "c00")
    assert len(found.columns) == 12
