"""The rotation ledger, the ages of values, and waves."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import queries
from monitoring.api.base import ApiView
from monitoring.api.pagination import described, list_schema, page_response, paging, past_moment
from monitoring.api.serializers import CoverageSerializer, ErrorsSerializer, HealthField, SecondsField
from monitoring.filters.rotations import (
    AGE_PARAMETERS,
    AGES,
    CONFIDENCES,
    DIGEST_FORM,
    LEDGER_KINDS,
    LEDGER_PARAMETERS,
    ROTATING_KINDS,
    SOURCE_FORM,
    SOURCES,
    WAVE_PARAMETERS,
    parse_ages,
    parse_ledger,
    parse_waves,
)
from monitoring.queries.ages import ages_of, histogram
from monitoring.queries.ledger import LedgerRow, check, ledger
from monitoring.queries.provider_keys import ProviderKey, keys_of
from monitoring.queries.waves import KeyRow, WaveReader, key_row, key_rows
from monitoring.rotation.base import Confidence
from monitoring.rotation.waves import Arrival, How, Standing, Wave

WAVES_PATH = "/api/v1/waves/"
WRONG = OpenApiResponse(ErrorsSerializer, "A parameter is wrong or unknown.")


class RotationSerializer(serializers.Serializer[Any]):
    """A value changed and the change reached its target or mount; or (`source` is `renewed`) a sealing key is new."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField(help_text="By the clock of the cluster's controllers.")
    seen_at = serializers.DateTimeField(help_text="When we learnt of it.")
    cluster = serializers.CharField()
    kind = serializers.ChoiceField(LEDGER_KINDS)
    namespace = serializers.CharField()
    name = serializers.CharField(help_text="Empty for a sealing key of which only the certificate is known.")
    object = serializers.CharField(help_text="What is mounted, by the provider's id; empty for other kinds.")
    confidence = serializers.ChoiceField(CONFIDENCES)
    source = serializers.ChoiceField(SOURCES)  # type: ignore[assignment]
    before = serializers.CharField(help_text="A version, or a short tag that equal values share; empty if not known.")
    after = serializers.CharField()
    resource = serializers.IntegerField(allow_null=True, help_text="Its id, null where it is not there any more.")
    waves = serializers.ListField(child=serializers.CharField(), help_text="Addresses: one for each key that it reads.")


def _rotation(row: LedgerRow, keys: Sequence[ProviderKey]) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": row.at,
        "seen_at": row.seen_at,
        "cluster": row.cluster,
        **row.key._asdict(),
        "object": row.object,
        "confidence": row.confidence.name.lower(),
        "source": row.source.value,
        "before": row.before,
        "after": row.after,
        "resource": row.resource_id,
        "waves": [_address(key) for key in keys if key.object == row.object],
    }


def _address(key: ProviderKey) -> str:
    return f"{WAVES_PATH}{key.source}/{key.digest}/"


class RotationList(ApiView):
    """The ledger, newest first: rotations, and renewals of sealing keys."""

    takes_parameters = True

    @list_schema("Rotation", RotationSerializer, LEDGER_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = parse_ledger(request.query_params, now)
        at = past_moment(request, now)
        check(chosen.since)
        found = ledger(chosen, **paging(request), at=at)
        keys = keys_of({row.resource_id for row in found.rows if row.resource_id is not None})
        rows = tuple(_rotation(row, keys.get(row.resource_id or 0, ())) for row in found.rows)
        page = queries.Page(rows, found.next)
        return page_response(request, page, RotationSerializer, now, chosen.clusters, at)


class AgedSerializer(serializers.Serializer[Any]):
    """How old a value is. Where `rotated_at` is null, `since` is when we first saw the resource: it may be older."""

    resource = serializers.IntegerField(source="resource_id")
    cluster = serializers.CharField()
    kind = serializers.ChoiceField(ROTATING_KINDS, source="key.kind")
    namespace = serializers.CharField(source="key.namespace")
    name = serializers.CharField(source="key.name")
    rotated_at = serializers.DateTimeField(allow_null=True)
    since = serializers.DateTimeField()
    age = SecondsField(help_text="Seconds since then: at least that old.")
    days = serializers.IntegerField(allow_null=True, help_text="After how many days the policy wants another value.")
    own = serializers.BooleanField(help_text="Whether the object's own annotation says so.")
    due_at = serializers.DateTimeField(allow_null=True, help_text="At the latest, where no rotation was seen.")
    past_policy = serializers.BooleanField(help_text="Whether it should have been rotated by now.")


class BucketSerializer(serializers.Serializer[Any]):
    age = serializers.ChoiceField(AGES, source="code", help_text="Days.")
    rotated = serializers.IntegerField(help_text="Last rotated so long ago.")
    not_seen = serializers.IntegerField(help_text="Never seen to rotate, for so long: at least that old.")


class AgesSerializer(serializers.Serializer[Any]):
    results = AgedSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The following page; null on the last one.")
    as_of = serializers.DateTimeField()
    coverage = CoverageSerializer()
    histogram = BucketSerializer(many=True, help_text="Of all that fits, whatever its age.")
    past_policy = serializers.IntegerField(help_text="Of those that have a policy.")
    with_policy = serializers.IntegerField()


class AgeList(ApiView):
    """What can rotate, the oldest first, with counts by age and what the policy says."""

    takes_parameters = True

    @extend_schema(responses={200: AgesSerializer, 400: WRONG})
    @list_schema("Age", AgedSerializer, AGE_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen, rules = parse_ages(request.query_params), settings.ROTATION_POLICY
        found = ages_of(chosen, rules, now, **paging(request))
        answer = page_response(request, found, AgedSerializer, now, chosen.clusters)
        counted = histogram(chosen, rules, now)
        answer.data["histogram"] = BucketSerializer(counted.buckets, many=True).data
        answer.data |= {"past_policy": counted.past_policy, "with_policy": counted.ruled}
        return answer


class ReaderSerializer(serializers.Serializer[Any]):
    """A resource that reads the key, and where it stands with the newest wave."""

    resource = serializers.IntegerField()
    cluster = serializers.CharField()
    kind = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    health = HealthField()
    standing = serializers.ChoiceField(
        [standing.value for standing in Standing],
        allow_null=True,
        help_text="`lags` is said where tags or versions tell that it has an older value; null without a wave.",
    )
    arrived_at = serializers.DateTimeField(allow_null=True, help_text="By our clock.")
    delay_seconds = serializers.IntegerField(allow_null=True, help_text="After the first.")
    how = serializers.ChoiceField(
        [how.value for how in How],
        allow_null=True,
        help_text="What tells that it is the same change: an equal value or version, or its time alone.",
    )
    confidence = serializers.ChoiceField(CONFIDENCES, allow_null=True)


class WaveSerializer(serializers.Serializer[Any]):
    began_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField(help_text="The last arrival that was seen.")
    arrivals = serializers.IntegerField()
    by_value = serializers.BooleanField(
        help_text="Whether tags or versions tell that all are of one change; else Events and time do."
    )


class KeySerializer(serializers.Serializer[Any]):
    """A key at a provider that several clusters read."""

    address = serializers.CharField()
    keys = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_blank=True)),
        help_text="Key and property by their names. Several where the same resources read them together.",
    )
    path = serializers.CharField(help_text="Where the provider is; empty if its stores do not tell.", allow_blank=True)
    clusters = serializers.ListField(child=serializers.CharField())
    under_way = serializers.BooleanField(help_text="Some have an older value still, or may pick up the new one yet.")
    took_seconds = serializers.IntegerField(allow_null=True, help_text="The newest wave, so far if it is under way.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Readers by standing.")
    newest = WaveSerializer(allow_null=True)


