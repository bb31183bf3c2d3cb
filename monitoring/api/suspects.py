"""What changed shortly before a resource ceased to be well, for automation."""

from rest_framework import serializers

from monitoring.queries.suspects import Suspect


class SuspectSerializer(serializers.Serializer[Suspect]):
    at = serializers.DateTimeField()
    what = serializers.CharField(help_text="What changed, as in `spec` or `image`.")
    kind = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    by = serializers.CharField(help_text="The field manager that wrote it; empty where nobody tells.")
    relation = serializers.CharField(help_text="What the object is to the resource: `itself`, `store`, `operator` ...")
    resource = serializers.IntegerField(source="resource_id", allow_null=True, help_text="Null where it is gone.")
