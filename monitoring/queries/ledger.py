"""The rotation ledger as pages and the API show it: its rows, how many there were on each day, and all of one resource.

Rotations are told by the clock of each cluster's controllers. Every function makes a constant number of statements.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Min, OuterRef, Subquery

from clusters.facts import ResourceKey
from clusters.models import Cluster
from monitoring.filters.rotations import LedgerFilters
from monitoring.models import Rotation, Transition
from monitoring.queries import past
from monitoring.queries.paging import Page, decode_moment, encode
from monitoring.queries.resources import JudgedResource, ids_of
from monitoring.queries.rows import fetch
from monitoring.rotation.base import Confidence, Source

WEEKS = 13
# Where counting a day stops: a year with 3,000,000 rotations has 8,200 a day, and this keeps the calendar at 15 ms.
MOST_A_DAY = 1000
MOST_EXPORTED = 100_000
EXPORT_CHUNK = 2000
MOST_OF_ONE = 10

# Each kind and each confidence have sources of their own, by which an index finds their rows.
OF_KIND = {
    "ExternalSecret": {Source.TARGET, Source.UPDATED, Source.WRITTEN},
    "SealedSecret": {Source.RESEALED},
    "SecretProviderClass": {Source.MOUNT},
    "SealingKey": {Source.RENEWED},
}
OF_CONFIDENCE = {
    Confidence.PROVED: {Source.TARGET, Source.MOUNT, Source.RENEWED},
    Confidence.LIKELY: {Source.UPDATED, Source.WRITTEN},
    Confidence.INFERRED: {Source.RESEALED},
}
CONDITIONS = {
    "clusters": "r.cluster_id = ANY(%(clusters)s)",
    "kinds": "r.kind = ANY(%(kinds)s)",
    "namespaces": "r.namespace = ANY(%(namespaces)s)",
    "names": "r.name = ANY(%(names)s)",
    "q": "r.namespace || '/' || r.name ~* %(q)s",
    "confidences": "r.confidence = ANY(%(confidences)s)",
    "sources": "r.source = ANY(%(sources)s)",
    "since": "r.at >= %(since)s",
    "until": "r.at < %(until)s",
    "known_at": "r.at <= %(known_at)s AND r.seen_at <= %(known_at)s",
    "last": "(r.at, r.id) < (%(last_at)s, %(last_id)s)",
}

# The page is cut first, so that names are looked up for its rows alone; the name as a range of one: see
# monitoring.queries.waves.
ROWS = """
SELECT r.id, r.at, r.seen_at, c.name, r.kind, r.namespace, r.name, r.object, r.confidence, r.source, r.before, r.after,
    o.id
FROM (
    SELECT r.* FROM monitoring_rotation r WHERE {conditions} ORDER BY r.at DESC, r.id DESC LIMIT %(limit)s
) r JOIN clusters_cluster c ON c.id = r.cluster_id
LEFT JOIN monitoring_resource o ON (o.cluster_id, o.kind, o.namespace) = (r.cluster_id, r.kind, r.namespace)
    AND o.name BETWEEN r.name AND r.name
ORDER BY r.at DESC, r.id DESC
"""

DAYS = """
SELECT d.day::date, n.number FROM generate_series(%(first)s::timestamp, %(last_day)s::timestamp, '1 day') AS d(day)
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (
        SELECT FROM monitoring_rotation r
        WHERE r.at >= d.day AT TIME ZONE 'UTC' AND r.at < (d.day + interval '1 day') AT TIME ZONE 'UTC' AND {conditions}
        LIMIT %(most)s
    ) counted
) n ORDER BY 1
"""

# Few rows fit, and an index finds them all: counting each day by itself would read them once for every day.
DAYS_OF_FEW = """
SELECT d.day::date, least(count(n.at), %(most)s)
FROM generate_series(%(first)s::timestamp, %(last_day)s::timestamp, '1 day') AS d(day)
LEFT JOIN (
    SELECT r.at AT TIME ZONE 'UTC' AS at FROM monitoring_rotation r
    WHERE r.at >= %(first)s::timestamp AT TIME ZONE 'UTC' AND {conditions}
) n ON date_trunc('day', n.at) = d.day
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """A row of the ledger. `resource_id` is None where the resource is not there any more.

    `name` may be "" for a renewal that a certificate alone told of. See monitoring.models.Rotation for the rest.
    """

    id: int
    at: datetime
    seen_at: datetime
    cluster: str
    key: ResourceKey
    object: str
    confidence: Confidence
    source: Source
    before: str
    after: str
    resource_id: int | None

    @property
    def full_name(self) -> str:
        return "/".join(filter(None, self.key[1:]))


@dataclass(frozen=True)
class Day:
    """How many rotations a day (in UTC) had; counting stops at MOST_A_DAY. Not `known`: it lies before our records."""

    date: date
    number: int
    known: bool = True

    @property
    def exact(self) -> bool:
        return self.number < MOST_A_DAY


def ledger(filters: LedgerFilters, cursor: str = "", limit: int = 50, *, at: datetime | None = None) -> Page[LedgerRow]:
    """Rotations and renewals (until `at`), newest first. At most two SQL statements. Raises WrongParameter."""
    params = _params(filters, at)
    if cursor:
        params |= _after(*decode_moment(cursor))
    found = _rows(params, limit + 1)
    rows = tuple(found[:limit])
    return Page(rows, encode((rows[-1].at, rows[-1].id)) if len(found) > limit else "")


