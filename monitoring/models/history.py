"""What was, and what changed. Nothing here is changed once it is written, but for the confidence in a rotation."""

from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import Func

from clusters.models import Cluster
from monitoring.models.knowledge import HEALTH_CHOICES, Collection


class Transition(models.Model):
    """The end of one state of a resource, and what came instead. Append-only, and it outlives the resource.

    A state is health, findings and lints. Each is stored once, by the row that ends it: `began_at` to `at` the resource
    was `from_health` with `findings`, `lints` and `signature`; the state that lasts is the Resource row itself. So the
    estate at a moment is found by interval, and pruning by `at` loses nothing that a later moment needs.
    `from_health` is null when the resource was added (then nothing ended), `to_health` when it was removed. `turned`
    tells whether the health changed, or only what was found. `since` and `unwell_since` are the ended state's;
    `first_seen_at` is of a resource that was removed, else null.
    `controller_at` is when the new state began by the controller's own clock, if it tells.
    Rows of the kind "Cluster" are states of a cluster's own verdict; they have no resource.

    The table has monthly partitions by `at` (see monitoring.partitions), so its primary key is (id, at).
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    began_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="transitions", db_index=False)
    resource_id = models.BigIntegerField(default=0)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    from_health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES, null=True)
    to_health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES, null=True)
    turned = models.BooleanField(default=True)
    findings = models.JSONField(default=list)
    lints = models.JSONField(default=list)
    signature = models.CharField(max_length=16, default="")
    since = models.DateTimeField(null=True)
    unwell_since = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(null=True)
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
            # What was not healthy at a moment, began_at <= moment < at, is found by transition_brief and
            # transition_lasting, which the migration makes: Django cannot express their conditions.
            # what was healthy at a moment, with a finding
            GistIndex(
                Func("began_at", "at", function="tstzrange"),
                name="transition_noted",
                condition=~models.Q(findings=[]) & models.Q(from_health=0),
            ),
            # advice at a moment
            GistIndex(
                Func("began_at", "at", function="tstzrange"),
                name="transition_advised",
                condition=~models.Q(lints=[]) & models.Q(from_health__isnull=False),
            ),
            # what existed at a moment and does not any more
            GistIndex(
                Func("first_seen_at", "at", function="tstzrange"),
                name="transition_existed",
                condition=models.Q(to_health=None),
            ),
            # a resource by its number, when it is gone
            models.Index(fields=["resource_id"], name="transition_gone", condition=models.Q(to_health=None)),
            # how many were removed and added since a moment
            models.Index(fields=["at"], name="transition_removed", condition=models.Q(to_health=None)),
            models.Index(fields=["at"], name="transition_added", condition=models.Q(from_health=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}: {self.from_health} to {self.to_health}"


class HealthSample(models.Model):
    """How many resources had each health at a moment: of one cluster, or of all (`cluster` null).

    `minutes` is the distance to the next sample of its kind: 5, 60 or 1440. `shown` counts by kind and health as pages
    showed them: what could not be seen is unknown. Of an hour and of a day each of these numbers is the highest of its
    five minutes, each of its own moment, and of what is healthy the lowest: so neither a short outage of one kind nor a
    time without sight vanishes, and the numbers may add up to more than there was. `samples` is how many samples of
    five minutes these are, 12 or 288 if somebody counted all the time.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    minutes = models.PositiveSmallIntegerField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    shown = models.JSONField()
    samples = models.PositiveSmallIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "minutes", "at"], name="health_sample_unique", nulls_distinct=False
            )
        ]
        indexes = [models.Index(fields=["minutes", "at"], name="health_sample_age")]  # roll up, prune

    def __str__(self) -> str:
        return f"health of cluster {self.cluster_id or 'all'} at {self.at:%Y-%m-%d %H:%M}"


class Recovery(models.Model):
    """How many times on one day something got well again, and how long that took together.

    Of one cluster, or (`store` not empty) of what reads one secret store there, as "Kind namespace/name". Not counted
    is what a Gap falls into: nobody knows when that got well.
    """

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    store = models.CharField(max_length=600, default="")
    count = models.PositiveIntegerField()
    seconds = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "store", "day"], name="recovery_unique")]
        indexes = [models.Index(fields=["day"], name="recovery_day")]

    def __str__(self) -> str:
        return f"recoveries in cluster {self.cluster_id} on {self.day}"


class Rotation(models.Model):
    """One observed rotation: a value changed and the change reached its target or mount. Also renewals of sealing keys.

    The key is that of what people name: ExternalSecret, SealedSecret, SecretProviderClass (with the mounted `object`)
    or SealingKey. `at` is by the clock of the cluster's controllers, `seen_at` by ours. `before` and `after` are
    versions where these are public (CSI), short tags where they are not, "" where nothing is known. Better evidence of
    the same rotation raises `confidence` and replaces `source`.
    """

    class Confidence(models.IntegerChoices):
        INFERRED = 1
        LIKELY = 2
        PROVED = 3

    class Source(models.TextChoices):
        TARGET = "target"  # the hash of the target Secret's data changed
        UPDATED = "updated"  # External Secrets' Event: it wrote the target
        WRITTEN = "written"  # the target's managed fields: External Secrets wrote it, and no hash tells what
        MOUNT = "mount"  # a mount changed to another version
        RESEALED = "resealed"  # a SealedSecret was sealed anew and unsealed
        RENEWED = "renewed"  # a new sealing key

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    seen_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="rotations", db_index=False)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    object = models.CharField(max_length=253, default="")
    confidence = models.PositiveSmallIntegerField(choices=Confidence.choices)
    source = models.CharField(max_length=10, choices=Source.choices)
    before = models.CharField(max_length=253, default="")
    after = models.CharField(max_length=253, default="")
    collection = models.ForeignKey(
        Collection, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "kind", "namespace", "name", "object", "at"], name="rotation_unique"
            )
        ]
        indexes = [
            models.Index(fields=["-at", "-id"], name="rotation_newest"),
            models.Index(fields=["cluster", "-at", "-id"], name="rotation_by_cluster"),
            models.Index(fields=["namespace", "name", "-at"], name="rotation_across"),  # the same secret everywhere
        ]

    def __str__(self) -> str:
        return f"rotation of {self.kind} {self.namespace}/{self.name}"


class Revision(models.Model):
    """One change of what somebody wrote, or of what runs: a suspect when something fails shortly after.

    `what` is "spec", "labels", "version", "options", "key" or "served version"; `before` and `after` are short texts
    (generations, image tags), `by` the field manager that wrote, if it is known.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    seen_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    what = models.CharField(max_length=20)
    before = models.CharField(max_length=253, default="")
    after = models.CharField(max_length=253, default="")
    by = models.CharField(max_length=253, default="")

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "kind", "namespace", "name", "-at"], name="revision_by_resource"),
            models.Index(fields=["seen_at"], name="revision_seen"),  # prune
        ]

    def __str__(self) -> str:
        return f"{self.what} of {self.kind} {self.namespace}/{self.name}"
