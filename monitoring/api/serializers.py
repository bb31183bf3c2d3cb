"""The JSON of the API: one class for each thing, used for answers and for the OpenAPI description alike.

Times are ISO 8601 in UTC, ages are whole seconds, health is a code such as `at_risk`. A fact is null where the
controller does not tell it or the kind does not have it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clusters.entries import MAX_PEM, MAX_TOKEN, MAX_URL
from clusters.kubeconfig import MAX_BYTES
from clusters.models import MAX_INTERVAL, MIN_INTERVAL
from monitoring import queries
from monitoring.api.suspects import SuspectSerializer
from monitoring.health import WORST_FIRST, Health, Severity
from monitoring.models import Collection
from monitoring.queries import Cause, Change, ClusterDetail, ClusterRow, Coverage, JudgedResource, Lint

# Facts that many kinds share and that have a place of their own; the others are under `facts`.
NAMED_FACTS = ("ready", "reason", "message", "interval", "policy", "store", "target")
MOST_SILENT = 50
HEALTH_CHOICES = [(health.code, health.code) for health in WORST_FIRST]


class HealthField(serializers.ChoiceField):
    """A health as its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=HEALTH_CHOICES, **{"read_only": True, **kwargs})

    def to_representation(self, value: Any) -> str:
        return Health(value).code


