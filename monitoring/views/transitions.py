"""Every recorded change of health, newest first."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from monitoring import queries
from monitoring.filters import AT, TRANSITION_PARAMETERS, parse_limit, parse_transitions
from monitoring.queries import past
from monitoring.templatetags.pages import with_query
from monitoring.views.page import of_moment, page, past_moment

ROWS, MOST_ROWS = 50, 200


@page
def transitions(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_transitions(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    at, ids = past_moment(query, now), queries.ids_of(filters.clusters)
    found = queries.transitions(filters, query.get("cursor", ""), limit, at=at)
    names = [parameter.name for parameter in TRANSITION_PARAMETERS]
    kept = {name: values for name in names if (values := [value for value in query.getlist(name) if value])}
    context = {
        "coverage": past.coverage(at, now, ids) if at else queries.coverage(now, ids),
        "found": found,
        "chips": [
            (
                name,
                ", ".join(values),
                with_query(reverse("transitions"), {key: kept[key] for key in kept if key != name}),
            )
            for name, values in kept.items()
            if name != AT.name
        ],
        "next": with_query(reverse("transitions"), {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(reverse("transitions"), kept) if query.get("cursor") else "",
    }
    return of_moment(request, "monitoring/transitions.html", now, context, at)
