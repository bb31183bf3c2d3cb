"""Clusters: what we read and how that goes; registering, changing and removing them takes a staff account."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from clusters import registration
from clusters.entries import ClusterEntry, InvalidField, entry_from_fields
from clusters.kubeconfig import parse
from clusters.models import Cluster
from monitoring import filters, queries
from monitoring.api.base import ApiView
from monitoring.api.pagination import list_schema, page_response, paging, past_moment
from monitoring.api.serializers import (
    ClusterChangeSerializer,
    ClusterDetailSerializer,
    ClusterSerializer,
    DueSerializer,
    ErrorsSerializer,
    RegistrationSerializer,
)
from monitoring.forgetting import forget
from monitoring.models import Lease
from monitoring.queries import past
from monitoring.rejudging import judge_all_again

FIELDS = ("name", "api_url", "ca_pem", "token", "client_certificate", "client_key")
TAGS = ["clusters"]
WRONG = OpenApiResponse(ErrorsSerializer, "A field is wrong or unknown.")


class SwitchedOff(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "Reading this cluster is switched off."


class ClusterList(ApiView):
    """Clusters, worst first."""

    takes_parameters = True

    @list_schema("Cluster", ClusterSerializer, filters.CLUSTER_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        patterns = filters.parse_clusters(request.query_params)
        at, ids, asked = past_moment(request, now), queries.ids_of(patterns), paging(request)
        page = past.cluster_rows(at, now, ids=ids, **asked) if at else queries.cluster_rows(now, ids=ids, **asked)
        return page_response(request, page, ClusterSerializer, now, patterns, at)

    @extend_schema(
        operation_id="registerCluster",
        tags=TAGS,
        request=RegistrationSerializer,
        responses={
            201: ClusterDetailSerializer,
            200: OpenApiResponse(ClusterDetailSerializer, "It was registered already and is replaced."),
            400: WRONG,
            409: OpenApiResponse(ErrorsSerializer, "A cluster of this name is registered already."),
        },
    )
    def post(self, request: Request) -> Response:
        given = _validated(RegistrationSerializer, request)
        entry, now = _entry(given), timezone.now()
        cluster = registration.register(
            entry,
            now=now,
            labels=given.get("labels"),
            interval=given.get("interval_seconds"),
            secret_namespaces=given.get("secret_namespaces"),
            replace=given["replace"],
        )
        created = cluster.created_at == now
        return Response(
            _detail(cluster.name, now),
            status=status.HTTP_201_CREATED if created else status.HTTP_200_OK,
            headers={"Location": reverse("api-cluster", args=[cluster.name])},
        )


class ClusterView(ApiView):
    """One cluster, and how each of its kinds is known."""

    @extend_schema(operation_id="getCluster", tags=TAGS, responses=ClusterDetailSerializer)
    def get(self, request: Request, name: str) -> Response:
        return Response(_detail(name, timezone.now()))

    @extend_schema(
        operation_id="changeCluster",
        tags=TAGS,
        request=ClusterChangeSerializer,
        responses={200: ClusterDetailSerializer, 400: WRONG},
    )
    def patch(self, request: Request, name: str) -> Response:
        given, now = _validated(ClusterChangeSerializer, request), timezone.now()
        cluster = _cluster(name)
        registration.change(
            cluster,
            now=now,
            enabled=given.get("enabled"),
            labels=given.get("labels"),
            interval=given.get("interval_seconds"),
            secret_namespaces=given.get("secret_namespaces"),
        )
        judge_all_again(cluster, now)  # labels choose thresholds, the interval is part of the grace
        return Response(_detail(name, now))

    @extend_schema(
        operation_id="removeCluster",
        tags=TAGS,
        responses={204: OpenApiResponse(description="Removed, with everything that was known of it.")},
    )
    def delete(self, request: Request, name: str) -> Response:
        forget(_cluster(name))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ClusterCollect(ApiView):
    """Have a cluster read with the next dispatch, within seconds."""

    @extend_schema(operation_id="collectCluster", tags=TAGS, request=None, responses={202: DueSerializer})
    def post(self, request: Request, name: str) -> Response:
        cluster, now = _cluster(name), timezone.now()
        if not cluster.enabled:
            raise SwitchedOff
        Lease.objects.filter(cluster=cluster, due_at__gt=now).update(due_at=now)
        return Response(DueSerializer({"due_at": now}).data, status=status.HTTP_202_ACCEPTED)


def _cluster(name: str) -> Cluster:
    found = Cluster.objects.filter(name=name).first()
    if found is None:
        raise NotFound("There is no such cluster.")
    return found


def _detail(name: str, now: datetime) -> Any:
    page = queries.cluster_rows(now, ids=[_cluster(name).pk], limit=1)
    return ClusterDetailSerializer(page.rows[0]).data


def _validated(serializer: type[RegistrationSerializer] | type[ClusterChangeSerializer], request: Request) -> Any:
    found = serializer(data=request.data)
    found.is_valid(raise_exception=True)
    return found.validated_data


def _entry(given: Mapping[str, Any]) -> ClusterEntry:
    """Raises InvalidField or kubeconfig.ParseError."""
    fields = {name: given[name] for name in FIELDS if name in given}
    if "kubeconfig" not in given:
        if "context" in given:
            raise InvalidField("context", "belongs to a kubeconfig")
        for name in ("name", "api_url"):
            if name not in fields:
                raise InvalidField(name, "is needed, or a kubeconfig")
        return entry_from_fields(**fields)
    name = fields.pop("name", None)
    for other in fields:
        raise InvalidField(other, "may not be given beside a kubeconfig")
    return _entry_of_kubeconfig(given["kubeconfig"], given.get("context"), name)


def _entry_of_kubeconfig(text: str, context: str | None, name: str | None) -> ClusterEntry:
    parsed = parse(text, None if context is None else [context], name=name)
    if len(parsed.entries) + len(parsed.refusals) > 1:
        names = ", ".join([*(e.context for e in parsed.entries), *(r.context for r in parsed.refusals)][:20])
        raise InvalidField("context", f"is needed, because there are several: {names}")
    for refused in parsed.refusals:
        raise InvalidField("kubeconfig", refused.reason)
    return parsed.entries[0]
