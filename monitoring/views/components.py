"""Every component in every state on one page, for whoever changes the style sheets. Nothing here is real."""

from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from monitoring import charts
from monitoring.families import FAMILIES
from monitoring.filters import WrongParameter
from monitoring.health import WORST_FIRST, Health, Severity
from monitoring.queries import Cause, Cell, Coverage, Silent, Unreadable
from monitoring.rules.base import Finding
from monitoring.timelines import runs, stretches
from monitoring.views.page import page

HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}txet desrever"
LONG = "a-namespace-with-a-very-long-name-that-goes-on/" + "a-name-that-does-not-end-either-" * 4


@page
def components(request: HttpRequest, now: datetime) -> HttpResponse:
    if not (settings.DEBUG or request.user.is_staff):
        raise Http404("This page is for whoever works on the style sheets.")
    start = now - timedelta(days=5)
    marks = [(start + timedelta(hours=18 * place), health) for place, health in enumerate(WORST_FIRST)]
    due = now - timedelta(hours=20)
    context = {
        "now": now,
        "healths": WORST_FIRST,
        "totals": [
            (health, count, "") for health, count in zip(WORST_FIRST, (415, 102, 0, 4, 263, 61204), strict=True)
        ],
        "coverages": _coverages(now),
        "lines": _lines(now),
        "cells": [Cell(FAMILIES[0], health, 12, 140) for health in WORST_FIRST]
        + [Cell(FAMILIES[0], None, note=note) for note in ("not installed", "may not read", "not read yet", "none")],
        "findings": [_finding(health) for health in WORST_FIRST],
        "texts": (LONG, HOSTILE),
        "moments": [now - timedelta(seconds=seconds) for seconds in (5, 720, 17_820, 100_000, 9_000_000, 40_000_000)],
        "dues": (now + timedelta(minutes=39), now - timedelta(minutes=12)),
        "figure": charts.timeline(start, now, stretches(marks, start, now), due - timedelta(hours=1), due),
        "chips": [("health", "not healthy", "#"), ("cluster", "prod-*, stg-*", "#"), ("q", LONG, "#")],
        "strips": [runs(stretches(marks, start, now), start, now, 50), runs([], start, now, 50)],
        "command": f"kubectl --context prod-eu -n payments describe externalsecret/{LONG}",
        "error": WrongParameter("health", "'purple' is not one of the allowed values", ("stale", "failing")),
    }
    return render(request, "monitoring/components.html", context)


def _coverages(now: datetime) -> list[Coverage]:
    silent = (
        Silent("prod-ap", now - timedelta(minutes=41), "unreachable"),
        Silent("edge-7", None, "waiting for its first collection"),
        Silent("edge-8", now - timedelta(days=2), "not readable (credential rejected)"),
        Silent("edge-9", now - timedelta(days=2), "not read"),
    )
    unreadable = (
        Unreadable("SecretProviderClassPodStatus", "forbidden", ("stg-us",)),
        Unreadable("SealedSecret", "failed", ("stg-us", "stg-eu")),
    )
    oldest = now - timedelta(seconds=48)
    return [
        Coverage(now, 0, 0, None, (), ()),
        Coverage(now, 1, 1, oldest, (), ()),
        Coverage(now, 40, 36, oldest, silent, unreadable, switched_off=2),
    ]


def _finding(health: Health) -> Finding:
    return Finding(
        rule="example-rule",
        severity=Severity.WARNING,
        health=health,
        summary="Not refreshed since 24 Nov 09:10 UTC; it should refresh every hour.",
        cause=HOSTILE,
        hint="Look at the external-secrets pod first.",
    )


def _lines(now: datetime) -> list[Cause]:
    return [
        Cause(
            signature="0" * 16,
            health=health,
            headline="Refresh fails",
            count=count,
            names=tuple(f"prod-{number}" for number in range(min(count, 6))),
            since=now - timedelta(minutes=15),
            finding=_finding(health),
            subject=LONG if count == 1 else "",
            kinds=("ExternalSecret",),
            silent=health is Health.STALE,
        )
        for health, count in ((Health.FAILING, 412), (Health.STALE, 88), (Health.AT_RISK, 1), (Health.UNKNOWN, 2))
    ]
