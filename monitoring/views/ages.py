"""How old values are, against a policy."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse

from monitoring import commands, queries, words
from monitoring.filters import parse_limit
from monitoring.filters.rotations import AGE_PARAMETERS, AGES, FORMAT, POLICY, ROTATING_KINDS, SEEN, parse_ages
from monitoring.queries.ages import Aged, Bucket, ages_of, export, histogram
from monitoring.templatetags.pages import with_query
from monitoring.views.files import csv_file, is_file
from monitoring.views.page import kept_of, live, page
from monitoring.views.rotations import chips_of

ROWS, MOST_ROWS = 50, 200
API_PATH = "/api/v1/rotations/ages/"
OF_AGES = ("under 7 d", "7 to 30 d", "30 to 90 d", "90 to 180 d", "180 to 365 d", "over 365 d")
AGE_WORDS = dict(zip(AGES, OF_AGES, strict=True))
SEEN_WORDS = dict(zip(SEEN, ("a rotation was seen", "none was seen yet"), strict=True))
POLICY_WORDS = dict(zip(POLICY, ("past it",), strict=True))

CSV_COLUMNS = (
    *("resource", "cluster", "kind", "namespace", "name", "rotated_at", "since", "age", "days", "own", "due_at"),
    "past_policy",
)


class Bar(NamedTuple):
    """A bucket of ages with the lengths of its two parts, as parts of 100."""

    bucket: Bucket
    word: str
    link: str
    rotated: float
    not_seen: float


@page
def ages(request: HttpRequest, now: datetime) -> HttpResponse | StreamingHttpResponse:
    query = request.GET
    filters, as_file = parse_ages(query, FORMAT), is_file(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    cursor, rules = query.get("cursor", ""), settings.ROTATION_POLICY
    if as_file:
        return csv_file(f"ages-{now:%Y-%m-%d}", CSV_COLUMNS, map(_cells, export(filters, rules, now)))
    found, counted = ages_of(filters, rules, now, cursor, limit), histogram(filters, rules, now)
    kept = kept_of(query, [parameter.name for parameter in AGE_PARAMETERS])
    path = reverse("rotation-ages")
    context = {
        "coverage": queries.coverage(now, queries.ids_of(filters.clusters)),
        "found": found,
        "counted": counted,
        "sentence": _sentence_of_ages(counted.past_policy, counted.ruled, counted.total),
        "bars": list(_bars(counted.buckets, kept, path)),
        "past_policy": with_query(path, {**_without(kept, "policy", "age"), "policy": "past"}),
        "rules": [rule.words for rule in rules],
        "values": {parameter.name: ",".join(kept.get(parameter.name, ())) for parameter in AGE_PARAMETERS},
        "kinds": ROTATING_KINDS,
        "ages": AGE_WORDS.items(),
        "seen": SEEN_WORDS.items(),
        "policies": POLICY_WORDS.items(),
        "chips": chips_of(path, kept),
        "next": with_query(path, {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(path, kept) if cursor else "",
        "file": with_query(path, {**kept, "format": "csv"}),
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return live(request, "monitoring/rotation_ages.html", now, context)


def _cells(aged: Aged) -> Sequence[object]:
    told = (aged.resource_id, aged.cluster, *aged.key, aged.rotated_at, aged.since, int(aged.age.total_seconds()))
    return (*told, aged.days, aged.own, aged.due_at, aged.past_policy)


def _sentence_of_ages(past_policy: int, ruled: int, total: int) -> str:
    if not total:
        return "Nothing here can rotate."
    if not ruled:
        return f"{words.counted(total, 'resource')} can rotate; no policy says how often."
    if not past_policy:
        have = "has" if ruled == 1 else "have"
        number = words.counted(ruled, "resource")
        return f"Nothing is known to be past its policy: {number} of {words.number(total)} {have} one."
    they = "is past its policy" if past_policy == 1 else "are past their policy"
    return f"{words.counted(past_policy, 'resource')} of {words.number(ruled)} {they}."


def _without(kept: Mapping[str, list[str]], *names: str) -> dict[str, list[str]]:
    return {name: values for name, values in kept.items() if name not in names}


def _bars(buckets: Collection[Bucket], kept: Mapping[str, list[str]], path: str) -> Iterator[Bar]:
    most = max((bucket.total for bucket in buckets), default=0) or 1
    for bucket in buckets:
        link = with_query(path, {**_without(kept, "age"), "age": bucket.code})
        yield Bar(bucket, AGE_WORDS[bucket.code], link, 100 * bucket.rotated / most, 100 * bucket.not_seen / most)
