"""What pages and API read: unknown is computed, numbers and rows agree, statements do not grow with the data."""

from collections.abc import Callable

import msgspec
import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils.http import urlencode

from monitoring import queries
from monitoring.filters import (
    CauseFilters,
    CollectionFilters,
    ResourceFilters,
    TransitionFilters,
    WrongParameter,
    parse_resources,
)
from monitoring.health import Health
from monitoring.models import Resource
from monitoring.rules.base import Finding
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db
EVERYTHING = ResourceFilters()


def names(filters: ResourceFilters = EVERYTHING, limit: int = 200) -> list[str]:
    return [found.row.name for found in queries.resources(filters, NOW, limit=limit).rows]


def fleet() -> None:
    """Every health, in a cluster that answers and in one that does not."""
    for name, read in (("prod-eu", 10 * SECOND), ("prod-ap", HOUR)):
        cluster = make.cluster(name, read=read)
        for health in Health:
            make.many(cluster, health + 1, health, findings=(make.finding(health, cause=health.word),))
        make.resource(cluster, "node-1", kind="CSINode")


@pytest.mark.parametrize("healths", [{Health.HEALTHY}, {Health.UNKNOWN}, {Health.FAILING, Health.UNKNOWN}, set(Health)])
def test_counts_and_lists_agree(healths: set[Health]) -> None:
    fleet()
    filters = ResourceFilters(healths=frozenset(healths))
    listed = queries.resources(filters, NOW, limit=200).rows
    totals = queries.health_totals(NOW)
    assert {found.health for found in listed} == healths
    assert len(listed) == sum(totals[health] for health in healths)
    assert queries.count_resources(filters, NOW) == queries.Count(len(listed))


def test_supporting_kinds_are_neither_listed_nor_counted() -> None:
    make.resource(make.cluster(), "node-1", kind="CSINode")
    assert names() == []
    assert sum(queries.health_totals(NOW).values()) == 0


def test_every_line_of_what_needs_someone_lists_exactly_what_it_counts() -> None:
    fleet()
    cluster = make.cluster("prod-us")
    for store in ("vault", "vault", "aws"):
        facts = {"store": f"ClusterSecretStore {store}"}
        make.many(cluster, 2, Health.FAILING, findings=(make.finding(Health.FAILING, cause="denied"),), facts=facts)
    lines, more = queries.needs_someone(NOW, seen=queries.coverage(NOW))
    assert not more
    assert [line.count for line in lines if line.cause == "denied"] == [4, 2]
    for line in lines:
        if line.count:
            filters = parse_resources(QueryDict(urlencode(line.query)))
            assert queries.count_resources(filters, NOW) == queries.Count(line.count)


def test_a_cause_is_one_line_over_all_clusters_and_a_store_leads_it() -> None:
    now = NOW
    for name in ("prod-eu", "prod-us"):
        cluster = make.cluster(name)
        store = (store_finding(),)
        make.resource(cluster, "a/vault", Health.FAILING, kind="SecretStore", findings=store, signature="ab" * 8)
        for number in range(3):
            findings = (make.finding(Health.FAILING, cause=f"key {number}"),)
            make.resource(cluster, f"a/b{number}", Health.FAILING, findings=findings, signature="ab" * 8)
    (line,), _ = queries.needs_someone(now, seen=queries.coverage(now))
    assert (line.count, line.names, line.rule, line.cause) == (8, ("prod-eu", "prod-us"), "store-not-ready", "refused")
    assert queries.cause_by_cluster(line.signature, now) == [("prod-eu", 4), ("prod-us", 4)]
    assert queries.cause("cd" * 8, now) is None


def store_finding() -> Finding:
    return make.finding(Health.FAILING, "store-not-ready", cause="refused", cause_class="provider-unreachable")


