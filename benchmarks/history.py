"""Pages and lists over a year of history: how long they take at the server, whole, and how much of that is Postgres.

By default a fiftieth of what is promised; `--full` takes about an hour, 45 GB below /tmp and 5 GB of memory. The bounds
are for a machine with two processors, at either size.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks import history_data, history_objects
from benchmarks.history_data import CLUSTERS, DAYS, FULL, MINUTE, SMALL, Estate, Size, sample
from benchmarks.loading import bare, big, copy, jsonb, microseconds, row, small
from benchmarks.table import Row
from clusters.models import Cluster
from clusters.observations import Outcome
from monitoring import partitions, queries, sampling
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import ClusterState, Cursor, Gap, Lease, Resource, Transition

CALLS, WARMING = 100, 10
WRITTEN = "%Y-%m-%dT%H:%M:%SZ"
BOUND_MS = 100.0
LOADED = {  # by table: columns of the rows that the estate makes for it
    "monitoring_rotation": history_data.ROTATION_COLUMNS,
    "monitoring_transition": history_data.TRANSITION_COLUMNS,
    "monitoring_resource": history_data.RESOURCE_COLUMNS,
    "monitoring_reference": history_data.REFERENCE_COLUMNS,
    "monitoring_revision": history_data.REVISION_COLUMNS,
}
COUNT = """
INSERT INTO monitoring_healthcount (cluster_id, kind, health, count)
SELECT cluster_id, kind, health, count(*) FROM monitoring_resource GROUP BY cluster_id, kind, health
"""
# What autovacuum would have done by now. It leaves a partitioned table itself without statistics, and so do we.
TIDY = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'monitoring%'"


def run(*, full: bool = False) -> list[Row]:
    """Replaces whatever the database holds."""
    size, end = FULL if full else SMALL, datetime.now(UTC)
    start = time.monotonic()
    load(size, end)
    took = (time.monotonic() - start) / 60
    return [
        Row("history: transitions", Transition.objects.count(), "rows"),
        Row("history: resources", Resource.objects.count(), "rows"),
        Row("history: loading", took, "minutes"),
        *measured(size, end),
    ]


# --- a year of history ---


def load(size: Size, end: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE clusters_cluster CASCADE")
    estate = Estate(size, end)
    _register(estate)
    for month in _months(estate):
        partitions.ensure(month)
    # Resources are known once their rotations and transitions were read: the order of LOADED.
    parts = (estate.rotations(), estate.transitions(), estate.resources(), estate.references(), estate.revisions())
    with bare(tuple(LOADED)):
        for (table, columns), rows in zip(LOADED.items(), parts, strict=True):
            copy(table, columns, rows)
    copy("monitoring_healthsample", "at, minutes, cluster_id, shown, samples", _samples(estate))
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
    sampling.roll_up(end)
    _tidy()


def _months(estate: Estate) -> Iterator[datetime]:
    for day in range(0, DAYS + 1, 28):
        yield estate.end - timedelta(days=DAYS - day)


def _register(estate: Estate) -> None:
    """Clusters that were read just now, all kinds of them, and that were not for some hours of the year."""
    end, random = estate.end, estate.random
    began = end - timedelta(days=2 * DAYS)
    clusters = [
        Cluster(
            id=number,
            name=f"cluster-{number:03d}",
            labels={"env": "prod" if number % 3 else "staging"},
            api_url=f"https://cluster-{number:03d}.example",
            interval_seconds=3600,  # so that none is overdue before the last page is measured
            created_at=began,
            updated_at=began,
        )
        for number in range(1, CLUSTERS + 1)
    ]
    Cluster.objects.bulk_create(clusters)
    Lease.objects.bulk_create(Lease(cluster=cluster, due_at=end) for cluster in clusters)
    ClusterState.objects.bulk_create(
        ClusterState(
            cluster=cluster,
            outcome=Outcome.COMPLETE,
            collected_at=end,
            answered_at=end,
            complete_at=end,
            recorded_at=began,
        )
        for cluster in clusters
    )
    Cursor.objects.bulk_create(
        Cursor(cluster=cluster, kind=kind, outcome=Outcome.COMPLETE, read_at=end, attempted_at=end, since=began)
        for cluster in clusters
        for kind in JUDGED_KINDS
    )
    outages = [(cluster, end - timedelta(days=random.uniform(0.1, DAYS))) for cluster in clusters for _ in range(30)]
    Gap.objects.bulk_create(
        Gap(cluster=cluster, kind=kind, began_at=at, ended_at=at + timedelta(minutes=60))
        for cluster, at in outages
        for kind in JUDGED_KINDS
    )


def _samples(estate: Estate) -> Iterator[bytes]:
    """Every 5 minutes of 3 days, every hour of 40, every day of the year: of all clusters, and of each."""
    end = microseconds(estate.end)
    for minutes, days in ((1440, DAYS), (60, 40), (5, 3)):
        step = minutes * MINUTE
        newest = end - end % step
        for at in range(newest - days * 1440 // minutes * step, newest + 1, step):
            for cluster, clusters in ((None, CLUSTERS), *((number, 1) for number in range(1, CLUSTERS + 1))):
                shown = sample(estate.per_cluster, clusters, estate.random)
                yield row(big(at), small(minutes), big(cluster), jsonb(shown), small(minutes // 5))


def _tidy() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TIDY)
        for (table,) in cursor.fetchall():
            cursor.execute(f"VACUUM ANALYZE {table}")


# --- what is measured ---


@dataclass(frozen=True)
class Probe:
    """Something that people ask for again and again, never the same: with `bound` in at most so many milliseconds."""

    what: str
    ask: Callable[[], object]
    bound: float | None = None


def measured(size: Size, end: datetime) -> list[Row]:
    return [row for probe in Pages(size, end).probes() for row in _measure(probe)]


@dataclass
class Pages:
    """Addresses as people would ask for them, drawn from a seed, and a person who is signed in."""

    size: Size
    end: datetime
    random: Random = field(default_factory=lambda: Random(11))

    def __post_init__(self) -> None:
        self.client = Client(SERVER_NAME="localhost")
        self.client.force_login(User.objects.get_or_create(username="benchmark")[0])
        ids = self.random.sample(range(1, self.size.resources + 1), 1000)
        self.any_ids = list(Resource.objects.filter(pk__in=ids).values_list("pk", flat=True))
        unwell = Resource.objects.filter(health__gte=Health.AT_RISK).values_list("pk", flat=True)
        self.unwell_ids = self.random.sample(list(unwell), min(len(unwell), 1000))

    def probes(self) -> list[Probe]:
        return [
            Probe("resource page, of any", self._resource(self.any_ids), BOUND_MS),
            Probe("resource page, of an unhealthy one", self._resource(self.unwell_ids), BOUND_MS),
            Probe("30-day fleet trend, the query", lambda: queries.trend(self.end, "30d"), BOUND_MS),
            Probe("30-day fleet trend, API", self._page("/api/v1/trend/", window="30d", kind=self._kind), BOUND_MS),
            Probe("overview with the 30-day trend", self._page("/", trend="30d")),
            Probe("/resources/?at= a month back", self._past("/resources/"), BOUND_MS),
            Probe("/resources/?at= of one cluster", self._past("/resources/", cluster=self._cluster), BOUND_MS),
            Probe(
                "/resources/?at= of one namespace in one cluster",
                self._past("/resources/", cluster=self._cluster, namespace=self._namespace),
                BOUND_MS,
            ),
            Probe(
                "/resources/?at= of one namespace in all clusters",
                self._past("/resources/", namespace=self._namespace),
                BOUND_MS,
            ),
            Probe("/resources/?at= by a part of the name", self._past("/resources/", q=self._part)),
            Probe("/resources/?at= failing", self._past("/resources/", health="failing"), BOUND_MS),
            Probe("/resources/?at= healthy", self._past("/resources/", health="healthy"), BOUND_MS),
            Probe("/causes/?at= a month back", self._past("/causes/")),
            Probe("/clusters/?at= a month back", self._past("/clusters/")),
            Probe("/lints/?at= a month back", self._past("/lints/")),
            Probe("/transitions/", self._page("/transitions/")),
            Probe("/transitions/ of one cluster", self._page("/transitions/", cluster=self._cluster)),
            Probe("/transitions/?at= a month back", self._past("/transitions/")),
            Probe("/?at= a month back", self._past("/")),
            Probe("/diff/ of 24 h", lambda: self._diff(timedelta(hours=24))),
            Probe("/diff/ of 30 days", lambda: self._diff(timedelta(days=30))),
            Probe("/drift/", self._page("/drift/")),
            Probe("/resources/ now", self._page("/resources/")),
            *self._of_the_ledger(),
        ]

    def _of_the_ledger(self) -> list[Probe]:
        return [
            Probe("/rotations/", self._page("/rotations/"), BOUND_MS),
            Probe("/rotations/ of one cluster", self._page("/rotations/", cluster=self._cluster), BOUND_MS),
            Probe("/rotations/ of one namespace", self._page("/rotations/", namespace=self._namespace), BOUND_MS),
            Probe("/rotations/ by a part of the name", self._page("/rotations/", q=self._part)),
            Probe("/rotations/?at= a month back", self._past("/rotations/"), BOUND_MS),
            Probe("/rotations/?source=renewed", self._page("/rotations/", source="renewed")),
            Probe("/rotations/ages/", self._page("/rotations/ages/")),
            Probe("/waves/", self._page("/waves/")),
        ]

    def _page(self, path: str, **query: str | Callable[[], str]) -> Callable[[], object]:
        def ask() -> object:
            drawn = {name: value if isinstance(value, str) else value() for name, value in query.items()}
            address = f"{path}?{urlencode(drawn)}"
            answer = self.client.get(address)
            assert answer.status_code == 200, f"{address} answers {answer.status_code}"
            return answer

        return ask

    def _past(self, path: str, **query: str | Callable[[], str]) -> Callable[[], object]:
        return self._page(path, at=lambda: f"{self._month_back():{WRITTEN}}", **query)

    def _resource(self, ids: list[int]) -> Callable[[], object]:
        return lambda: self._page(f"/resources/{self.random.choice(ids)}/", window=self._window)()

    def _diff(self, window: timedelta) -> object:
        after = self._month_back()
        moments = {"from": f"{after - window:{WRITTEN}}", "to": f"{after:{WRITTEN}}"}
        return self._page("/diff/", **moments)()

    def _month_back(self) -> datetime:
        return self.end - timedelta(days=self.random.uniform(25, 35))

    def _window(self) -> str:
        return self.random.choices(("5d", "30d", "1y"), (8, 1, 1))[0]

    def _kind(self) -> str:
        return self.random.choice(("", "ExternalSecret", "SealedSecret"))

    def _cluster(self) -> str:
        return f"cluster-{self.random.randint(1, CLUSTERS):03d}"

    def _namespace(self) -> str:
        last = self.size.resources // CLUSTERS // history_objects.NAMESPACE - 1
        return f"team-{self.random.randint(0, last):03d}"

    def _part(self) -> str:
        return f"{self._namespace()}/{self.random.choice(history_objects.NAMES)}"


def _measure(probe: Probe) -> Iterator[Row]:
    for _ in range(WARMING):
        probe.ask()
    whole, database = [], []
    for _ in range(CALLS):
        spent = _Spent()
        start = time.perf_counter()
        with connection.execute_wrapper(spent):
            probe.ask()
        whole.append((time.perf_counter() - start) * 1000)
        database.append(spent.seconds * 1000)
    yield Row(f"{probe.what}: half are faster than", _percentile(whole, 50), "ms")
    yield Row(f"{probe.what}: 95 % are faster than", _percentile(whole, 95), "ms", at_most=probe.bound)
    yield Row(f"{probe.what}: 95 %, Postgres alone", _percentile(database, 95), "ms")


class _Spent:
    """Adds up the time of SQL statements."""

    seconds = 0.0

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(*statement)
        finally:
            self.seconds += time.perf_counter() - start


def _percentile(values: list[float], percent: int) -> float:
    """The smallest of `values` that so many percent of them do not exceed."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]
