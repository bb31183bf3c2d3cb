"""What people configure: which clusters we read, and with which credential.

Nothing that a machine learns is written here (see monitoring.models), so an edit and a collection never overwrite
each other.
"""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower

MIN_INTERVAL, DEFAULT_INTERVAL, MAX_INTERVAL = 10, 60, 3600

NAME_PATTERN = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$"


class ClusterQuerySet(models.QuerySet["Cluster"]):
    def enabled(self) -> "ClusterQuerySet":
        return self.filter(enabled=True)


class Cluster(models.Model):
    """One Kubernetes API server that we are configured to read. `labels` are ours (region, environment ...).

    `secret_namespaces` are the namespaces in which the metadata of Secrets is listed (tier T2 by namespace); with none
    they are listed in the whole cluster, where the credential may.
    """

    name = models.CharField(max_length=63, validators=[RegexValidator(NAME_PATTERN)])
    labels = models.JSONField(default=dict, blank=True)
    api_url = models.CharField(max_length=500)
    ca_pem = models.TextField(blank=True, default="")
    enabled = models.BooleanField(default=True)
    interval_seconds = models.PositiveIntegerField(
        default=DEFAULT_INTERVAL, validators=[MinValueValidator(MIN_INTERVAL), MaxValueValidator(MAX_INTERVAL)]
    )
    secret_namespaces = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="cluster_name_unique"),
            models.CheckConstraint(
                condition=models.Q(interval_seconds__range=(MIN_INTERVAL, MAX_INTERVAL)), name="cluster_interval_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.interval_seconds)

    @property
    def freshness_limit(self) -> timedelta:
        """Age of our knowledge from which it is overdue: two missed collections and a half."""
        return timedelta(seconds=2.5 * self.interval_seconds + 10)


class Credential(models.Model):
    """What authenticates us at a cluster, sealed for the workers' key (see clusters.credentials)."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="credential")
    sealed = models.BinaryField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"credential of cluster {self.cluster_id}"
