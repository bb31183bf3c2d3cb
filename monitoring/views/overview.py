"""The first page: is it us, how wide, since when."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse

from monitoring import queries, words
from monitoring.filters import AT, TransitionFilters, refuse_unknown
from monitoring.health import Health
from monitoring.queries import Cause, ClusterRow, Coverage, FamilyRow, Page, past
from monitoring.views import trends
from monitoring.views.page import of_moment, page, past_moment

CLUSTERS_SHOWN, CHANGES_SHOWN = 12, 8


@page
def overview(request: HttpRequest, now: datetime) -> HttpResponse:
    refuse_unknown(request.GET, (trends.PARAMETER, AT))
    at = past_moment(request.GET, now)
    seen, families, (problems, more), clusters = _of_then(at, now) if at else _of_now(now)
    totals = queries.health_totals(now, families)
    context = {
        "coverage": seen,
        "sentence": sentence(problems, more, seen, sum(totals.values()), past=at is not None),
        "totals": [(health, count, _share(health, count, totals)) for health, count in totals.items()],
        "problems": problems,
        "more_problems": more,
        "trend": trends.panel(request.GET, at or now, over=at is not None),
        "families": families,
        "clusters": clusters,
        "changes": queries.transitions(TransitionFilters(), limit=CHANGES_SHOWN, at=at).rows,
    }
    return of_moment(request, "monitoring/overview.html", now, context, at)


# What one moment shows: coverage, families, what needs someone (and whether there is more), the worst clusters.
Shown = tuple[Coverage, tuple[FamilyRow, ...], tuple[tuple[Cause, ...], bool], Page[ClusterRow]]


def _of_now(now: datetime) -> Shown:
    overdue, seen = queries.overdue_pairs(now), queries.coverage(now)
    problems = queries.needs_someone(now, overdue, seen=seen)
    clusters = queries.cluster_rows(now, overdue, limit=CLUSTERS_SHOWN)
    return seen, queries.family_totals(now, overdue), problems, clusters


def _of_then(at: datetime, now: datetime) -> Shown:
    seen, held = past.coverage(at, now), past.counts(at)
    clusters = past.cluster_rows(at, now, held=held, limit=CLUSTERS_SHOWN)
    return seen, past.family_totals(at, now, held), past.needs_someone(at, now, seen=seen), clusters


def _share(health: Health, count: int, totals: dict[Health, int]) -> str:
    """The small line below a count: how much of what is known is healthy. Rounded down: 99.96 % is not 100 %."""
    known = sum(totals.values()) - totals[Health.UNKNOWN]
    if health is not Health.HEALTHY or not known:
        return ""
    thousandths = count * 1000 // known
    return f"{thousandths / 10:g}{words.NBSP}% of known"


def sentence(problems: tuple[Cause, ...], more: bool, seen: Coverage, resources: int, *, past: bool = False) -> str:
    """The state of the fleet in plain words; `past`: at a moment that is over."""
    if not seen.clusters:
        return "Every cluster is switched off." if seen.switched_off else "No cluster is registered yet."
    if not seen.reporting:
        return "No cluster reported, so nothing is known." if past else "No cluster reports, so nothing is known now."
    if not problems:
        if not seen.complete:
            return "Nothing needs someone among what we can see."
        return "Nothing needs someone." if resources else "Nothing to watch: no cluster has a resource of a known kind."
    told = [line for line in problems if not line.about_silence]
    unseen = _unseen(seen)
    if not told:
        return f"{unseen}Nothing needs someone among what we can see."
    silent = sum(1 for line in told if line.silent)
    return f"{unseen}{_how_many(len(told), more)}{_unreported(silent, len(told))}"


def _unseen(seen: Coverage) -> str:
    """An outage of ours or theirs makes counts look calm, so it is said first."""
    lost = sum(1 for cluster in seen.silent if cluster.since)  # the others wait for their first collection
    return f"{words.number(lost)} of {words.counted(seen.clusters, 'cluster')} cannot be seen. " if lost else ""


def _how_many(number: int, more: bool) -> str:
    if more:
        return (
            f"More than {words.SMALL[number].lower() if number < len(words.SMALL) else number} problems need someone."
        )
    word = words.SMALL[number] if number < len(words.SMALL) else words.number(number)
    return f"{word} problem{' needs' if number == 1 else 's need'} someone."


def _unreported(silent: int, number: int) -> str:
    if not silent:
        return ""
    if number == 1:
        return " It looks healthy to its controller."
    word = words.SMALL[silent] if silent < len(words.SMALL) else words.number(silent)
    looks = "looks healthy to its controller" if silent == 1 else "look healthy to their controllers"
    return f" {word} of them {looks}."
