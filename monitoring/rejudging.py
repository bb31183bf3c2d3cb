"""Have a cluster judged again by the workers, after a change of what people configure: thresholds, labels, interval."""

from datetime import datetime

from django.db import transaction

from clusters.models import Cluster
from monitoring import known, leases


@transaction.atomic
def judge_all_again(cluster: Cluster, now: datetime) -> int:
    """Let everything of it be judged again soon; return the number of resources. Waits while it is recorded."""
    leases.lock(cluster.pk)
    return known.make_due(cluster.pk, now)
