"""What is not as it was: two moments compared."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from monitoring import commands, queries
from monitoring.filters import DIFF_PARAMETERS, parse_diff, parse_limit, refuse_unknown
from monitoring.queries import diff as query
from monitoring.queries import past
from monitoring.templatetags.pages import with_query, written
from monitoring.views.page import kept_of, live, page

ROWS, MOST_ROWS = 50, 200
API_PATH = "/api/v1/diff/"


@page
def diff(request: HttpRequest, now: datetime) -> HttpResponse:
    """Without moments the page asks for them."""
    asked = request.GET
    if not any(asked.getlist("from")):
        refuse_unknown(asked, DIFF_PARAMETERS)
        return live(request, "monitoring/diff.html", now, {"coverage": queries.coverage(now), "asked": None})
    filters = parse_diff(asked, now)
    past.check(filters.before, "from")
    limit = parse_limit(asked, default=ROWS, maximum=MOST_ROWS)
    found = query.differences(filters, now, asked.get("cursor", ""), limit)
    kept = kept_of(asked, [parameter.name for parameter in DIFF_PARAMETERS])
    # A later page compares the same two moments.
    fixed = {**kept, "to": written(filters.after)}
    context = {
        "coverages": [
            (moment, past.coverage(moment, now, queries.ids_of(filters.clusters)))
            for moment in (filters.before, filters.after)
        ],
        "asked": filters,
        "values": {name: ",".join(kept.get(name, ())) for name, *_ in DIFF_PARAMETERS},
        "found": found,
        "before_query": with_query(reverse("resources"), {"at": written(filters.before)}),
        "after_query": with_query(reverse("resources"), {"at": written(filters.after)}),
        "next": with_query(reverse("diff"), {**fixed, "cursor": found.next}) if found.next else "",
        "start": with_query(reverse("diff"), fixed) if asked.get("cursor") else "",
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, fixed))),
    }
    return live(request, "monitoring/diff.html", now, context)
