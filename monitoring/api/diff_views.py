"""What is not as it was, for automation."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from monitoring import filters
from monitoring.api.base import ApiView
from monitoring.api.pagination import list_schema, page_response, paging
from monitoring.api.serializers import FindingSerializer, HealthField
from monitoring.queries import diff, past
from monitoring.queries.diff import Difference, Unseen


class EstateDifferenceSerializer(serializers.Serializer[Difference]):
    """A resource in the states that it had at two moments; a health is null where it did not exist."""

    at = serializers.DateTimeField(help_text="When it became what it was at the later moment, or was removed.")
    cluster = serializers.CharField()
    resource = serializers.IntegerField(source="id")
    exists = serializers.BooleanField(help_text="Whether the resource is still there under this id.")
    kind = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    from_health = HealthField(allow_null=True)
    to_health = HealthField(allow_null=True)
    findings_before = serializers.SerializerMethodField()
    findings_after = serializers.SerializerMethodField()

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings_before(self, value: Difference) -> Any:
        return FindingSerializer(value.findings_before, many=True).data

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings_after(self, value: Difference) -> Any:
        return FindingSerializer(value.findings_after, many=True).data


class UnseenSerializer(serializers.Serializer[Unseen]):
    cluster = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    before = serializers.BooleanField(help_text="Not seen at the earlier moment.")
    after = serializers.BooleanField(help_text="Not seen at the later moment.")


UNSEEN = UnseenSerializer(
    many=True, help_text="Kinds that nobody saw at one of the moments or both: what was there at both is not compared."
)


class DifferenceList(ApiView):
    """Resources whose health or findings are not the same at two moments, the latest change first.

    `as_of` and `coverage` are of the later moment.
    """

    takes_parameters = True

    @list_schema("Difference", EstateDifferenceSerializer, filters.DIFF_PARAMETERS, unseen=UNSEEN)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = filters.parse_diff(request.query_params, now)
        past.check(chosen.before, "from")
        page = diff.differences(chosen, now, **paging(request))
        response = page_response(request, page, EstateDifferenceSerializer, now, chosen.clusters, chosen.after)
        if page.next:  # a later page compares the same two moments
            response.data["next"] = replace_query_param(response.data["next"], "to", response.data["as_of"])
        unseen: Any = page.unseen
        response.data["unseen"] = UnseenSerializer(unseen, many=True).data
        return response
