"""The estate as it was: a function of the database with the columns of Resource, for one moment."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import models
from django.db.models.functions import Concat
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable

from clusters.models import Cluster
from monitoring.models.knowledge import HEALTH_CHOICES


class _EstateAt(BaseTable):
    """FROM monitoring_estate(moment). As a value of the statement the moment chooses partitions when it is planned."""

    def __init__(self, moment: datetime, table_name: str, alias: str | None) -> None:
        super().__init__(table_name, alias)
        self.moment = moment

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        name, alias = (compiler.quote_name_unless_alias(text) for text in (self.table_name, self.table_alias))
        return f"{name}(%s) {alias}", [self.moment]

    def relabeled_clone(self, change_map: Any) -> "_EstateAt":
        return _EstateAt(self.moment, self.table_name, change_map.get(self.table_alias, self.table_alias))

    @property
    def identity(self) -> tuple[Any, ...]:
        return (*super().identity, self.moment)


class PastResource(models.Model):
    """A resource in the state that it had at a moment, read by interval and not by replay: `at` gives a queryset.

    `id` is that of the resource, also of one that is gone. What only the present knows (facts, when it is due) is
    empty. `ended_at` and `transition_id`: when the state ended, and what tells of it; None if it lasts. The estate is
    the union of states that last, ended ones that are unhealthy, have findings or advice (found by `transition_brief`,
    `transition_lasting`, `transition_noted` and `transition_advised`), and other healthy ones, found resource by
    resource: for many of these ask monitoring.queries.past_rows, or Postgres has to look at every resource.
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
    ended_at = models.DateTimeField(null=True)
    transition_id = models.BigIntegerField(null=True)
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

    @classmethod
    def at(cls, moment: datetime) -> "models.QuerySet[PastResource]":
        query = Query(cls)
        query.base_table_class = partial(_EstateAt, moment)  # type: ignore[assignment]  # a class to call, as there
        return models.QuerySet(cls, query)

    @property
    def first_seen_at(self) -> datetime:
        """At the latest: how long it had been there is not kept."""
        return min(self.recorded_at, self.since)
