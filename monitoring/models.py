"""What machines write: what we know of each cluster, how we know it, and what changed.

Writers: `recorder` writes Resource, Reference, Event, Transition, HealthCount and Cursor; `memory` writes Ciphertext,
MountedVersion, ServedCertificate and KnownKey; `outcomes` writes Collection and ClusterState; `leases` writes Lease
(the API makes one due at once). Everything else reads, through `queries`.
"""

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Concat

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
    `queue_lag_s` how late its External Secrets usually refreshes. `findings` are about keys, controllers and drivers.
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


class Resource(models.Model):
    """The newest known state of one object of a watched kind, with our verdict.

    Unchanged resources are not written. `facts` are clusters.facts.*Facts as JSON, `findings` are
    monitoring.rules.base.Finding. `since` is when the present health began. `signature` is the worst
    finding's, "" unless the resource is at risk or worse: what it counts under among causes. There is no index on
    `refreshed_at` or `due_at`: it would end HOT updates (190 B of WAL a row against 500 B); what is stale is found by
    health.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="resources", db_index=False)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    fingerprint = models.BigIntegerField()
    created_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES)
    since = models.DateTimeField()
    findings = models.JSONField(default=list)
    lints = models.JSONField(default=list)
    signature = models.CharField(max_length=16, default="")
    facts = models.JSONField(default=dict)
    refreshed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    recheck_at = models.DateTimeField(null=True)
    search = models.GeneratedField(
        expression=Concat("namespace", models.Value("/"), "name"), output_field=models.TextField(), db_persist=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind", "namespace", "name"], name="resource_unique"),
        ]
        indexes = [
            # list pages, worst first: ORDER BY health DESC, id DESC
            models.Index(fields=["-health", "-id"], name="resource_worst_first"),
            # one cluster's list, worst first
            models.Index(fields=["cluster", "-health", "-id"], name="resource_by_cluster"),
            # recheck_due: WHERE recheck_at <= now
            models.Index(fields=["recheck_at"], name="resource_recheck", condition=models.Q(recheck_at__isnull=False)),
            # causes: one line per signature, and the rows behind it
            models.Index(
                fields=["signature", "-health", "-id"], name="resource_cause", condition=~models.Q(signature="")
            ),
            # rows with one finding, and lints by rule: findings @> '[{"rule": "..."}]'
            GinIndex(
                fields=["findings"],
                name="resource_findings",
                opclasses=["jsonb_path_ops"],
                condition=~models.Q(findings=[]),
            ),
            GinIndex(
                fields=["lints"], name="resource_lints", opclasses=["jsonb_path_ops"], condition=~models.Q(lints=[])
            ),
            # search box: ILIKE over namespace/name, three characters and more
            GinIndex(fields=["search"], name="resource_search", opclasses=["gin_trgm_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Reference(models.Model):
    """One resource refers to one object of its own cluster. The target need not exist or be known."""

    id = models.BigAutoField(primary_key=True)
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="references", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    relation = models.CharField(max_length=10)
    target_kind = models.CharField(max_length=40)
    target_namespace = models.CharField(max_length=253)
    target_name = models.CharField(max_length=253)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["resource", "relation", "target_kind", "target_namespace", "target_name"],
                name="reference_unique",
            )
        ]
        indexes = [
            # whom to judge again when a store or class changes; blast radius
            models.Index(
                fields=["cluster", "target_kind", "target_namespace", "target_name"], name="reference_by_target"
            )
        ]

    def __str__(self) -> str:
        return f"{self.relation} {self.target_kind} {self.target_namespace}/{self.target_name}"


class Event(models.Model):
    """One Kubernetes Event of a watched resource, kept beyond its hour in the API server. `message` is scrubbed."""

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="events", db_index=False)
    event_uid = models.CharField(max_length=80)
    fingerprint = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    involved_uid = models.CharField(max_length=80, default="")
    type = models.CharField(max_length=20)
    reason = models.CharField(max_length=130)
    message = models.TextField()
    component = models.CharField(max_length=130, default="")
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    count = models.PositiveIntegerField(default=1)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "event_uid"], name="event_unique")]
        indexes = [
            # newest cause of a resource
            models.Index(fields=["cluster", "kind", "namespace", "name", "-last_at"], name="event_by_resource"),
            models.Index(fields=["seen_at"], name="event_seen"),  # prune
            models.Index(fields=["cluster", "seen_at"], name="event_live"),  # which may come again
        ]

    def __str__(self) -> str:
        return f"{self.reason} of {self.kind} {self.namespace}/{self.name}"


class Transition(models.Model):
    """A recorded change of a resource's health; append-only, and it outlives the resource.

    `from_health` is null when the resource was added, `to_health` when it was removed. `findings` are the findings
    at that moment, with their causes. `controller_at` is when it began by the controller's own clock, if it tells.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="transitions", db_index=False)
    resource_id = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    from_health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES, null=True)
    to_health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES, null=True)
    findings = models.JSONField(default=list)
    controller_at = models.DateTimeField(null=True)
    collection = models.ForeignKey(
        Collection, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], name="transition_newest"),
            models.Index(fields=["cluster", "-at", "-id"], name="transition_by_cluster"),
            # a resource's timeline, also across removal and recreation under the same name
            models.Index(fields=["cluster", "kind", "namespace", "name", "-at"], name="transition_by_resource"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}: {self.from_health} to {self.to_health}"


class HealthCount(models.Model):
    """How many resources of one kind in one cluster have one health. Maintained with every write of a resource.

    The overview reads this table: grouping a million resources takes 46 to 156 ms, this takes 2.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="health_counts", db_index=False)
    kind = models.CharField(max_length=40)
    health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES)
    count = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "health"], name="health_count_unique")]

    def __str__(self) -> str:
        return f"{self.count} {self.kind} in cluster {self.cluster_id}"


class Ciphertext(models.Model):
    """One encrypted item of a SealedSecret, by the digest of its ciphertext, from when we first saw it there.

    Kept after the item changed or went away: it tells since when something is sealed, and where else it was opened.
    """

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    digest = models.CharField(max_length=32)
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            # digest first: the same ciphertext in any cluster
            models.UniqueConstraint(fields=["digest", "cluster", "namespace", "name"], name="ciphertext_unique")
        ]
        indexes = [models.Index(fields=["cluster"], name="ciphertext_by_cluster")]

    def __str__(self) -> str:
        return f"ciphertext {self.digest} of {self.namespace}/{self.name}"


class MountedVersion(models.Model):
    """The version of one object of one source that some mount, in any cluster, changed to last.

    `source` is ClassFacts.source, or for what is comparable in one place only that of the class itself.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=64)
    object_id = models.CharField(max_length=253)
    version = models.CharField(max_length=253)
    changed_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "object_id"], name="mounted_version_unique")]

    def __str__(self) -> str:
        return f"{self.object_id} of {self.source}"


class ServedCertificate(models.Model):
    """A sealing certificate that a cluster served. With time this is the public history of all its keys."""

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    sha256 = models.CharField(max_length=64)
    not_before = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "sha256"], name="served_certificate_unique"),
        ]
        indexes = [models.Index(fields=["sha256"], name="served_certificate_by_digest")]

    def __str__(self) -> str:
        return f"certificate {self.sha256[:16]} of cluster {self.cluster_id}"


class KnownKey(models.Model):
    """A sealing key's Secret that a cluster had. `gone_at`: since when it is not there any more."""

    id = models.BigAutoField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    created_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=253)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "uid"], name="known_key_unique")]

    def __str__(self) -> str:
        return f"key {self.name} of cluster {self.cluster_id}"
