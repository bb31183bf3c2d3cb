"""All clusters, and how one of them is read."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from clusters.models import Cluster
from monitoring import queries, sentences, words
from monitoring.families import JUDGED_KINDS, OPTIONAL_KINDS
from monitoring.filters import CLUSTER_PARAMETERS, ResourceFilters, parse_resources, refuse_unknown
from monitoring.health import Health
from monitoring.queries import ClusterRow, Unread, past
from monitoring.rules.thresholds import NAMES, of_cluster
from monitoring.rules.thresholds import words as words_of
from monitoring.templatetags.pages import with_query
from monitoring.views import trends
from monitoring.views.page import live, of_moment, page, past_moment

ROWS = 100


@page
def clusters(request: HttpRequest, now: datetime) -> HttpResponse:
    refuse_unknown(request.GET, CLUSTER_PARAMETERS)
    chosen: ResourceFilters = parse_resources(request.GET)
    ids = queries.ids_of(chosen.clusters)
    at, cursor = past_moment(request.GET, now), request.GET.get("cursor", "")
    if at:
        found = past.cluster_rows(at, now, ids=ids, cursor=cursor, limit=ROWS)
    else:
        found = queries.cluster_rows(now, ids=ids, cursor=cursor, limit=ROWS)
    query = {name: ",".join(filter(None, request.GET.getlist(name))) for name in ("cluster", "at")}
    query = {name: value for name, value in query.items() if value}
    context = {
        "coverage": past.coverage(at, now, ids) if at else queries.coverage(now, ids),
        "clusters": found,
        "pattern": query.get("cluster", ""),
        "next": with_query(reverse("clusters"), {**query, "cursor": found.next}) if found.next else "",
    }
    return of_moment(request, "monitoring/clusters.html", now, context, at)


@page
def cluster(request: HttpRequest, now: datetime, name: str) -> HttpResponse:
    refuse_unknown(request.GET, (trends.PARAMETER,))
    detail = queries.cluster_detail(name, now)
    if detail is None:
        raise Http404("No cluster has this name.")
    row = queries.cluster_rows(now, ids=[detail.cluster.pk]).rows[0]
    supporting = [(resource, sentences.supporting(resource)) for resource in detail.supporting]
    context = {
        "detail": detail,
        "row": row,
        "sentence": sentence(row),
        "supporting": supporting,
        "limits": limits(detail.cluster),
        "trend": trends.panel(request.GET, now, [detail.cluster.pk], cluster=name),
        "recoveries": queries.recovery(now, ids=[detail.cluster.pk]),
    }
    return live(request, "monitoring/cluster.html", now, context)


def limits(cluster: Cluster) -> list[tuple[str, str]]:
    """The thresholds in force for a cluster: name and value in words."""
    found = of_cluster(cluster.labels, settings.THRESHOLDS, settings.THRESHOLDS_BY_LABEL)
    return [(name, words_of(found, name)) for name in NAMES]


RIGHTS = "apply deploy/rbac/t0.yaml in this cluster"


def sentence(row: ClusterRow) -> str:
    """What is the matter in a cluster that reports, after the word of its worst health."""
    if not row.installed:
        return "None of the three is installed: External Secrets, Sealed Secrets, Secrets Store CSI driver."
    return " ".join(filter(None, (_of_resources(row), *_not_read(row.unread))))


def _of_resources(row: ClusterRow) -> str:
    unwell = [(health, count) for health, count in row.counts.items() if count and health is not Health.HEALTHY]
    if row.findings and row.findings[0].health == row.worst and not row.counts[row.worst]:
        return row.findings[0].summary
    if unwell:
        parts = [f"{words.number(count)} {health.word.lower()}" for health, count in unwell]
        return f"{words.counted(sum(row.counts.values()), 'resource')}: {', '.join(parts)}."
    total = sum(row.counts.values())
    if total:
        return f"{words.counted(total, 'resource')}, nothing to complain about."
    return "" if row.unread else "It has no resource of a kind that we watch."


def _not_read(unread: tuple[Unread, ...]) -> Iterator[str]:
    """Which kinds we do not know, and what to do about it."""
    forbidden = [kind.kind for kind in unread if kind.forbidden]
    failed = [kind.kind for kind in unread if not kind.forbidden]
    if {*forbidden, *OPTIONAL_KINDS} == set(JUDGED_KINDS):
        yield f"We may not read any kind that we watch: {RIGHTS}."
    elif forbidden:
        yield f"We may not read {words.listed(forbidden)}: {RIGHTS}."
    if failed:
        yield f"{words.listed(failed)} could not be read; the table says why."
