"""Read clusters once, in the foreground, without Celery: for trials and for looking at one cluster closely."""

from argparse import ArgumentParser
from datetime import timedelta
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clusters.models import Cluster
from monitoring import leases, pipeline
from monitoring.models import Collection


class Command(BaseCommand):
    help = "Read clusters once and print how it went. Needs CREDENTIAL_PRIVATE_KEY."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="clusters to read (default: all enabled ones)")

    def handle(self, *, names: list[str], **_: object) -> None:
        clusters = Cluster.objects.enabled()
        if names:
            clusters = clusters.filter(name__in=names)
            if unknown := set(names) - set(clusters.values_list("name", flat=True)):
                raise CommandError(f"No enabled cluster named {', '.join(sorted(unknown))}.")
        now, holder = timezone.now(), uuid4()
        claimed = leases.claim(list(clusters.values_list("pk", flat=True)), now, holder, hold=timedelta(minutes=5))
        pipeline.collect(claimed, holder, now)
        for collection in Collection.objects.filter(started_at=now).select_related("cluster").order_by("cluster__name"):
            self.stdout.write(
                f"{collection.cluster}: {collection.result}, {collection.added} added, {collection.changed} changed, "
                f"{collection.removed} removed, {collection.unchanged} unchanged, "
                f"{collection.transitions} transitions. {collection.message}".rstrip()
            )
        if busy := clusters.exclude(pk__in=claimed):
            raise CommandError(f"Read by a worker at this moment: {', '.join(c.name for c in busy)}.")
