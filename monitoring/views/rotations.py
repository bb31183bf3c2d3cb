"""The rotation ledger with its calendar, as a page and as a file, and the rotations of one resource."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from math import ceil, log
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse

from clusters.facts import ReconciledFacts, facts_from_json
from monitoring import commands, queries, words
from monitoring.filters import parse_limit
from monitoring.filters.rotations import (
    CONFIDENCES,
    FORMAT,
    LEDGER_KINDS,
    LEDGER_PARAMETERS,
    ROTATING_KINDS,
    SOURCES,
    LedgerFilters,
    parse_ledger,
)
from monitoring.queries import JudgedResource, past
from monitoring.queries.ledger import MOST_A_DAY, Day, LedgerRow, calendar, check, export, ledger, rotations_of
from monitoring.queries.provider_keys import ProviderKey, keys_of
from monitoring.queries.rotations import Reached, reached
from monitoring.rotation import policy
from monitoring.rotation.base import Confidence, Source
from monitoring.templatetags.pages import with_query
from monitoring.views.files import csv_file, is_file
from monitoring.views.page import kept_of, of_moment, page, past_moment

ROWS, MOST_ROWS = 50, 200
LEVELS = 4
HIDDEN = ("name", "at")  # filters without a field of their own
API_PATH = "/api/v1/rotations/"
# Shape and word; health alone has colours.
SIGNS = {Confidence.PROVED: "●", Confidence.LIKELY: "◐", Confidence.INFERRED: "○"}
HOW = {
    Source.TARGET: "the hash of the target's data changed",
    Source.UPDATED: "External Secrets reported that it wrote the target",
    Source.WRITTEN: "External Secrets wrote the target, of whose data no hash is known",
    Source.MOUNT: "a mount changed to another version",
    Source.RESEALED: "sealed anew, and unsealed since",
    Source.RENEWED: "a sealing key was renewed",
}
ROTATIONS = ",".join(source for source in SOURCES if source != Source.RENEWED)
CSV_COLUMNS = (
    *("id", "at", "seen_at", "cluster", "kind", "namespace", "name", "object"),
    *("confidence", "source", "before", "after", "resource"),
)


class Line(NamedTuple):
    """A row of the ledger in words.

    `wave` is where its wave is, "" where nothing tells who else reads the key; `far` how many mounts it reached by now.
    """

    row: LedgerRow
    sign: str
    confidence: str
    how: str
    wave: str
    far: str


@page
def rotations(request: HttpRequest, now: datetime) -> HttpResponse | StreamingHttpResponse:
    query = request.GET
    filters, as_file = parse_ledger(query, now, FORMAT), is_file(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    at, ids, cursor = past_moment(query, now), queries.ids_of(filters.clusters), query.get("cursor", "")
    check(filters.since)
    if as_file:
        rows = map(_cells, export(filters, at=at))
        return csv_file(f"rotations-{at or now:%Y-%m-%d}", CSV_COLUMNS, rows)
    found = ledger(filters, cursor, limit, at=at)
    days = calendar(filters, now, at=at)
    kept = kept_of(query, [parameter.name for parameter in LEDGER_PARAMETERS])
    path = reverse("rotations")
    context = {
        "coverage": past.coverage(at, now, ids) if at else queries.coverage(now, ids),
        "found": found,
        "lines": lines(found.rows, None if at else now),
        "sentence": _sentence(days, filters),
        "months": _months(days),
        "weeks": list(_weeks(days, kept, path)),
        "capped": not all(day.exact for day in days),
        "most_a_day": MOST_A_DAY,
        "values": {parameter.name: ",".join(kept.get(parameter.name, ())) for parameter in LEDGER_PARAMETERS},
        "kinds": LEDGER_KINDS,
        "confidences": CONFIDENCES,
        "sources": [(ROTATIONS, "no renewals of sealing keys"), *((source, HOW[Source(source)]) for source in SOURCES)],
        "hidden": [(name, ",".join(kept[name])) for name in HIDDEN if name in kept],
        "chips": chips_of(path, kept),
        "next": with_query(path, {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(path, kept) if cursor else "",
        "file": with_query(path, {**kept, "format": "csv"}),
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return of_moment(request, "monitoring/rotations.html", now, context, at)


def _sentence(days: Sequence[Day], filters: LedgerFilters) -> str:
    number = sum(day.number for day in days)
    count = words.counted(number, "rotation") if number else "No rotation"
    more = "" if all(day.exact for day in days) else "More than "
    renewals = ", renewals of sealing keys included" if not filters.sources or Source.RENEWED in filters.sources else ""
    known = sum(day.known for day in days)
    when = "the last 13 weeks" if known == len(days) else f"the {words.counted(known, 'day')} that we know of"
    return f"{more}{count} in {when}{renewals if number else ''}."


def chips_of(path: str, kept: Mapping[str, list[str]]) -> list[tuple[str, str, str]]:
    return [
        (name, ", ".join(values), with_query(path, {key: kept[key] for key in kept if key != name}))
        for name, values in kept.items()
    ]


class Square(NamedTuple):
    """A day of the calendar. `level` is 0 for none to LEVELS for most. It leads nowhere before our first record."""

    day: Day
    level: int
    link: str
    label: str


def _months(days: Sequence[Day]) -> list[str]:
    """The month of each week, where it is another than that of the week before."""
    names = [f"{day.date:%b}" for day in days[::7]]
    return [name if name != before else "" for before, name in zip(["", *names], names, strict=False)]


def _weeks(days: Sequence[Day], kept: Mapping[str, list[str]], path: str) -> Iterator[tuple[str, list[Square | None]]]:
    """One row for each day of the week, with a square for each week; none where the day is yet to come."""
    most = max((day.number for day in days), default=0)
    squares: list[Square | None] = [_square(day, most, kept, path, is_last=day is days[-1]) for day in days]
    squares += [None] * (-len(squares) % 7)
    for place, word in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")):
        yield word, squares[place::7]


def _square(day: Day, most: int, kept: Mapping[str, list[str]], path: str, *, is_last: bool) -> Square:
    moments = {"from": _written(day.date)} | ({} if is_last else {"to": _written(day.date + timedelta(days=1))})
    others = {name: values for name, values in kept.items() if name not in ("from", "to")}
    count = words.counted(day.number, "rotation") if day.exact else f"{words.counted(day.number, 'rotation')} or more"
    level = ceil(LEVELS * log(1 + day.number) / log(1 + most)) if day.number else 0
    if not day.known:
        return Square(day, 0, "", f"unknown: {day.date.day} {day.date:%b %Y} lies before our first record")
    return Square(day, level, with_query(path, {**others, **moments}), f"{count} on {day.date.day} {day.date:%b %Y}")


def _written(day: date) -> str:
    return day.isoformat()


def lines(rows: Sequence[LedgerRow], now: datetime | None) -> list[Line]:
    """Two SQL statements at most: what else reads the same keys, and how far they got by `now` (None: in the past)."""
    keys = keys_of({row.resource_id for row in rows if row.resource_id is not None})
    by_mounts = [row.id for row in rows if row.source is Source.MOUNT]
    got = reached(by_mounts, now) if by_mounts and now else {}
    return [
        Line(
            row,
            SIGNS[row.confidence],
            row.confidence.name.lower(),
            HOW[row.source],
            wave_link(row, keys.get(row.resource_id or 0, ())),
            _far(got[row.id]) if row.id in got else "",
        )
        for row in rows
    ]


def _far(got: Reached) -> str:
    told = f"reached {words.number(got.mounts)} of {words.counted(got.of, 'mount')}"
    return f"{told}; of {words.number(got.unknown)} it is not known" if got.unknown else told


def wave_link(row: LedgerRow, keys: Sequence[ProviderKey]) -> str:
    """Where the wave of a rotation is: of the one key that can have changed, or the list of all of them."""
    candidates = [key for key in keys if key.object == row.object]
    if len(candidates) == 1:
        return reverse("wave", args=candidates[0][:2])
    return with_query(reverse("waves"), {"resource": row.resource_id}) if candidates else ""


def _cells(row: LedgerRow) -> Sequence[object]:
    told = (row.id, row.at, row.seen_at, row.cluster, *row.key, row.object)
    return (*told, row.confidence.name.lower(), row.source.value, row.before, row.after, row.resource_id)


def panel(resource: JudgedResource) -> Mapping[str, Any] | None:
    """What templates/monitoring/_resource_rotations.html needs; None for what does not rotate. Four SQL statements."""
    row = resource.row
    if row.kind not in ROTATING_KINDS:
        return None
    found = rotations_of(resource)
    own = int(resource.facts.get("rotate_after_days", 0))
    days = policy.days_of(settings.ROTATION_POLICY, row.kind, row.namespace, row.cluster.labels, own)
    since = row.rotated_at or row.first_seen_at
    may_tell_more = not found and row.kind == "ExternalSecret"
    named = {"cluster": row.cluster.name, "kind": row.kind, "namespace": row.namespace, "name": row.name}
    return {
        "lines": lines(found, resource.now),
        "watched_since": row.first_seen_at,
        "is_ready": _is_ready(resource),
        "without_t2": may_tell_more and not queries.reads_secrets(row.cluster_id),
        "due_at": since + timedelta(days=days) if days else None,
        "days": days,
        "all": with_query(reverse("rotations"), named),
    }


def _is_ready(resource: JudgedResource) -> bool:
    known = facts_from_json(resource.row.kind, resource.row.facts)
    return not isinstance(known, ReconciledFacts) or known.ready is True