@extend_schema_field({"type": "integer", "nullable": True, "description": "Seconds."})
class SecondsField(serializers.Field[timedelta, Any, int, Any]):
    """A duration in whole seconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, **kwargs})

    def to_representation(self, value: timedelta) -> int:
        return int(value.total_seconds())


class FindingSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(help_text="Stable id, such as es-silent-stale.")
    severity = serializers.ChoiceField([severity.value for severity in Severity])
    summary = serializers.CharField()
    cause = serializers.CharField(help_text="The controller's own words, shortened and scrubbed.", allow_blank=True)
    hint = serializers.CharField(help_text="What to look at first.", allow_blank=True)
    since = serializers.DateTimeField(allow_null=True, help_text="By the controller's clock, where it tells.")
    cause_class = serializers.CharField(help_text="What kind of failure the cause tells of.", allow_blank=True)
    signature = serializers.CharField(help_text="Equal for all that one cause brings about.", allow_blank=True)
    threshold = serializers.CharField(help_text="By which limit it was judged, in words.", allow_blank=True)


class SilentSerializer(serializers.Serializer[Any]):
    cluster = serializers.CharField(source="name")
    since = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()


class UnreadableSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    outcome = serializers.CharField()
    clusters = serializers.SerializerMethodField(help_text="Number of clusters.")

    def get_clusters(self, value: Any) -> int:
        return len(value.names)


class CoverageSerializer(serializers.Serializer[Coverage]):
    """How many clusters stand behind an answer. Unless `complete`, what is missing from it may still be wrong."""

    clusters = serializers.IntegerField(help_text="Clusters that are switched on.")
    reporting = serializers.IntegerField(help_text="Of those, the ones that answered lately.")
    switched_off = serializers.IntegerField(help_text="Clusters that are registered and not read, on purpose.")
    complete = serializers.BooleanField(help_text="All of `clusters` report, and every kind there could be read.")
    oldest_at = serializers.DateTimeField(allow_null=True, help_text="Time of the oldest datum behind the answer.")
    silent = serializers.SerializerMethodField(help_text=f"Clusters that do not report, at most {MOST_SILENT}.")
    unreadable = UnreadableSerializer(many=True)

    @extend_schema_field(SilentSerializer(many=True))
    def get_silent(self, value: Coverage) -> Any:
        return SilentSerializer(value.silent[:MOST_SILENT], many=True).data


class CauseSerializer(serializers.Serializer[Cause]):
    """One cause over all clusters: what leads it, and how much it brings about."""

    signature = serializers.CharField(help_text="Stable while the cause lasts; filter resources by it.")
    health = HealthField()
    subject = serializers.CharField(help_text="The store behind it, or its only resource; may be empty.")
    headline = serializers.CharField(help_text="What is wrong, with `subject` before it.")
    rule = serializers.CharField(help_text="Of the finding that leads it.")
    cause = serializers.CharField(help_text="The controller's own words, scrubbed; may be empty.")
    cause_class = serializers.CharField(source="finding.cause_class", default="")
    title = serializers.CharField(help_text="The class in words; may be empty.")
    hint = serializers.CharField()
    threshold = serializers.CharField(source="finding.threshold", default="")
    since = serializers.DateTimeField(allow_null=True)
    resources = serializers.IntegerField(source="count", help_text="How many resources bear it.")
    kinds = serializers.ListField(child=serializers.CharField())
    clusters = serializers.ListField(child=serializers.CharField(), source="names")
    about_clusters = serializers.ListField(
        child=serializers.CharField(), source="about", help_text="Clusters that themselves have a finding of it."
    )


class ClusterCountSerializer(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    resources = serializers.IntegerField()


class CauseDetailSerializer(CauseSerializer):
    by_cluster = ClusterCountSerializer(many=True, help_text="Resources by cluster, most first.")


class LintSerializer(serializers.Serializer[Lint]):
    """Advice of one rule about specs; never part of health."""

    rule = serializers.CharField()
    title = serializers.CharField()
    hint = serializers.CharField()
    resources = serializers.IntegerField(source="count")
    clusters = serializers.ListField(child=serializers.CharField(), source="names")
    about_clusters = serializers.ListField(child=serializers.CharField(), source="about")


class ResourceSerializer(serializers.Serializer[JudgedResource]):
    """One resource as last seen, with our verdict at `as_of`. It is unknown when we cannot see it any more."""

    id = serializers.IntegerField(source="row.id")
    cluster = serializers.CharField(source="row.cluster.name")
    kind = serializers.CharField(source="row.kind")
    namespace = serializers.CharField(source="row.namespace", help_text="Empty for cluster-scoped kinds.")
    name = serializers.CharField(source="row.name")
    uid = serializers.CharField(source="row.uid")
    health = HealthField()
    last_known_health = HealthField(source="last_known")
    since = serializers.DateTimeField(allow_null=True, help_text="When the present health began.")
    unknown_because = serializers.CharField(source="unseen.reason", default=None, allow_null=True)
    findings = FindingSerializer(many=True, help_text="Of the last known verdict, worst first.")
    lints = FindingSerializer(many=True, help_text="Advice about its spec; no part of its health.")
    signature = serializers.CharField(source="row.signature", help_text="Of its cause; empty unless at risk or worse.")
    first_seen_at = serializers.DateTimeField(source="row.first_seen_at")
    created_at = serializers.DateTimeField(source="row.created_at", allow_null=True)
    recheck_at = serializers.DateTimeField(
        source="row.recheck_at", allow_null=True, help_text="When the clock alone can change the health next."
    )
    freshness = SecondsField(source="age", help_text="Age of our knowledge in seconds.")
    ready = serializers.SerializerMethodField(help_text="The controller's Ready (or Synced) condition.")
    reason = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    refreshed_at = serializers.DateTimeField(source="row.refreshed_at", allow_null=True)
    due_at = serializers.DateTimeField(
        source="row.due_at", allow_null=True, help_text="When the controller must have refreshed again."
    )
    interval = serializers.SerializerMethodField(help_text="As written, such as 1h0m0s.")
    policy = serializers.SerializerMethodField()
    store = serializers.SerializerMethodField(help_text="Kind/name of the first secret store.")
    target = serializers.SerializerMethodField(help_text="Name of the Secret that is produced.")
    facts = serializers.SerializerMethodField(help_text="What else is known of this kind.")

    def get_ready(self, value: JudgedResource) -> bool | None:
        ready: bool | None = value.facts.get("ready")
        return ready

    def get_reason(self, value: JudgedResource) -> str | None:
        return value.facts.get("reason") or None

    def get_message(self, value: JudgedResource) -> str | None:
        return value.facts.get("message") or None

    def get_interval(self, value: JudgedResource) -> str | None:
        return value.facts.get("interval") or None

    def get_policy(self, value: JudgedResource) -> str | None:
        return value.facts.get("policy") or None

    def get_store(self, value: JudgedResource) -> str | None:
        store: str = value.facts.get("store", "")
        return store.replace(" ", "/", 1) or None

    def get_target(self, value: JudgedResource) -> str | None:
        return value.facts.get("target") or None

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_facts(self, value: JudgedResource) -> Mapping[str, Any]:
        return {name: fact for name, fact in value.facts.items() if name not in NAMED_FACTS}


class LinkSerializer(serializers.Serializer[Any]):
    relation = serializers.CharField()
    kind = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    resource = serializers.IntegerField(source="resource.row.id", default=None, allow_null=True, help_text="Its id.")
    health = HealthField(source="resource.health", default=None, allow_null=True)


class EventSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    reason = serializers.CharField()
    message = serializers.CharField()
    component = serializers.CharField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    count = serializers.IntegerField()


class ResourceDetailSerializer(ResourceSerializer):
    """One resource with what it refers to, its newest Kubernetes Events and what changed before it was unwell."""

    refers_to = serializers.SerializerMethodField()
    events = serializers.SerializerMethodField()
    suspects = serializers.SerializerMethodField(help_text="Nearest first; null for a resource that is well.")

    @extend_schema_field(LinkSerializer(many=True))
    def get_refers_to(self, value: JudgedResource) -> Any:
        return LinkSerializer(queries.refers_to(value, value.now), many=True).data

    @extend_schema_field(EventSerializer(many=True))
    def get_events(self, value: JudgedResource) -> Any:
        return EventSerializer(queries.events(value), many=True).data

    @extend_schema_field(SuspectSerializer(many=True, allow_null=True))
    def get_suspects(self, value: JudgedResource) -> Any:
        found: Any = queries.suspects(value)
        return None if found is None else SuspectSerializer(found, many=True).data


class TransitionSerializer(serializers.Serializer[Change]):
    """A change of health. `from_health` is null for a resource that was added, `to_health` for one that was removed."""

    id = serializers.IntegerField(source="row.id")
    at = serializers.DateTimeField(source="row.at")
    cluster = serializers.CharField(source="row.cluster.name")
    resource = serializers.IntegerField(source="row.resource_id", help_text="Id; see `exists`.")
    exists = serializers.BooleanField(help_text="Whether the resource is still there under this id.")
    kind = serializers.CharField(source="row.kind")
    namespace = serializers.CharField(source="row.namespace")
    name = serializers.CharField(source="row.name")
    uid = serializers.CharField(source="row.uid")
    from_health = HealthField(allow_null=True)
    to_health = HealthField(allow_null=True)
    findings = serializers.SerializerMethodField(help_text="At that moment, worst first.")
    controller_at = serializers.DateTimeField(
        source="row.controller_at", allow_null=True, help_text="When it began by the controller's clock, if it tells."
    )
    collection = serializers.IntegerField(source="row.collection_id", allow_null=True)

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings(self, value: Change) -> Any:
        return FindingSerializer(value.findings, many=True).data


class CollectionSerializer(serializers.Serializer[Collection]):
    """One attempt of ours to read one cluster."""

    id = serializers.IntegerField()
    cluster = serializers.CharField(source="cluster.name")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    result = serializers.ChoiceField(Collection.Result.choices)
    failure = serializers.CharField(help_text="Why it failed as a whole, otherwise empty.")
    message = serializers.CharField()
    kinds = serializers.JSONField(help_text="The kinds that could not be read, and why.")
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    transitions = serializers.IntegerField()
    requests = serializers.IntegerField()
    bytes_read = serializers.IntegerField()
    read_ms = serializers.IntegerField()
    apply_ms = serializers.IntegerField()


class CountsField(serializers.Field[Mapping[Health, int], Any, dict[str, int], Any]):
    """Number of resources by health code."""

    def to_representation(self, value: Mapping[Health, int]) -> dict[str, int]:
        return {health.code: value.get(health, 0) for health in WORST_FIRST}


COUNTS_SCHEMA = {
    "type": "object",
    "properties": {health.code: {"type": "integer"} for health in WORST_FIRST},
    "description": "Number of resources by health.",
}
extend_schema_field(COUNTS_SCHEMA)(CountsField)


class ClusterSerializer(serializers.Serializer[ClusterRow]):
    """A cluster that we read, and how that goes. Credentials are never shown."""

    name = serializers.CharField(source="cluster.name")
    api_url = serializers.CharField(source="cluster.api_url")
    labels = serializers.DictField(source="cluster.labels", child=serializers.CharField())
    enabled = serializers.BooleanField(source="cluster.enabled")
    interval_seconds = serializers.IntegerField(source="cluster.interval_seconds")
    secret_namespaces = serializers.ListField(
        source="cluster.secret_namespaces",
        child=serializers.CharField(),
        help_text="Where the metadata of Secrets is listed; empty for the whole cluster, where the credential may.",
    )
    health = HealthField(source="worst", help_text="The worst of its resources and of the cluster itself.")
    counts = CountsField(read_only=True)
    findings = FindingSerializer(many=True, help_text="About the cluster itself: sealing keys, controllers, drivers.")
    reporting = serializers.SerializerMethodField(help_text="Whether it answered lately.")
    unknown_because = serializers.CharField(default=None, allow_null=True)
    unread = serializers.SerializerMethodField(help_text="Kinds that may be there unseen: forbidden, failed, overdue.")
    outcome = serializers.CharField(source="cluster.state.outcome", default=None, allow_null=True)
    failure = serializers.CharField(source="cluster.state.failure", default=None, allow_null=True)
    message = serializers.CharField(source="cluster.state.message", default=None, allow_null=True)
    answered_at = serializers.DateTimeField(source="cluster.state.answered_at", default=None, allow_null=True)
    complete_at = serializers.DateTimeField(source="cluster.state.complete_at", default=None, allow_null=True)
    failing_since = serializers.DateTimeField(source="cluster.state.failing_since", default=None, allow_null=True)
    server_version = serializers.CharField(source="cluster.state.server_version", default=None, allow_null=True)
    freshness = SecondsField(source="age", help_text="Age of the oldest of its data in seconds.")
    created_at = serializers.DateTimeField(source="cluster.created_at")
    updated_at = serializers.DateTimeField(source="cluster.updated_at")

    def get_unread(self, value: ClusterRow) -> list[str]:
        return [kind.kind for kind in value.unread]

    def get_reporting(self, value: ClusterRow) -> bool:
        return value.silent is None


class KindSerializer(serializers.Serializer[Any]):
    """How one kind of a cluster is known."""

    kind = serializers.CharField(source="cursor.kind")
    outcome = serializers.CharField(source="cursor.outcome")
    since = serializers.DateTimeField(source="cursor.since", help_text="When this outcome began.")
    failure = serializers.CharField(source="cursor.failure", allow_blank=True)
    message = serializers.CharField(source="cursor.message", allow_blank=True)
    served_version = serializers.CharField(source="cursor.served_version", allow_blank=True)
    read_at = serializers.DateTimeField(source="cursor.read_at", allow_null=True)
    freshness = SecondsField(source="age")
    overdue = serializers.BooleanField()
    count = serializers.IntegerField()


class ClusterDetailSerializer(ClusterSerializer):
    """A cluster with how each of its kinds is known; `kinds` comes with the detail (see ClusterView)."""

    kinds = serializers.SerializerMethodField()

    @extend_schema_field(KindSerializer(many=True))
    def get_kinds(self, value: ClusterRow) -> Any:
        detail: ClusterDetail | None = queries.cluster_detail(value.cluster.name, value.now)
        return KindSerializer(detail.kinds if detail else (), many=True).data


class StrictSerializer(serializers.Serializer[Any]):
    """Input. A field that is not known is an error: a misspelt one must not be ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := sorted(str(name)[:40] for name in set(data) - set(self.fields))):
            raise serializers.ValidationError({name: ["there is no such field here"] for name in unknown})
        return super().to_internal_value(data)


