"""Give the demo fleet its past: move its clock through the back story and collect after each step.

Nothing is made up in the database: every row comes from reading the simulated clusters, with `now` as an argument.
"""

import json
import urllib.request
from argparse import ArgumentParser
from datetime import datetime, timedelta
from uuid import uuid4

from django.core.management.base import BaseCommand

from clusters.models import Cluster
from monitoring import leases, pipeline


class Command(BaseCommand):
    help = "Collect the back story of the demo fleet (see demo/README.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--control", required=True, metavar="URL", help="control address of `python -m demo`")
        parser.add_argument("--step", type=int, default=30, metavar="MINUTES", help="distance of collections (30)")

    def handle(self, *, control: str, step: int, **_: object) -> None:
        clock = ask(control, "GET", "/clock")
        at, end = (datetime.fromisoformat(clock[name]) for name in ("history_from", "epoch"))
        cluster_ids = list(Cluster.objects.enabled().values_list("pk", flat=True))
        days = 0
        while at <= end:
            ask(control, "PUT", "/clock", {"at": at.isoformat()})
            self.collect(cluster_ids, at)
            if (end - at).days != days:
                days = (end - at).days
                self.stdout.write(f"back story: {days} days to go")
            at += timedelta(minutes=step)
        ask(control, "POST", "/live")

    def collect(self, cluster_ids: list[int], at: datetime) -> None:
        holder = uuid4()
        claimed = leases.claim(cluster_ids, at, holder, hold=timedelta(minutes=5))
        pipeline.collect(claimed, holder, at)
        pipeline.recheck_due(at)


def ask(control: str, method: str, path: str, body: object = None) -> dict[str, str]:
    """One call of the demo's control port, which listens on loopback only."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(control.rstrip("/") + path, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        result: dict[str, str] = json.load(answer)
    return result
