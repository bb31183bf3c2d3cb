"""How we know each cluster: when it is read, how that ended, and how far each kind is known."""

from django.db import models

from clusters.models import Cluster
from monitoring.health import Health

HEALTH_CHOICES = [(int(health), health.word) for health in Health]


class Lease(models.Model):
    """When a cluster is due next, and who reads it now. Claimed by a counted UPDATE with SKIP LOCKED.

    `held_until` in the past means the holder died: the lease runs out by itself. `claimed_at` is the newest claim.
    `failures` counts collections in a row that could not read the cluster and stretches its interval; `slow` is set
    while it uses up its deadline or does not answer, so that it waits in a queue of its own.
    """

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="lease")
    due_at = models.DateTimeField()
    held_until = models.DateTimeField(null=True)
    holder = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    slow = models.BooleanField(default=False)

    class Meta:
        # dispatch_due: WHERE due_at <= now ORDER BY due_at LIMIT n FOR UPDATE SKIP LOCKED
        indexes = [models.Index(fields=["due_at"], name="lease_due")]

    def __str__(self) -> str:
        return f"lease of cluster {self.cluster_id}"


class ClusterState(models.Model):
    """What we learnt of a cluster as a whole. `answered_at` and `complete_at` are starts of collections.

    `outcome` is that of the newest collection; `failing_since` the start of the first of the failed ones in a row.
    `clock_offset_ms` is the API server's clock minus ours,
    `queue_lag_s` how late its External Secrets usually refreshes. `findings` are about keys, controllers and drivers;
    `recorded_at` is since when health, findings and lints are as they are.
    """

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="state")
    outcome = models.CharField(max_length=20, default="")
    failure = models.CharField(max_length=40, default="")
    message = models.CharField(max_length=500, default="")
    collected_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    complete_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    server_version = models.CharField(max_length=80, default="")
    clock_offset_ms = models.IntegerField(default=0)
    queue_lag_s = models.PositiveIntegerField(default=0)
    health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES, default=Health.HEALTHY)
    findings = models.JSONField(default=list)
    lints = models.JSONField(default=list)
    recorded_at = models.DateTimeField(null=True)
    recheck_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"state of cluster {self.cluster_id}"


class Collection(models.Model):
    """One attempt of ours to read one cluster: complete, partial or failed. `kinds` holds what was not read."""

    class Result(models.TextChoices):
        COMPLETE = "complete"
        PARTIAL = "partial"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="collections", db_index=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    result = models.CharField(max_length=10, choices=Result.choices)
    failure = models.CharField(max_length=40, default="", blank=True)
    message = models.CharField(max_length=500, default="", blank=True)
    kinds = models.JSONField(default=dict, blank=True)
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    transitions = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    bytes_read = models.BigIntegerField(default=0)
    read_ms = models.PositiveIntegerField(default=0)
    apply_ms = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "-started_at"], name="collection_by_cluster"),
            models.Index(fields=["-started_at", "-id"], name="collection_newest"),  # API list and prune
        ]

    def __str__(self) -> str:
        return f"collection {self.id} of cluster {self.cluster_id}"


class Cursor(models.Model):
    """How far one kind of one cluster is known. Freshness of the kind is now - `read_at`.

    `read_at` is the start of the newest collection that read the kind completely; `since` is when the present
    `outcome` began; `resource_version` is where a delta may start.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="cursors", db_index=False)
    kind = models.CharField(max_length=40)
    outcome = models.CharField(max_length=20)
    failure = models.CharField(max_length=40, default="")
    message = models.CharField(max_length=500, default="")
    served_version = models.CharField(max_length=20, default="")
    resource_version = models.CharField(max_length=60, default="")
    read_at = models.DateTimeField(null=True)
    attempted_at = models.DateTimeField()
    since = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind"], name="cursor_unique")]

    def __str__(self) -> str:
        return f"cursor of {self.kind} in cluster {self.cluster_id}"


class Gap(models.Model):
    """A time in which one kind of one cluster was not known: from its last complete reading to the next one.

    Written when the kind is read again; the gap that is open now follows from Cursor. Not every kind has one: the
    distance of two ordinary collections is none.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="gaps", db_index=False)
    kind = models.CharField(max_length=40)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "kind", "ended_at"], name="gap_by_kind"),
            models.Index(fields=["ended_at"], name="gap_ended"),  # what was unknown at a moment, and prune
        ]

    def __str__(self) -> str:
        return f"gap of {self.kind} in cluster {self.cluster_id}"
