"""Advice about specs, one line per rule: never part of health, never in the counts of the overview."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse

from monitoring import queries
from monitoring.filters import refuse_unknown
from monitoring.views.page import live, page


@page
def lints(request: HttpRequest, now: datetime) -> HttpResponse:
    refuse_unknown(request.GET, ())
    context = {"coverage": queries.coverage(now), "lints": queries.lints()}
    return live(request, "monitoring/lints.html", now, context)
