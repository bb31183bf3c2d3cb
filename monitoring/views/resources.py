"""The list of resources with its filters, and one resource in detail."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from monitoring import charts, commands, queries, sentences
from monitoring.families import FAMILIES, JUDGED_KINDS
from monitoring.filters import (
    AT,
    HEALTH_CODES,
    NOT_HEALTHY,
    RESOURCE_PARAMETERS,
    WrongParameter,
    parse_limit,
    parse_resources,
)
from monitoring.health import Health
from monitoring.queries import JudgedResource, past
from monitoring.templatetags.pages import with_query
from monitoring.views.page import of_moment, page, past_moment
from monitoring.views.rotations import panel

ROWS, MOST_ROWS = 50, 200
HIDDEN = ("name", "finding", "signature", "cause_class", "lint", "at")  # filters without a field of their own
API_PATH = "/api/v1/resources/"
WINDOWS = {"5d": (timedelta(days=5), "5 d"), "30d": (timedelta(days=30), "30 d"), "1y": (timedelta(days=365), "1 y")}


@page
def resources(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_resources(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    cursor = query.get("cursor", "")
    at, ids = past_moment(query, now), queries.ids_of(filters.clusters)
    found = past.resources(filters, at, now, cursor, limit) if at else queries.resources(filters, now, cursor, limit)
    context = {
        "coverage": past.coverage(at, now, ids) if at else queries.coverage(now, ids),
        "found": found,
        "rows": list(zip(found.rows, queries.strips(found.rows, at or now), strict=True)),
        "count": None if at else queries.count_resources(filters, now),
        "first_page": not cursor,
        "form": _form(query),
        "chips": list(_chips(query)),
        "next": _link(request.path, query, cursor=found.next) if found.next else "",
        "start": _link(request.path, query),
        "api_call": _api_call(request),
    }
    return of_moment(request, "monitoring/resources.html", now, context, at)


def _form(query: QueryDict) -> Mapping[str, Any]:
    """The present values of the filter form; several values of one filter stay one comma list."""
    values = {
        parameter.name: ",".join(filter(None, query.getlist(parameter.name))) for parameter in RESOURCE_PARAMETERS
    }
    healths = [(code, _health_word(code)) for code in (NOT_HEALTHY, *HEALTH_CODES[:-1])]
    kinds = [(family.word, family.kinds) for family in FAMILIES]
    offered = {"", *JUDGED_KINDS, *(",".join(family.kinds) for family in FAMILIES)}
    return {
        "values": values,
        "healths": healths,
        "kinds": kinds,
        "several_healths": values["health"] not in ("", *HEALTH_CODES),
        "hidden": [(name, values[name]) for name in HIDDEN if values[name]],
        "other_kinds": "" if values["kind"] in offered else values["kind"],
    }


def _health_word(code: str) -> str:
    return "Not healthy" if code == NOT_HEALTHY else Health.from_code(code).word


def _chips(query: QueryDict) -> Iterator[tuple[str, str, str]]:
    """Name and value of each filter that is set, and the address without it."""
    for parameter in RESOURCE_PARAMETERS:
        values = [value for value in query.getlist(parameter.name) if value]
        if values and parameter.name != AT.name:
            remaining = query.copy()
            del remaining[parameter.name]
            yield parameter.name, _chip_value(parameter.name, values), _link(reverse("resources"), remaining)


def _chip_value(name: str, values: list[str]) -> str:
    parts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if name == "health":
        return ", ".join(_health_word(part).lower() for part in parts)
    if name == "signature":
        return "one cause"
    return ", ".join(parts)


def _link(path: str, query: QueryDict, **more: str) -> str:
    kept = {name: values for name in query if name != "cursor" and (values := list(filter(None, query.getlist(name))))}
    return with_query(path, {**kept, **more})


def _api_call(request: HttpRequest) -> str:
    return commands.api_call(request.build_absolute_uri(_link(API_PATH, request.GET)))


@page
def resource(request: HttpRequest, now: datetime, resource_id: int) -> HttpResponse:
    at = past_moment(request.GET, now)
    found = past.resource(resource_id, at, now) if at else queries.resource(resource_id, now)
    if found is None:
        gone = "It was removed from its cluster, or never existed."
        raise Http404(f"There is no such resource. {gone}" if at is None else "There was no such resource then.")
    window = request.GET.get("window") or "5d"
    if window not in WINDOWS:
        raise WrongParameter("window", f"{window[:40]!r} is not one of the allowed values", tuple(WINDOWS))
    line = queries.timeline(found, at or now, WINDOWS[window][0])
    context = {
        "resource": found,
        "sentence": sentences.about(found),
        "timeline": line,
        "figure": charts.timeline(line.start, line.end, line.stretches, line.refreshed_at, line.due_at),
        "windows": [(code, word, code == window) for code, (_, word) in WINDOWS.items()],
        "window_word": WINDOWS[window][1],
        "happened": sentences.happened(line.changes, queries.events(found, until=at)),
        "suspects": queries.suspects(found),
        **({} if at else _present(found, now)),
    }
    return of_moment(request, "monitoring/resource.html", now, context, at)


def _present(found: JudgedResource, now: datetime) -> dict[str, Any]:
    """What is known of the present only."""
    dependents, dependent_count = queries.referred_by(found, now)
    sharing = queries.sharing(found.row.signature, now)
    return {
        "sharing": sharing,
        "others": sharing - 1,
        "facts": sentences.facts(found),
        "rotations": panel(found),
        "refers_to": queries.refers_to(found, now),
        "dependents": dependents,
        "dependent_count": dependent_count,
        "store_filter": f"{found.row.kind}/{found.row.name}",
        "commands": commands.look(
            found.row.cluster.name, found.row.kind, found.row.namespace, found.row.name, found.facts
        ),
        "api_path": f"{API_PATH}{found.row.pk}/",
    }
