"""How old values are, against a policy."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from monitoring import commands, queries, words
from monitoring.filters import parse_limit
from monitoring.filters.rotations import AGE_PARAMETERS, AGES, DUE, ROTATING_KINDS, SEEN, parse_ages
from monitoring.queries.ages import Bucket, ages_of, histogram
from monitoring.templatetags.pages import with_query
from monitoring.views.page import kept_of, live, page
from monitoring.views.rotations import chips_of

ROWS, MOST_ROWS = 50, 200
API_PATH = "/api/v1/rotations/ages/"
OF_AGES = ("under 7 d", "7 to 30 d", "30 to 90 d", "90 to 180 d", "180 to 365 d", "over 365 d")
AGE_WORDS = dict(zip(AGES, OF_AGES, strict=True))
SEEN_WORDS = dict(zip(SEEN, ("a rotation was seen", "none was seen yet"), strict=True))
DUE_WORDS = dict(zip(DUE, ("overdue",), strict=True))


class Bar(NamedTuple):
    """A bucket of ages with the lengths of its two parts, as parts of 100."""

    bucket: Bucket
    word: str
    link: str
    rotated: float
    not_seen: float


@page
def ages(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_ages(query)
    limit = parse_limit(query, default=ROWS, maximum=MOST_ROWS)
    cursor, rules = query.get("cursor", ""), settings.ROTATION_POLICY
    found, counted = ages_of(filters, rules, now, cursor, limit), histogram(filters, rules, now)
    kept = kept_of(query, [parameter.name for parameter in AGE_PARAMETERS])
    path = reverse("rotation-ages")
    context = {
        "coverage": queries.coverage(now, queries.ids_of(filters.clusters)),
        "found": found,
        "counted": counted,
        "sentence": _sentence_of_ages(counted.overdue, counted.ruled, counted.total),
        "bars": list(_bars(counted.buckets, kept, path)),
        "overdue_link": with_query(path, {**_without(kept, "due", "age"), "due": "overdue"}),
        "rules": [rule.words for rule in rules],
        "values": {parameter.name: ",".join(kept.get(parameter.name, ())) for parameter in AGE_PARAMETERS},
        "kinds": ROTATING_KINDS,
        "ages": AGE_WORDS.items(),
        "seen": SEEN_WORDS.items(),
        "due": DUE_WORDS.items(),
        "chips": chips_of(path, kept),
        "next": with_query(path, {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(path, kept) if cursor else "",
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return live(request, "monitoring/rotation_ages.html", now, context)


def _sentence_of_ages(overdue: int, ruled: int, total: int) -> str:
    if not total:
        return "Nothing here can rotate."
    if not ruled:
        return f"{words.counted(total, 'resource')} can rotate; no policy says how often."
    if not overdue:
        return f"Nothing is overdue by policy: {words.counted(ruled, 'resource')} of {words.number(total)} have one."
    be = "is" if overdue == 1 else "are"
    return f"{words.counted(overdue, 'resource')} of {words.number(ruled)} {be} overdue by policy."


def _without(kept: Mapping[str, list[str]], *names: str) -> dict[str, list[str]]:
    return {name: values for name, values in kept.items() if name not in names}


def _bars(buckets: Collection[Bucket], kept: Mapping[str, list[str]], path: str) -> Iterator[Bar]:
    most = max((bucket.total for bucket in buckets), default=0) or 1
    for bucket in buckets:
        link = with_query(path, {**_without(kept, "age"), "age": bucket.code})
        yield Bar(bucket, AGE_WORDS[bucket.code], link, 100 * bucket.rotated / most, 100 * bucket.not_seen / most)
