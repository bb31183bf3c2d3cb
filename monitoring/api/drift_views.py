"""The same object in several clusters, and in what it differs."""

from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clusters.tagging import short
from monitoring import filters, queries
from monitoring.api.base import ApiView
from monitoring.api.pagination import list_schema, page_response, paging
from monitoring.api.serializers import HealthField
from monitoring.drift import TEMPLATE, Values, is_excepted, spec_hash
from monitoring.queries import DriftRow


class DriftCellSerializer(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    id = serializers.IntegerField(help_text="Of the resource there.")
    health = HealthField()
    spec = serializers.CharField(
        help_text="Equal texts mean equal specs: defaults are put equal, and fields that may differ left out."
    )
    value = serializers.CharField(
        help_text="Equal texts mean equal values; empty where the value is not known (tier T2).", allow_blank=True
    )
    differs = serializers.BooleanField(help_text="Not as in most clusters, in what should agree.")


class SameSerializer(serializers.Serializer[Any]):
    value = serializers.CharField(allow_blank=True)
    clusters = serializers.ListField(child=serializers.CharField())


class DifferenceSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    values = SameSerializer(many=True)


class VersionsSerializer(serializers.Serializer[Any]):
    cluster = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField())


class VersionDriftSerializer(serializers.Serializer[Any]):
    object = serializers.CharField()
    mounted = VersionsSerializer(many=True)


class DriftSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    clusters = DriftCellSerializer(many=True)
    missing = serializers.ListField(child=serializers.CharField(), help_text="Clusters that do not have it.")
    spec_drift = DifferenceSerializer(many=True)
    value_drift = serializers.ChoiceField(
        [value.value for value in Values], help_text="unknown, unless the values of all compared clusters are known."
    )
    version_drift = VersionDriftSerializer(many=True)
    must_differ = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Clusters that have one value although `differ` or the rule says that they must not.",
    )

    def to_representation(self, row: DriftRow) -> dict[str, Any]:
        """Built by hand: a row may have a cell for each of a thousand clusters, at 20 us each by fields."""
        return {
            "kind": row.key.kind,
            "namespace": row.key.namespace,
            "name": row.key.name,
            "clusters": _cells(row),
            "missing": list(row.missing),
            "spec_drift": [
                {"field": field, "values": [_same(field, value, names) for value, names in values.items()]}
                for field, values in row.specs.items()
            ],
            "value_drift": row.values.verdict.value if row.values else Values.UNKNOWN.value,
            "version_drift": [
                {
                    "object": version.object_id,
                    "mounted": [{"cluster": name, "versions": list(found)} for name, found in version.versions.items()],
                }
                for version in row.versions
            ],
            "must_differ": [list(names) for names in row.shared],
        }


def _cells(row: DriftRow) -> list[dict[str, Any]]:
    hashes: dict[int, str] = {}  # cells with equal specs mostly share them
    for cell in row.cells.values():
        if id(cell.spec) not in hashes:
            compared = {field: text for field, text in cell.spec.items() if not is_excepted(field, row.excepted)}
            hashes[id(cell.spec)] = spec_hash(compared)
    return [
        {
            "cluster": name,
            "id": cell.resource_id,
            "health": cell.health.code,
            "spec": hashes[id(cell.spec)],
            "value": short(cell.tag),
            "differs": name in row.odd,
        }
        for name, cell in sorted(row.cells.items())
    ]


def _same(field: str, value: str, clusters: tuple[str, ...]) -> dict[str, Any]:
    return {"value": short(value) if field == TEMPLATE else value, "clusters": list(clusters)}


class DriftList(ApiView):
    """Objects that are in at least two of the compared clusters, by namespace, name and kind.

    A page may be empty and still have a next one: it compares a part of all objects.
    """

    takes_parameters = True

    @list_schema("Drift", DriftSerializer, filters.DRIFT_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = filters.parse_drift(request.query_params, settings.DRIFT_RULES, usual=False)
        page = queries.drift(chosen, now, **paging(request))
        return page_response(request, page, DriftSerializer, now, chosen.clusters)
