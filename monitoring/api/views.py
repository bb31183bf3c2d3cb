"""What can be read of resources, transitions and collections. Filters and words are those of the pages."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import filters, queries
from monitoring.api.base import ApiView
from monitoring.api.pagination import described, list_schema, page_response, paging, past_moment
from monitoring.api.serializers import (
    CauseDetailSerializer,
    CauseSerializer,
    CollectionSerializer,
    LintSerializer,
    ResourceDetailSerializer,
    ResourceSerializer,
    TransitionSerializer,
)
from monitoring.queries import past


class ResourceList(ApiView):
    """Resources, worst first.

    `?cluster=prod-eu&kind=ExternalSecret&namespace=payments&name=db` finds exactly one, or none.
    """

    takes_parameters = True

    @list_schema("Resource", ResourceSerializer, filters.RESOURCE_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = filters.parse_resources(request.query_params)
        at = past_moment(request, now)
        if at:
            page: queries.Page[Any] = past.resources(chosen, at, now, **paging(request))
        else:
            page = queries.resources(chosen, now, **paging(request))
        return page_response(request, page, ResourceSerializer, now, chosen.clusters, at)


class ResourceDetail(ApiView):
    """One resource with what it refers to and its newest Kubernetes Events."""

    @extend_schema(operation_id="getResource", tags=["resources"], responses=ResourceDetailSerializer)
    def get(self, request: Request, resource_id: int) -> Response:
        found = queries.resource(resource_id, timezone.now()) if resource_id <= filters.MAX_ID else None
        if found is None:
            raise NotFound("There is no such resource.")
        return Response(ResourceDetailSerializer(found).data)


class CauseList(ApiView):
    """One entry per cause over all clusters, worst first: what stops a whole cluster before everything else."""

    takes_parameters = True

    @list_schema("Cause", CauseSerializer, filters.CAUSE_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen = filters.parse_causes(request.query_params)
        at, asked = past_moment(request, now), paging(request)
        page = past.causes(chosen, at, now, **asked) if at else queries.causes(chosen, now, **asked)
        return page_response(request, page, CauseSerializer, now, chosen.clusters, at)


class CauseDetail(ApiView):
    """One cause. Its resources are `/api/v1/resources/?signature=...`. A cause that is over is not found."""

    @extend_schema(operation_id="getCause", tags=["causes"], responses=CauseDetailSerializer)
    def get(self, request: Request, signature: str) -> Response:
        now = timezone.now()
        found = queries.cause(signature, now) if filters.SIGNATURE_FORM.fullmatch(signature) else None
        if found is None:
            raise NotFound(
                "Nothing that we can see suffers from this cause now: it is over, or its clusters do not report."
            )
        by_cluster = [
            {"cluster": name, "resources": number} for name, number in queries.cause_by_cluster(signature, now)
        ]
        return Response({**CauseSerializer(found).data, "by_cluster": by_cluster})


class LintList(ApiView):
    """Advice about specs, by rule. Their resources are `/api/v1/resources/?lint=...`."""

    takes_parameters = True

    @extend_schema(
        operation_id="listLints",
        tags=["lints"],
        parameters=[described(parameter) for parameter in filters.LINT_PARAMETERS],
        responses=LintSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        filters.refuse_unknown(request.query_params, filters.LINT_PARAMETERS)
        at = past_moment(request, timezone.now())
        found = past.lints(at) if at else queries.lints()
        return Response(LintSerializer(instance=found, many=True).data)  # type: ignore[arg-type]


class TransitionList(ApiView):
    """Changes of health, newest first. A transition outlives its resource."""

    takes_parameters = True

    @list_schema("Transition", TransitionSerializer, filters.TRANSITION_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen, at = filters.parse_transitions(request.query_params), past_moment(request, now)
        page = queries.transitions(chosen, **paging(request), at=at)
        return page_response(request, page, TransitionSerializer, now, chosen.clusters, at)


class CollectionList(ApiView):
    """Our attempts to read clusters, newest first."""

    takes_parameters = True

    @list_schema("Collection", CollectionSerializer, filters.COLLECTION_PARAMETERS)
    def get(self, request: Request) -> Response:
        now = timezone.now()
        chosen, at = filters.parse_collections(request.query_params), past_moment(request, now)
        page = queries.collections(chosen, **paging(request), at=at)
        return page_response(request, page, CollectionSerializer, now, chosen.clusters, at)
