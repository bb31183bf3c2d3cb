"""Give the demo fleet its past: move its clock through the back story and collect after each step.

Nothing is made up in the database: every row comes from reading the simulated clusters, with `now` as an argument. Each
step is an ordinary collection, at the interval that the clusters have meanwhile, so that no step leaves a gap.
"""

import json
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from clusters import registration
from clusters.models import Cluster
from monitoring import leases, partitions, pipeline, sampling
from monitoring.rejudging import judge_all_again
from monitoring.timelines import FIVE_MINUTES, floored

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# Up to how long before the end collections are how far apart. A step takes 0.1 s, and `make run` waits for all.
PACES = ((5 * DAY, 120 * MINUTE), (DAY, 60 * MINUTE), (timedelta(0), 15 * MINUTE))
REPEAT = """
INSERT INTO monitoring_healthsample (at, minutes, cluster_id, shown, samples)
SELECT later, minutes, cluster_id, shown, samples FROM monitoring_healthsample
CROSS JOIN generate_series(at + interval '5 minutes', %(until)s - interval '1 second', '5 minutes') AS later
WHERE minutes = 5 AND at = %(at)s ON CONFLICT DO NOTHING
"""
LONGEST_INTERVAL = HOUR  # of a cluster; what is known stays fresh for 2.5 intervals, which covers two hours


class Command(BaseCommand):
    help = "Collect the back story of the demo fleet (see demo/README.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--control", required=True, metavar="URL", help="control address of `python -m demo`")
        parser.add_argument("--days", type=float, metavar="N", help="the last days of the back story only")
        parser.add_argument("--step", type=int, default=0, metavar="MINUTES", help="least distance of collections")

    def handle(self, *, control: str, days: float | None, step: int, **_: object) -> None:
        clusters = list(Cluster.objects.enabled())
        if not clusters:
            raise CommandError("No enabled cluster: register those of the demo's kubeconfig first.")
        clock = ask(control, "GET", "/clock")
        start, end = (datetime.fromisoformat(clock[name]) for name in ("history_from", "epoch"))
        if days is not None:
            start = max(start, end - days * DAY)
        label(clusters, {known["name"]: known["labels"] for known in ask(control, "GET", "/clusters")})
        partitions.ensure(start)
        with connection.cursor() as cursor:  # whoever crashes here begins anew, with an empty database
            cursor.execute("SET synchronous_commit = off")
        with own_intervals(clusters):
            self.replay(control, clusters, steps(start, end, step * MINUTE), end)
        catch_up(control, clusters, end)
        partitions.ensure(timezone.now())
        sampling.roll_up(timezone.now())
        ask(control, "POST", "/live")

    def replay(
        self,
        control: str,
        clusters: Sequence[Cluster],
        steps: Iterator[tuple[datetime, timedelta]],
        end: datetime,
    ) -> None:
        day = interval = None
        for at, pace in steps:
            collect(control, clusters, at)
            if interval != (interval := min(pace, LONGEST_INTERVAL)):
                read_every(clusters, interval)
            sampling.sample(at)
            repeat_sample(at, min(at + pace, end))
            if at.date() != day:
                day = at.date()
                sampling.roll_up(at)
                self.stdout.write(f"back story: {(end - at).days} days to go")


def repeat_sample(at: datetime, until: datetime) -> None:
    """Nothing is collected until then, so each five minutes would count what the sample of `at` did.

    The five minutes in which `until` lies have a sample of their own.
    """
    with connection.cursor() as cursor:
        cursor.execute(REPEAT, {"at": floored(at, FIVE_MINUTES), "until": floored(until, FIVE_MINUTES)})


def catch_up(control: str, clusters: Sequence[Cluster], at: datetime) -> None:
    """Live through the time that the replay itself took, at the clusters' own intervals.

    What was judged by the wider limits of the longer intervals is judged again.
    """
    for cluster in clusters:
        judge_all_again(cluster, at)
    interval = min(cluster.interval for cluster in clusters)
    while (at := at + interval) < timezone.now():
        collect(control, clusters, at)
        sampling.sample(at)


def collect(control: str, clusters: Sequence[Cluster], at: datetime) -> None:
    """Move the story to `at`, read the clusters, and do what beat does besides."""
    ask(control, "PUT", "/clock", {"at": at.isoformat()})
    holder = uuid4()
    claimed = leases.claim([cluster.pk for cluster in clusters], at, holder, hold=5 * MINUTE)
    pipeline.collect(claimed, holder, at)
    pipeline.recheck_due(at)
    pipeline.compare_clusters(at)


def steps(start: datetime, end: datetime, least: timedelta) -> Iterator[tuple[datetime, timedelta]]:
    """When to collect, the last time at `end`, and how long it is to the next time."""
    at = start
    while at < end:
        pace = max(least, next(pace for before, pace in PACES if end - at > before))
        yield at, min(pace, end - at)
        at += pace
    yield end, PACES[-1][1]


@contextmanager
def own_intervals(clusters: Sequence[Cluster]) -> Iterator[None]:
    """What happens to the clusters' intervals inside is undone, also after an error."""
    own = [(cluster, cluster.interval_seconds) for cluster in clusters]
    try:
        yield
    finally:
        for cluster, seconds in own:
            cluster.interval_seconds = seconds
        Cluster.objects.bulk_update(clusters, ["interval_seconds"])


def read_every(clusters: Sequence[Cluster], interval: timedelta) -> None:
    for cluster in clusters:
        cluster.interval_seconds = interval // timedelta(seconds=1)
    Cluster.objects.bulk_update(clusters, ["interval_seconds"])


def label(clusters: Sequence[Cluster], labels: dict[str, dict[str, str]]) -> None:
    """Give the clusters the labels that the story has for them, unless somebody labelled them already."""
    for cluster in clusters:
        if cluster.name in labels and not cluster.labels:
            registration.change(cluster, now=timezone.now(), labels=labels[cluster.name])


def ask(control: str, method: str, path: str, body: object = None) -> Any:
    """One call of the demo's control port, which listens on loopback only."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(control.rstrip("/") + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