class ClusterChangeSerializer(StrictSerializer):
    """What may be changed of a registered cluster."""

    enabled = serializers.BooleanField(required=False)
    interval_seconds = serializers.IntegerField(required=False, min_value=MIN_INTERVAL, max_value=MAX_INTERVAL)
    labels = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    secret_namespaces = serializers.ListField(child=serializers.CharField(), required=False)


class RegistrationSerializer(StrictSerializer):
    """A cluster to register: `name`, `api_url` and a credential, or a `kubeconfig` with the `context` to take.

    With `replace` a cluster that is registered under this name gets address and credential anew.
    """

    name = serializers.CharField(required=False, max_length=63)
    api_url = serializers.CharField(required=False, max_length=MAX_URL)
    ca_pem = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_PEM, help_text="Empty for the system's trust store."
    )
    token = serializers.CharField(required=False, write_only=True, max_length=MAX_TOKEN)
    client_certificate = serializers.CharField(required=False, write_only=True, max_length=MAX_PEM)
    client_key = serializers.CharField(required=False, write_only=True, max_length=MAX_PEM)
    kubeconfig = serializers.CharField(required=False, write_only=True, max_length=MAX_BYTES, trim_whitespace=False)
    context = serializers.CharField(required=False, max_length=1000)  # type: ignore[assignment]
    interval_seconds = serializers.IntegerField(required=False, min_value=MIN_INTERVAL, max_value=MAX_INTERVAL)
    labels = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    secret_namespaces = serializers.ListField(child=serializers.CharField(), required=False)
    replace = serializers.BooleanField(required=False, default=False)


class ErrorsSerializer(serializers.Serializer[Any]):
    """What is wrong, by the name of the parameter or field."""

    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]


class DueSerializer(serializers.Serializer[Any]):
    due_at = serializers.DateTimeField()
