"""Celery's way in: read the clock, make one call. Only ids travel through Redis.

`**_` lets a worker of this version take messages of a newer one.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from monitoring import leases, partitions, pipeline, pruning, sampling

WAIT = 60  # seconds that a shard may wait for a worker; after that its clusters are claimed anew


@shared_task(name="monitoring.tasks.dispatch_due")
def dispatch_due(**_: object) -> None:
    """Claim the clusters that are due and hand them out in shards."""
    # A claim outlives the longest possible wait in the queue (then the message expires) and the reading itself.
    hold = timedelta(seconds=WAIT + 2 * settings.COLLECTION_DEADLINE)
    for claim in leases.claim_due(timezone.now(), uuid4(), hold=hold):
        collect.apply_async(
            kwargs={"cluster_ids": list(claim.cluster_ids), "holder": str(claim.holder)},
            queue="slow" if claim.slow else "collect",
            expires=WAIT,
        )


@shared_task(name="monitoring.tasks.collect")
def collect(*, cluster_ids: Sequence[int], holder: str, **_: object) -> None:
    """Read one shard of claimed clusters."""
    pipeline.collect(cluster_ids, UUID(holder), timezone.now())


@shared_task(name="monitoring.tasks.recheck_due")
def recheck_due(**_: object) -> None:
    """Judge again what became due by the clock alone."""
    pipeline.recheck_due(timezone.now())


@shared_task(name="monitoring.tasks.compare_clusters")
def compare_clusters(**_: object) -> None:
    """Judge again what another cluster's news may have changed."""
    pipeline.compare_clusters(timezone.now())


@shared_task(name="monitoring.tasks.sample")
def sample(**_: object) -> None:
    """Count the health of everything, for trends."""
    sampling.sample(timezone.now())


@shared_task(name="monitoring.tasks.roll_up")
def roll_up(**_: object) -> None:
    """Keep the worst counts of finished hours and days, and what recovered."""
    sampling.roll_up(timezone.now())


@shared_task(name="monitoring.tasks.prune")
def prune(**_: object) -> None:
    """Make the partitions of the coming months, then delete what is older than its retention."""
    now = timezone.now()
    partitions.ensure(now)
    pruning.prune(now)
