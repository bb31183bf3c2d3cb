"""The list of resources with its filters, and one resource in detail."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from monitoring import charts, commands, queries, sentences
from monitoring.families import FAMILIES, JUDGED_KINDS
from monitoring.filters import (
    HEALTH_CODES,
    NOT_HEALTHY,
    RESOURCE_PARAMETERS,
    WrongParameter,
    parse_limit,
    parse_resources,
)
from monitoring.health import Health
from monitoring.templatetags.pages import with_query
from monitoring.views.page import live, page

ROWS, MOST_ROWS = 50, 200
HIDDEN = ("name", "finding", "signature", "cause_class", "lint")  # filters without a field of their own
API_PATH = "/api/v1/resources/"
WINDOWS = {"5d": (timedelta(days=5), "5 d"), "30d": (timedelta(days=30), "30 d"), "1y": (timedelta(days=365), "1 y")}


@page
def resources(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_resources(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    cursor = query.get("cursor", "")
    found = queries.resources(filters, now, cursor, limit)
    context = {
        "coverage": queries.coverage(now, queries.ids_of(filters.clusters)),
        "found": found,
        "rows": list(zip(found.rows, queries.strips(found.rows, now), strict=True)),
        "count": queries.count_resources(filters, now),
        "first_page": not cursor,
        "form": _form(query),
        "chips": list(_chips(query)),
        "next": _link(request.path, query, cursor=found.next) if found.next else "",
        "start": _link(request.path, query),
        "api_call": _api_call(request),
    }
    return live(request, "monitoring/resources.html", now, context)


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
        if values:
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
    found = queries.resource(resource_id, now)
    if found is None:
        raise Http404("There is no such resource. It was removed from its cluster, or never existed.")
    window = request.GET.get("window") or "5d"
    if window not in WINDOWS:
        raise WrongParameter("window", f"{window[:40]!r} is not one of the allowed values", tuple(WINDOWS))
    line = queries.timeline(found, now, WINDOWS[window][0])
    dependents, dependent_count = queries.referred_by(found, now)
    happened = queries.events(found)
    sharing = queries.sharing(found.row.signature, now)
    context = {
        "resource": found,
        "sentence": sentences.about(found),
        "sharing": sharing,
        "others": sharing - 1,
        "facts": sentences.facts(found),
        "timeline": line,
        "figure": charts.timeline(line.start, line.end, line.stretches, line.refreshed_at, line.due_at),
        "windows": [(code, word, code == window) for code, (_, word) in WINDOWS.items()],
        "window_word": WINDOWS[window][1],
        "happened": sentences.happened(line.changes, happened),
        "refers_to": queries.refers_to(found, now),
        "dependents": dependents,
        "dependent_count": dependent_count,
        "store_filter": f"{found.row.kind}/{found.row.name}",
        "commands": commands.look(
            found.row.cluster.name, found.row.kind, found.row.namespace, found.row.name, found.facts
        ),
        "api_path": f"{API_PATH}{found.row.pk}/",
    }
    return live(request, "monitoring/resource.html", now, context)
