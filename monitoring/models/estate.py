"""The estate as it was: a view with the columns of Resource, for the moment that the transaction names."""

from datetime import datetime

from django.db import models
from django.db.models.functions import Concat

from clusters.models import Cluster
from monitoring.models.knowledge import HEALTH_CHOICES


class PastResource(models.Model):
    """A resource in the state that it had at a moment, read by interval and not by replay.

    The moment is the setting `secretsdash.at` of the transaction (see monitoring.queries.past); without it the view
    refuses to be read. `id` is that of the resource, also of one that is gone. What only the present knows (facts,
    when it is due) is empty. The view is the union of states that last, unhealthy ones that ended (found by
    `transition_brief` and `transition_lasting`), and healthy ones that ended (found resource by resource): so ask for
    unhealthy ones by health and id, and for healthy ones by id alone, or Postgres has to look at every resource.
    """

    id = models.BigIntegerField(primary_key=True)
    cluster = models.ForeignKey(Cluster, on_delete=models.DO_NOTHING, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    namespace = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    uid = models.CharField(max_length=80)
    health = models.PositiveSmallIntegerField(choices=HEALTH_CHOICES)
    since = models.DateTimeField()
    recorded_at = models.DateTimeField()
    unwell_since = models.DateTimeField(null=True)
    findings = models.JSONField()
    lints = models.JSONField()
    signature = models.CharField(max_length=16)
    search = models.GeneratedField(
        expression=Concat("namespace", models.Value("/"), "name"), output_field=models.TextField(), db_persist=True
    )
    facts: dict[str, object] = {}
    created_at = refreshed_at = due_at = None

    class Meta:
        managed = False
        db_table = "monitoring_estate"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def first_seen_at(self) -> datetime:
        """Not before: how long it had been there is not kept."""
        return self.recorded_at
