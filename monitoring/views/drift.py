"""The same object in several clusters: what differs, as a list, and field by field for one of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from clusters.facts import ResourceKey
from clusters.tagging import short
from monitoring import commands, queries, words
from monitoring.drift import ABSENT, OF_STORES, TEMPLATE, Values
from monitoring.filters import (
    AGREEMENT_PARAMETERS,
    DRIFT_CHOICES,
    DRIFT_KINDS,
    DRIFT_PARAMETERS,
    parse_agreement,
    parse_drift,
    parse_limit,
)
from monitoring.health import Health
from monitoring.queries import Comparison, DriftCell, DriftRow
from monitoring.templatetags.pages import with_query
from monitoring.views.page import kept_of, live, page

ROWS, MOST_ROWS = 50, 200
API_PATH = "/api/v1/drift/"
CHOICES = {"differences": "What differs", "missing": "What is missing somewhere", "all": "All"}


@page
def drift(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_drift(query)
    cursor = query.get("cursor", "")
    found = queries.drift(filters, now, cursor, parse_limit(query, default=ROWS, maximum=MOST_ROWS))
    kept = kept_of(query, [parameter.name for parameter in DRIFT_PARAMETERS])
    path, agreement = reverse("drift"), kept_of(query, [parameter.name for parameter in AGREEMENT_PARAMETERS])
    context = {
        "coverage": queries.coverage(now, queries.ids_of(filters.clusters)),
        "found": found,
        "sentence": sentence(found, filters.only, part=bool(cursor or found.next)),
        "rows": [
            (row, with_query(_address(row), agreement), tuple(said(row)), _cells(row, found.columns))
            for row in found.rows
        ],
        "must_differ": [row for row in found.rows if row.shared],
        "more_clusters": len(found.clusters) - len(found.columns),
        "unknown": Health.UNKNOWN,
        "values": {name: ",".join(values) for name, values in kept.items()},
        "kinds": DRIFT_KINDS,
        "choices": [(code, CHOICES[code], code == filters.only) for code in DRIFT_CHOICES],
        "chips": [
            (name, ", ".join(values), with_query(path, {key: kept[key] for key in kept if key != name}))
            for name, values in kept.items()
        ],
        "next": with_query(path, {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(path, kept) if cursor else "",
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return live(request, "monitoring/drift.html", now, context)


def _address(row: DriftRow) -> str:
    return reverse("drift-object", args=[row.key.kind, row.full_name])


def sentence(found: Comparison, only: str, *, part: bool) -> str:
    """How many of the objects that were compared are listed, as one sentence."""
    where = " of this part" if part else ""
    if not found.compared:
        return f"No object{where} is in more than one cluster."
    compared = f"{words.counted(found.compared, 'object')}{where}"
    if only == "all":
        number, be = sum(row.differs for row in found.rows), "is" if found.compared == 1 else "are"
        count = words.number(number) if number else "none"
        return f"{compared} {be} in several clusters; {count} of them {_differ(number)}."
    number = len(found.rows)
    count = words.number(number) if number else "None"
    if only == "missing":
        return f"{count} of {compared} {'is' if number == 1 else 'are'} missing somewhere."
    return f"{count} of {compared} {_differ(number)} between clusters."


def _differ(number: int) -> str:
    return "differs" if number == 1 else "differ"


def said(row: DriftRow) -> Iterator[str]:
    """What is to be said of a row, one line each."""
    if row.specs:
        yield f"spec: {words.listed(list(row.specs), most=4)}"
    if row.versions:
        yield f"mounted versions: {words.listed([version.object_id for version in row.versions])}"
    if row.values and (line := said_of_values(row)):
        yield line
    if row.missing:
        yield f"missing in {words.listed(row.missing)}"


def said_of_values(row: DriftRow) -> str:
    """Whether the values are equal, as far as that is known, and why it is not."""
    if row.values is None or len(row.values.unknown) + len(row.values.tags) < 2:
        return ""
    if row.values.verdict == Values.EQUAL:
        return "values are equal"
    why = "; ".join(_not_known(row.values.unknown, row.without_t2))
    if row.values.verdict == Values.DIFFER:
        return f"values differ; {why}" if why else "values differ"
    return f"values: {why or 'hashed by different versions of the controller, not comparable'}"


def _not_known(unknown: Iterable[str], without_t2: Collection[str]) -> Iterator[str]:
    unseen = sum(cluster in without_t2 for cluster in unknown)
    if unseen:
        yield f"not known without T2 in {words.counted(unseen, 'cluster')}"
    if hashless := len(tuple(unknown)) - unseen:
        yield f"no hash of it in {words.counted(hashless, 'cluster')}"


@dataclass(frozen=True)
class Shown:
    """One cell of the list: the object there, or a word for why there is none; "" if we do not know."""

    cluster: str
    cell: DriftCell | None
    word: str = ""
    odd: bool = False
    under: str = ""


def _cells(row: DriftRow, clusters: Iterable[str]) -> list[Shown]:
    return [_shown(row, cluster) for cluster in clusters]


def _shown(row: DriftRow, cluster: str) -> Shown:
    cell = row.cells.get(cluster)
    if cell is None:
        return Shown(cluster, None, _why_not(row, cluster))
    under = (
        cell.spec.get(name, "").rpartition(" ")[2] if name == "store" else cell.spec.get(name, "") for name in BRIEF
    )
    return Shown(cluster, cell, odd=cluster in row.odd, under=" · ".join(filter(None, under)))


BRIEF = ("interval", "store", "scope", "provider")


def _why_not(row: DriftRow, cluster: str) -> str:
    if cluster in row.missing:
        return "missing"
    return "not installed" if cluster in row.not_installed else ""


@page
def drift_object(request: HttpRequest, now: datetime, kind: str, full_name: str) -> HttpResponse:
    """One object, field by field and cluster by cluster."""
    filters = parse_agreement(request.GET)
    namespace, _, name = full_name.rpartition("/")
    key = ResourceKey(kind, namespace, name)
    found = queries.drift_of(key, filters, now) if kind in DRIFT_KINDS else None
    if found is None:
        raise Http404("No cluster that is compared has this object now.")
    columns = queries.drift_columns([found], found.cells)
    kept = kept_of(request.GET, [parameter.name for parameter in AGREEMENT_PARAMETERS])
    context = {
        "row": found,
        "back": with_query(reverse("drift"), kept),
        "said": tuple(said(found)),
        "columns": columns,
        "more_clusters": len(found.cells) - len(columns),
        "heads": [_shown(found, cluster) for cluster in columns],
        "lines": list(matrix(found, columns)),
        "fields": [
            (field, [(_text(field, value), names) for value, names in values.items()])
            for field, values in found.specs.items()
        ],
        "api_path": with_query(API_PATH, {"kind": kind, "namespace": namespace, "name": name, "only": "all"}),
    }
    return live(request, "monitoring/drift_object.html", now, context)


@dataclass(frozen=True)
class Line:
    """One field over the shown clusters: text, and whether it is another one than most clusters have."""

    field: str
    cells: tuple[tuple[str, bool], ...]
    differs: bool


def matrix(row: DriftRow, clusters: Iterable[str]) -> Iterator[Line]:
    """Every field of the spec, the value by its tag, and the versions of objects that differ."""
    clusters = list(clusters)
    for field in dict.fromkeys(field for cell in row.cells.values() for field in cell.spec):
        texts = {cluster: _text(field, row.cells[cluster].spec.get(field, ABSENT)) for cluster in clusters}
        odd = {name for names in list(row.specs.get(field, {}).values())[1:] for name in names}
        yield _line(field, texts, odd, differs=field in row.specs)
    if row.values is not None:
        tags = row.values.tags
        texts = {cluster: tags.get(cluster, "not known") for cluster in clusters}
        odd = {name for _, names in row.values.groups[1:] for name in names}
        yield _line("value", texts, odd, differs=row.values_differ)
    for version in row.versions:
        texts = {cluster: ", ".join(version.versions.get(cluster, ("not compared",))) for cluster in clusters}
        yield _line(f"version of {version.object_id}", texts, set(version.versions), differs=True)


def _line(field: str, texts: Mapping[str, str], odd: set[str], *, differs: bool) -> Line:
    return Line(field, tuple((text, differs and cluster in odd) for cluster, text in texts.items()), differs)


def _text(field: str, value: str) -> str:
    if field == TEMPLATE:
        return f"template {short(value)}" if value else "none, or not known"
    return value or ("not known" if field in OF_STORES else "")
