"""Counts of health over time, and how long it took to get well."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import filters, queries
from monitoring.api.base import ApiView
from monitoring.api.pagination import described
from monitoring.api.serializers import CoverageSerializer, ErrorsSerializer, SecondsField
from monitoring.health import WORST_FIRST
from monitoring.queries import Recovered
from monitoring.timelines import Moment


class MomentSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="When the 5 minutes, the hour or the day began.")
    counts = inline_serializer(
        "HealthCounts",
        {health.code: serializers.IntegerField() for health in WORST_FIRST},
        allow_null=True,
        help_text="Resources by health as pages showed it: of an hour or a day the highest number of each health, of "
        "what is healthy the lowest; null where nobody counted at all, which is unknown.",
    )
    uncounted_seconds = SecondsField(
        source="uncounted", help_text="How long in these 5 minutes, this hour or day nobody counted: unknown for all."
    )


class RecoveredSerializer(serializers.Serializer[Recovered]):
    """Of one cluster, or of what reads one secret store there."""

    cluster = serializers.CharField()
    store = serializers.CharField(help_text="Kind and namespace/name; empty for the cluster as a whole.")
    count = serializers.IntegerField(
        help_text="How many times something at risk or worse got healthy, seen all that time."
    )
    mean_seconds = SecondsField(source="mean")


class TrendSerializer(serializers.Serializer[Any]):
    window = serializers.ChoiceField(filters.TREND_WINDOWS)
    step_seconds = serializers.IntegerField(help_text="Distance of two moments.")
    results = MomentSerializer(many=True, help_text="Oldest first, at equal distances, without holes.")
    recovered = RecoveredSerializer(many=True, help_text="In the last 30 days that are over, slowest first.")
    as_of = serializers.DateTimeField()
    coverage = CoverageSerializer()


class TrendView(ApiView):
    """Resources by health over time: every 5 minutes, or the worst counts of each hour or day.

    Those are of different moments: the numbers of one hour may add up to more than there was. Several clusters are
    added up, at most 100; without the parameter it is all of them. `kind` restricts the counts, not what recovered.
    """

    takes_parameters = True

    @extend_schema(
        operation_id="getTrend",
        tags=["trend"],
        parameters=[described(parameter) for parameter in filters.TREND_PARAMETERS],
        responses={200: TrendSerializer, 400: OpenApiResponse(ErrorsSerializer, "A parameter is wrong or unknown.")},
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = filters.parse_trend(request.query_params)
        ids = queries.ids_of(chosen.clusters)
        found = queries.trend(now, chosen.window, ids, chosen.kinds)
        answer = {
            "window": found.window.code,
            "step_seconds": int(found.window.step.total_seconds()),
            "results": [_moment(moment) for moment in found.moments],
            "recovered": queries.recovery(now, ids=ids),
            "as_of": now,
            "coverage": queries.coverage(now, ids),
        }
        return Response(TrendSerializer(answer).data)


def _moment(moment: Moment) -> dict[str, Any]:
    counts = moment.counts
    return {
        "at": moment.at,
        "counts": counts and {health.code: number for health, number in counts.items()},
        "uncounted": moment.uncounted,
    }