def test_what_stops_a_cluster_leads_its_resources_and_stands_first() -> None:
    poison = make.finding(Health.FAILING, "cluster-poison-object", cause_class="poison", summary="One object stops it.")
    cluster = make.cluster(findings=(poison,))
    late = make.finding(Health.STALE, "es-silent-stale", signature=poison.signature)
    for number in range(3):
        make.resource(cluster, f"a/b{number}", Health.STALE, findings=(late,), signature=poison.signature)
    for number in range(9):
        findings = (make.finding(Health.FAILING, cause="denied"),)
        make.resource(cluster, f"c/d{number}", Health.FAILING, findings=findings, signature="ab" * 8)
    first, second = queries.needs_someone(NOW, seen=queries.coverage(NOW))[0]
    assert (first.headline, first.count, first.health) == ("One object stops it.", 3, Health.FAILING)
    assert second.count == 9


def test_the_number_of_statements_does_not_depend_on_the_number_of_causes() -> None:
    cluster = make.cluster()
    with CaptureQueriesContext(connection) as none:
        queries.causes(CauseFilters(), NOW)
    for number in range(30):
        findings = (make.finding(Health.FAILING, cause=str(number)),)
        make.resource(cluster, f"a/b{number}", Health.FAILING, findings=findings)
    with CaptureQueriesContext(connection) as many:
        first = queries.causes(CauseFilters(), NOW, limit=20)
    rest = queries.causes(CauseFilters(), NOW, first.next, limit=20)
    assert len(many) <= len(none) + 1
    assert len({line.signature for line in (*first.rows, *rest.rows)}) == 30
    assert rest.next == ""


def test_lints_are_counted_by_rule_and_never_as_health() -> None:
    lint = make.finding(Health.HEALTHY, "lint-find-all", hint="Select.")
    for name in ("prod-eu", "prod-us"):
        make.resource(make.cluster(name), "a/b", lints=msgspec.to_builtins((lint,)))
    (found,) = queries.lints()
    assert (found.rule, found.count, found.names, found.hint) == ("lint-find-all", 2, ("prod-eu", "prod-us"), "Select.")
    assert queries.needs_someone(NOW, seen=queries.coverage(NOW)) == ((), False)
    assert queries.count_resources(ResourceFilters(lints=("lint-find-all",)), NOW) == queries.Count(2)


def test_a_silent_cluster_is_one_line_and_none_of_its_resources() -> None:
    make.resource(
        make.cluster(read=HOUR, failing=HOUR), "a/b", Health.FAILING, findings=(make.finding(Health.FAILING),)
    )
    lines, _ = queries.needs_someone(NOW, seen=queries.coverage(NOW))
    assert [(line.health, line.headline) for line in lines] == [(Health.UNKNOWN, "One cluster is unreachable")]


def test_more_causes_than_fit_are_said_to_be_more_and_keep_the_silent_clusters() -> None:
    cluster = make.cluster()
    make.cluster("prod-ap", read=HOUR, failing=HOUR)
    for number in range(12):
        make.resource(
            cluster, f"a/b{number}", Health.AT_RISK, findings=(make.finding(Health.AT_RISK, cause=str(number)),)
        )
    lines, more = queries.needs_someone(NOW, seen=queries.coverage(NOW))
    assert (len(lines), more, lines[0].names) == (10, True, ("prod-ap",))


