"""One line per cause over all clusters, and one cause with the rows behind it."""

from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from monitoring import commands, queries
from monitoring.families import FAMILIES
from monitoring.filters import (
    AT,
    CAUSE_PARAMETERS,
    HEALTH_CODES,
    NOT_HEALTHY,
    SIGNATURE_FORM,
    ResourceFilters,
    parse_causes,
    parse_limit,
    refuse_unknown,
)
from monitoring.health import Health
from monitoring.queries import past
from monitoring.rules.causes import TITLES
from monitoring.templatetags.pages import with_query
from monitoring.views.page import live, of_moment, page, past_moment

NEEDS_SOMEONE = (Health.FAILING, Health.STALE, Health.AT_RISK)  # as a line counts them: what we cannot see is left out
ROWS, MOST_ROWS = 50, 200
API_PATH = "/api/v1/causes/"


@page
def causes(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_causes(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    at, ids, cursor = past_moment(query, now), queries.ids_of(filters.clusters), query.get("cursor", "")
    found = past.causes(filters, at, now, cursor, limit) if at else queries.causes(filters, now, cursor, limit)
    kept = {
        name: values for name, *_ in CAUSE_PARAMETERS if (values := [value for value in query.getlist(name) if value])
    }
    context = {
        "coverage": past.coverage(at, now, ids) if at else queries.coverage(now, ids),
        "found": found,
        "values": {name: ",".join(kept.get(name, ())) for name, *_ in CAUSE_PARAMETERS},
        "healths": [(code, code.replace("_", " ").capitalize()) for code in HEALTH_CODES if code != NOT_HEALTHY],
        "kinds": [(family.word, family.kinds) for family in FAMILIES],
        "classes": sorted(TITLES.items(), key=lambda item: item[1]),
        "chips": [
            (name, _words(name, values), with_query(reverse("causes"), {key: kept[key] for key in kept if key != name}))
            for name, values in kept.items()
            if name != AT.name
        ],
        "next": with_query(reverse("causes"), {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(reverse("causes"), kept) if query.get("cursor") else "",
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return of_moment(request, "monitoring/causes.html", now, context, at)


def _words(name: str, values: list[str]) -> str:
    if name == "cause_class":
        return ", ".join(TITLES.get(part, part) for value in values for part in value.split(","))
    return ", ".join(values)


@page
def cause(request: HttpRequest, now: datetime, signature: str) -> HttpResponse:
    """What one cause brought about. A cause that is over has no page any more, but transitions."""
    refuse_unknown(request.GET, ())
    limit = parse_limit(request.GET, default=ROWS, maximum=MOST_ROWS)
    found = queries.cause(signature, now) if SIGNATURE_FORM.fullmatch(signature) else None
    if found is None:
        raise Http404("Nothing that we can see suffers from this cause now: it is over, or its clusters do not report.")
    cursor = request.GET.get("cursor", "")
    counted = ResourceFilters(signatures=(signature,), healths=frozenset(NEEDS_SOMEONE))
    rows = queries.resources(counted, now, cursor, limit)
    context = {
        "coverage": queries.coverage(now),
        "line": found,
        "by_cluster": queries.cause_by_cluster(signature, now),
        "rows": list(zip(rows.rows, queries.strips(rows.rows, now), strict=True)),
        "next": with_query(reverse("cause", args=[signature]), {"cursor": rows.next}) if rows.next else "",
        "start": reverse("cause", args=[signature]) if cursor else "",
        "api_path": f"{API_PATH}{signature}/",
    }
    return live(request, "monitoring/cause.html", now, context)
