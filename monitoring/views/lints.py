"""Advice about specs, one line per rule: never part of health, never in the counts of the overview."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse

from monitoring import queries
from monitoring.filters import LINT_PARAMETERS, refuse_unknown
from monitoring.queries import past
from monitoring.views.page import of_moment, page, past_moment


@page
def lints(request: HttpRequest, now: datetime) -> HttpResponse:
    refuse_unknown(request.GET, LINT_PARAMETERS)
    at = past_moment(request.GET, now)
    context = {
        "coverage": past.coverage(at, now) if at else queries.coverage(now),
        "lints": past.lints(at) if at else queries.lints(),
    }
    return of_moment(request, "monitoring/lints.html", now, context, at)