def test_paging_shows_every_resource_once_worst_first() -> None:
    fleet()
    seen: list[queries.JudgedResource] = []
    cursor = ""
    while True:
        page = queries.resources(EVERYTHING, NOW, cursor, 5)
        seen += page.rows
        cursor = page.next
        if not cursor:
            break
    assert len({found.row.pk for found in seen}) == len(seen) == 42
    assert [found.row.health for found in seen] == sorted((found.row.health for found in seen), reverse=True)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (ResourceFilters(clusters=("prod-*",)), {"db", "api"}),
        (ResourceFilters(clusters=("*-eu",)), {"db"}),
        (ResourceFilters(clusters=("prod-e?",)), {"db"}),
        (ResourceFilters(clusters=("prod-us", "dev")), {"api", "x.y"}),
        (ResourceFilters(clusters=("none-*",)), set()),
        (ResourceFilters(kinds=("SealedSecret",)), {"api"}),
        (ResourceFilters(namespaces=("payments",)), {"db"}),
        (ResourceFilters(names=("api",)), {"api"}),
        (ResourceFilters(stores=("vault",)), {"db"}),
        (ResourceFilters(stores=("ClusterSecretStore/vault",)), {"db"}),
        (ResourceFilters(stores=("SecretStore/vault",)), set()),
        (ResourceFilters(findings=("es-not-ready",)), {"api"}),
        (ResourceFilters(q="PAYMENTS/d"), {"db"}),
        (ResourceFilters(q="x.y"), {"x.y"}),
        (ResourceFilters(q="x_y"), set()),
        (ResourceFilters(q="(((*"), set()),
        (ResourceFilters(q="***:^"), set()),
    ],
)
def test_each_filter(filters: ResourceFilters, expected: set[str]) -> None:
    database = make.resource(make.cluster("prod-eu"), "payments/db")
    make.reference(database, "store", "ClusterSecretStore", "vault")
    make.reference(database, "target", "Secret", "payments/db")
    findings = (make.finding(Health.STALE, "es-stale"), make.finding(Health.AT_RISK))
    make.resource(make.cluster("prod-us"), "search/api", Health.STALE, kind="SealedSecret", findings=findings)
    make.resource(make.cluster("dev"), "web/x.y")
    assert set(names(filters)) == expected
    assert queries.count_resources(filters, NOW).number == len(expected)


def test_a_cluster_that_does_not_exist_is_no_empty_list() -> None:
    make.cluster("prod-eu")
    with pytest.raises(WrongParameter) as caught:
        names(ResourceFilters(clusters=("prod-ue",)))
    assert (caught.value.parameter, caught.value.allowed) == ("cluster", ("prod-eu",))


def test_counting_stops_at_a_thousand() -> None:
    cluster = make.cluster()
    Resource.objects.bulk_create(
        Resource(
            cluster=cluster,
            kind="ExternalSecret",
            namespace="load",
            name=f"secret-{number}",
            fingerprint=number,
            first_seen_at=NOW,
            health=Health.HEALTHY,
            since=NOW,
            recorded_at=NOW,
        )
        for number in range(1001)
    )
    assert queries.count_resources(ResourceFilters(namespaces=("load",)), NOW) == queries.Count(1000, exact=False)


def test_clusters_come_worst_first_and_page() -> None:
    make.cluster("b")
    make.cluster("a")
    make.resource(make.cluster("z"), "a/b", Health.FAILING)
    make.cluster("y", read=HOUR, failing=HOUR)
    make.cluster("k", findings=(make.finding(Health.AT_RISK, "cluster-key-renewal-overdue"),))
    first = queries.cluster_rows(NOW, limit=3)
    second = queries.cluster_rows(NOW, limit=3, cursor=first.next)
    found = [(row.cluster.name, row.worst) for row in (*first.rows, *second.rows)]
    assert found == [
        ("z", Health.FAILING),
        ("k", Health.AT_RISK),
        ("y", Health.UNKNOWN),
        ("a", Health.HEALTHY),
        ("b", Health.HEALTHY),
    ]


def test_a_cell_says_why_it_has_no_number() -> None:
    make.cluster(not_installed=("SealedSecret",), forbidden=("SecretProviderClassPodStatus",))
    notes = {cell.family.code: cell.note for cell in queries.cluster_rows(NOW).rows[0].cells}
    assert notes["sealed-secrets"] == "not installed"
    assert notes["csi-mounts"] == "may not read"
    assert notes["stores"] == "none"


def test_transitions_and_collections_page_newest_first() -> None:
    resource = make.resource(make.cluster())
    moments = [NOW - number * MINUTE for number in range(5)]
    for at in moments:
        make.transition(resource, Health.STALE, at, before=Health.HEALTHY)
        make.collection(resource.cluster, at)
    first = queries.transitions(TransitionFilters(), limit=3)
    rest = queries.transitions(TransitionFilters(), first.next, limit=3)
    assert [change.row.at for change in (*first.rows, *rest.rows)] == moments
    read = queries.collections(CollectionFilters(), limit=3)
    again = queries.collections(CollectionFilters(), read.next, limit=3)
    assert [row.started_at for row in (*read.rows, *again.rows)] == moments