def export(filters: LedgerFilters, *, at: datetime | None = None, chunk: int = EXPORT_CHUNK) -> Iterator[LedgerRow]:
    """All rows (until `at`), newest first, at most MOST_EXPORTED; read in parts, so that no connection is held open.

    Raises WrongParameter before the first row, when it is called.
    """
    return _exported(_params(filters, at), chunk)


def _exported(params: dict[str, Any], chunk: int) -> Iterator[LedgerRow]:
    left = MOST_EXPORTED
    while left > 0:
        found = _rows(params, min(chunk, left))
        yield from found
        left -= len(found)
        if len(found) < chunk:
            return
        params = {**params, **_after(found[-1].at, found[-1].id)}


def calendar(filters: LedgerFilters, now: datetime, *, at: datetime | None = None) -> tuple[Day, ...]:
    """The days of the last 13 weeks, of which the first begins on a Monday. At most four SQL statements.

    A day is known from the first record of the chosen clusters on, or if something tells of it. The filters' own
    moments do not count: the days of the calendar are what one chooses them by.
    """
    today = (at or now).astimezone(UTC).date()
    params = _params(replace(filters, since=None, until=None), at)
    first = today - timedelta(days=today.weekday(), weeks=WEEKS - 1)
    sql = DAYS_OF_FEW if filters.namespaces or filters.names or filters.q else DAYS
    rows = _fetch(sql, {**params, "first": first, "last_day": today, "most": MOST_A_DAY})
    known_from = _known_from(ids_of(filters.clusters))
    return tuple(Day(day, number, number > 0 or (known_from is not None and day >= known_from)) for day, number in rows)


def check(since: datetime | None) -> None:
    """Raises WrongParameter for a beginning that lies on an earlier day than all that is known. Two SQL statements."""
    told = Rotation.objects.order_by("at").values_list("at", flat=True).first() if since else None
    if since and (told is None or since.date() < told.astimezone(UTC).date()):
        past.check(since, "from")


def _known_from(ids: list[int] | None) -> date | None:
    """The day of the first record of any cluster, or of any of these."""
    if ids is None:
        first = past.first_record()
    else:
        records = Transition.objects.filter(cluster=OuterRef("pk"), turned=True).order_by("at").values("at")[:1]
        first = Cluster.objects.filter(pk__in=ids).aggregate(first=Min(Subquery(records)))["first"]
    return first.astimezone(UTC).date() if first else None


def rotations_of(resource: JudgedResource, limit: int = MOST_OF_ONE) -> tuple[LedgerRow, ...]:
    """The last rotations of one resource, newest first, one of a kind that rotates. One SQL statement."""
    row = resource.row
    chosen = {
        "clusters": [row.cluster_id],
        "kinds": [row.kind],
        "namespaces": [row.namespace],
        "names": [row.name],
    }
    return tuple(_rows(chosen, limit))


def _params(filters: LedgerFilters, at: datetime | None) -> dict[str, Any]:
    chosen = {
        "clusters": ids_of(filters.clusters),
        "kinds": list(filters.kinds),
        "namespaces": list(filters.namespaces),
        "names": list(filters.names),
        "q": re.escape(filters.q),
        "confidences": [int(confidence) for confidence in filters.confidences],
        "sources": _sources(filters),
        "since": filters.since,
        "until": filters.until,
        "known_at": at,
    }
    # What fits none must find nothing, not everything.
    strict = ("clusters", "sources")
    return {name: value for name, value in chosen.items() if value or (name in strict and value is not None)}


def _sources(filters: LedgerFilters) -> list[str] | None:
    """Those that the filters leave; None for all."""
    left = set(Source)
    if filters.sources:
        left &= {Source(source) for source in filters.sources}
    if filters.kinds:
        left &= set().union(*(OF_KIND[kind] for kind in filters.kinds))
    if filters.confidences:
        left &= set().union(*(OF_CONFIDENCE[confidence] for confidence in filters.confidences))
    return None if len(left) == len(Source) else sorted(left)


def _after(last_at: datetime, last_id: int) -> dict[str, Any]:
    return {"last": True, "last_at": last_at, "last_id": last_id}


def _rows(params: dict[str, Any], limit: int) -> list[LedgerRow]:
    return [_row(*row) for row in _fetch(ROWS, {**params, "limit": limit})]


def _row(*row: Any) -> LedgerRow:
    number, at, seen_at, cluster, kind, namespace, name, place, confidence, source, before, after, resource_id = row
    return LedgerRow(
        id=number,
        at=at,
        seen_at=seen_at,
        cluster=cluster,
        key=ResourceKey(kind, namespace, name),
        object=place,
        confidence=Confidence(confidence),
        source=Source(source),
        before=before,
        after=after,
        resource_id=resource_id,
    )


def _fetch(sql: str, params: dict[str, Any]) -> list[Any]:
    conditions = " AND ".join(text for name, text in CONDITIONS.items() if name in params) or "true"
    return fetch(sql.format(conditions=conditions), params)