class KeyDetailSerializer(KeySerializer):
    readers = ReaderSerializer(many=True)
    earlier = WaveSerializer(many=True, help_text="The waves before, newest first.")
    as_of = serializers.DateTimeField()
    coverage = CoverageSerializer()


class KeysSerializer(serializers.Serializer[Any]):
    results = KeySerializer(many=True)
    as_of = serializers.DateTimeField()
    coverage = CoverageSerializer()


class WaveList(ApiView):
    """Keys that several clusters read, at most 100: those with a wave under way first, then the newest.

    Without a filter these are keys that rotated in the last 30 days. There are no pages.
    """

    takes_parameters = True

    @extend_schema(
        operation_id="listWaves",
        tags=["waves"],
        parameters=[described(parameter) for parameter in WAVE_PARAMETERS],
        responses={200: KeysSerializer, 400: WRONG},
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        rows = key_rows(parse_waves(request.query_params), now)
        answer = {"results": [_key(row) for row in rows], "as_of": now, "coverage": queries.coverage(now)}
        return Response(KeysSerializer(answer).data)


class WaveDetail(ApiView):
    """One key: who reads it, and who picked up its newest value when."""

    @extend_schema(operation_id="getWave", tags=["waves"], responses=KeyDetailSerializer)
    def get(self, request: Request, source: str, digest: str) -> Response:
        now = timezone.now()
        named = SOURCE_FORM.fullmatch(source) and DIGEST_FORM.fullmatch(digest)
        row = key_row(source, digest, now) if named else None
        if row is None:
            raise NotFound("Nothing that we can see reads this key now.")
        answer = {
            **_key(row),
            "readers": [_reader(reader, row) for reader in row.readers],
            "earlier": [_wave(wave) for wave in row.waves[1:]],
            "as_of": now,
            "coverage": queries.coverage(now),
        }
        return Response(KeyDetailSerializer(answer).data)


def _key(row: KeyRow) -> dict[str, Any]:
    return {
        "address": _address(row.key),
        "keys": [list(name) for name in row.names],
        "path": row.path,
        "clusters": list(row.clusters),
        "under_way": row.under_way,
        "took_seconds": None if row.took is None else int(row.took.total_seconds()),
        "counts": {standing.value: number for standing in Standing if (number := row.count(standing))},
        "newest": _wave(row.waves[0]) if row.waves else None,
    }


def _wave(wave: Wave) -> dict[str, Any]:
    return {
        "began_at": wave.began_at,
        "last_at": wave.last_at,
        "arrivals": len(wave.arrivals),
        "by_value": wave.by_value,
    }


def _reader(reader: WaveReader, row: KeyRow) -> dict[str, Any]:
    standing, arrival = row.standings.get(reader.reader.id), row.arrivals.get(reader.reader.id)
    return {
        "resource": reader.reader.id,
        "cluster": reader.cluster,
        **reader.key._asdict(),
        "health": reader.health,
        "standing": standing.value if standing else None,
        **_arrival(arrival, row.waves[0] if row.waves else None),
    }


def _arrival(arrival: Arrival | None, wave: Wave | None) -> dict[str, Any]:
    if arrival is None or wave is None:
        return dict.fromkeys(("arrived_at", "delay_seconds", "how", "confidence"))
    return {
        "arrived_at": arrival.pickup.at,
        "delay_seconds": int((arrival.pickup.at - wave.began_at).total_seconds()),
        "how": arrival.how.value,
        "confidence": Confidence(arrival.pickup.confidence).name.lower(),
    }