def test_the_timeline_ends_unknown_while_nobody_looks() -> None:
    made = make.resource(make.cluster(read=HOUR, failing=HOUR), health=Health.STALE, since=2 * HOUR)
    make.transition(made, Health.HEALTHY, NOW - 20 * DAY)
    make.transition(made, Health.STALE, NOW - 2 * HOUR, before=Health.HEALTHY, began=18 * DAY)
    found = queries.resource(made.pk, NOW)
    assert found is not None
    line = queries.timeline(found, NOW, 5 * DAY)
    assert [(piece.start, piece.health) for piece in line.stretches] == [
        (NOW - 5 * DAY, Health.HEALTHY),
        (NOW - 2 * HOUR, Health.STALE),
        (NOW - HOUR, Health.UNKNOWN),
    ]
    assert [change.row.at for change in line.changes] == [NOW - 2 * HOUR]


def test_strips_end_with_the_health_that_is_shown() -> None:
    here, away = make.cluster(), make.cluster("prod-ap", read=2 * HOUR)
    broken = make.resource(here, "a/broken", Health.FAILING)
    make.transition(broken, Health.FAILING, NOW - 3 * HOUR, before=Health.HEALTHY)
    added = make.resource(here, "a/added", Health.STALE)
    make.transition(added, Health.STALE, NOW - 4 * HOUR)
    make.resource(here, "a/quiet")
    make.resource(away, "a/unseen")
    rows = queries.resources(EVERYTHING, NOW).rows
    found = {
        row.row.name: [(run.length, run.health) for run in runs]
        for row, runs in zip(rows, queries.strips(rows, NOW), strict=True)
    }
    assert found == {
        "broken": [(47, Health.HEALTHY), (3, Health.FAILING)],
        "added": [(46, None), (4, Health.STALE)],
        "quiet": [(50, Health.HEALTHY)],
        "unseen": [(48, Health.HEALTHY), (2, Health.UNKNOWN)],
    }


def test_references_are_followed_both_ways() -> None:
    cluster = make.cluster()
    store = make.resource(cluster, "vault", Health.FAILING, kind="ClusterSecretStore")
    secret = make.resource(cluster, "payments/db")
    make.reference(secret, "store", "ClusterSecretStore", "vault")
    make.reference(secret, "target", "Secret", "payments/db")
    found, of_store = queries.resource(secret.pk, NOW), queries.resource(store.pk, NOW)
    assert found is not None
    assert of_store is not None
    links = queries.refers_to(found, NOW)
    assert [(link.kind, link.resource.health if link.resource else None) for link in links] == [
        ("ClusterSecretStore", Health.FAILING),
        ("Secret", None),
    ]
    dependents, number = queries.referred_by(of_store, NOW)
    assert ([other.row.name for other in dependents], number) == (["db"], 1)


READS: list[Callable[[], object]] = [
    lambda: queries.coverage(NOW),
    lambda: queries.family_totals(NOW),
    lambda: queries.cluster_rows(NOW),
    lambda: queries.needs_someone(NOW, seen=queries.coverage(NOW)),
    lambda: queries.resources(ResourceFilters(healths=frozenset({Health.STALE}), clusters=("prod-*",)), NOW),
    lambda: queries.count_resources(ResourceFilters(q="secret"), NOW),
    lambda: queries.transitions(TransitionFilters()),
    lambda: queries.collections(CollectionFilters()),
    lambda: queries.cluster_detail("prod-eu", NOW),
]


@pytest.mark.parametrize("read", READS)
def test_the_number_of_statements_does_not_grow(read: Callable[[], object]) -> None:
    cluster = make.cluster()
    make.many(cluster, 3, Health.STALE, findings=(make.finding(Health.STALE),))
    with CaptureQueriesContext(connection) as few:
        read()
    for number in range(4):
        make.cluster(f"prod-{number}", read=HOUR if number % 2 else SECOND)
    make.many(cluster, 100, Health.STALE, findings=(make.finding(Health.STALE),))
    for made in Resource.objects.all()[:20]:
        make.transition(made, Health.STALE, NOW)
    with CaptureQueriesContext(connection) as many:
        read()
    assert 0 < len(many) == len(few) <= 8
