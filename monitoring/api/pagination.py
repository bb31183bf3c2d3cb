"""Lists: the envelope around a page of results, and the two parameters that page."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from monitoring import queries
from monitoring.api.serializers import CoverageSerializer, ErrorsSerializer
from monitoring.filters import Parameter, WrongParameter, parse_at, parse_limit
from monitoring.queries import past

DEFAULT_LIMIT, MAX_LIMIT = 50, 500

View = TypeVar("View", bound=Callable[..., Any])


def paging(request: Request) -> dict[str, Any]:
    """`cursor` and `limit` as the functions of monitoring.queries take them. Raises WrongParameter."""
    cursors = request.query_params.getlist("cursor")
    if len(cursors) > 1:
        raise WrongParameter("cursor", "is there more than once")
    limit = parse_limit(request.query_params, default=DEFAULT_LIMIT, maximum=MAX_LIMIT)
    return {"cursor": cursors[0] if cursors else "", "limit": limit}


def past_moment(request: Request, now: datetime) -> datetime | None:
    """The parameter `at`; None for the present. Raises WrongParameter for a moment of which nothing is known."""
    at = parse_at(request.query_params, now)
    if at:
        past.check(at)
    return at


def page_response(
    request: Request,
    page: queries.Page[Any],
    serializer: type[serializers.Serializer[Any]],
    now: datetime,
    clusters: tuple[str, ...] = (),
    at: datetime | None = None,
) -> Response:
    """A page of results in its envelope. `clusters` are the patterns that the list was restricted to.

    `at` is the moment that the results are of, None for the present.
    """
    ids = queries.ids_of(clusters)
    coverage = past.coverage(at, now, ids) if at else queries.coverage(now, ids)
    url = replace_query_param(request.build_absolute_uri(), "cursor", page.next) if page.next else None
    return Response(
        {
            "results": serializer(page.rows, many=True).data,
            "next": url,
            "as_of": serializers.DateTimeField().to_representation(at or now),
            "coverage": CoverageSerializer(coverage).data,
        }
    )


def list_schema(
    name: str,
    item: type[serializers.Serializer[Any]],
    parameters: Iterable[Parameter],
    **more: serializers.Serializer[Any],
) -> Callable[[View], View]:
    """Describes a list to OpenAPI: its filters, the paging parameters, the envelope and what `more` it holds."""
    fields = {
        "results": item(many=True),
        "next": serializers.URLField(allow_null=True, help_text="The following page; null on the last one."),
        "as_of": serializers.DateTimeField(help_text="The moment for which health and freshness are told."),
        "coverage": CoverageSerializer(),
        **more,
    }
    envelope = inline_serializer(f"{name}Page", fields)
    return extend_schema(
        operation_id=f"list{name}s",
        tags=[f"{name.lower()}s"],
        parameters=[*(described(parameter) for parameter in parameters), *_PAGING],
        responses={200: envelope, 400: OpenApiResponse(ErrorsSerializer, "A parameter is wrong or unknown.")},
    )


def described(parameter: Parameter) -> OpenApiParameter:
    many = " May be repeated or hold a comma list; any of the values will do." if parameter.many else ""
    return OpenApiParameter(
        parameter.name,
        {
            "type": "array",
            "items": {"type": "string", **({"enum": list(parameter.allowed)} if parameter.allowed else {})},
        }
        if parameter.many
        else OpenApiTypes.STR,
        description=parameter.description + many,
        explode=True if parameter.many else None,
    )


_PAGING = (
    OpenApiParameter("cursor", OpenApiTypes.STR, description="Where the page begins, from `next` of the page before."),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        description="The most results on a page.",
    ),
)
