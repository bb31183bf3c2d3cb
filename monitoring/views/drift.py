"""The same object in several clusters: what differs, as a list, and field by field for one of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from clusters.facts import ResourceKey
from clusters.tagging import short
from monitoring import commands, queries, words
from monitoring.agreement import NO_RULE
from monitoring.drift import ABSENT, OF_STORES, TEMPLATE, Values, is_excepted
from monitoring.families import DRIFT_KINDS
from monitoring.filters import (
    AGREEMENT_PARAMETERS,
    DRIFT_CHOICES,
    DRIFT_PARAMETERS,
    DriftFilters,
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
NOT_KNOWN = ("not known", "none, or not known")
CHOICES = {"differences": "What differs", "missing": "What is missing somewhere", "all": "All"}


@page
def drift(request: HttpRequest, now: datetime) -> HttpResponse:
    query = request.GET
    filters = parse_drift(query, settings.DRIFT_RULES, usual=True)
    cursor = query.get("cursor", "")
    found = queries.drift(filters, now, cursor, parse_limit(query, default=ROWS, maximum=MOST_ROWS))
    path, agreed = reverse("drift"), _agreed(query, filters)
    kept = {**kept_of(query, [parameter.name for parameter in DRIFT_PARAMETERS]), **agreed}
    rules = list(_rules(filters, path, kept))
    context = {
        "coverage": queries.coverage(now, queries.ids_of(filters.clusters)),
        "found": found,
        "sentence": sentence(found, filters.only, part=bool(cursor or found.next)),
        "agreement": agreement_in_words(filters),
        "agreed": filters.agreement,
        "rules": rules if settings.DRIFT_RULES else (),
        "all_clusters": rules[-1][1],
        "rows": [
            (row, _address(row, agreed), tuple(said(row)), [_shown(row, cluster) for cluster in found.columns])
            for row in found.rows
        ],
        "must_differ": [(row, _address(row, agreed)) for row in found.sharing],
        "more_clusters": len(found.clusters) - len(found.columns),
        "unknown": Health.UNKNOWN,
        "values": {name: ",".join(values) for name, values in kept.items()},
        "kinds": DRIFT_KINDS,
        "choices": [(code, CHOICES[code], code == filters.only) for code in DRIFT_CHOICES],
        "chips": [
            (name, ", ".join(values), with_query(path, {key: kept[key] for key in kept if key != name}))
            for name, values in kept.items()
            if name != "rule"  # it is a choice of its own
        ],
        "next": with_query(path, {**kept, "cursor": found.next}) if found.next else "",
        "start": with_query(path, kept) if cursor else "",
        "api_call": commands.api_call(request.build_absolute_uri(with_query(API_PATH, kept))),
    }
    return live(request, "monitoring/drift.html", now, context)


def _agreed(query: QueryDict, filters: DriftFilters) -> dict[str, list[str]]:
    """What links keep of the agreement; the rule by its name, also where it holds because no other was asked for."""
    kept = kept_of(query, [parameter.name for parameter in AGREEMENT_PARAMETERS])
    return {**kept, "rule": [filters.rule.name]} if filters.rule else kept


def _rules(filters: DriftFilters, path: str, kept: Mapping[str, list[str]]) -> Iterator[tuple[str, str, bool]]:
    """What can be chosen: name, address and whether it holds; the rules there are, and none of them last."""
    others = {name: values for name, values in kept.items() if name not in ("rule", "agree", "differ", "except")}
    rules = settings.DRIFT_RULES
    for rule in rules:
        yield rule.name, with_query(path, {**others, "rule": rule.name}), rule == filters.rule
    none = {"rule": NO_RULE} if rules else {}
    yield "all clusters", with_query(path, {**others, **none}), not filters.agreement.words


def agreement_in_words(filters: DriftFilters) -> str:
    """What is compared and how, as one sentence; "" where it is simply all."""
    said = filters.agreement.words
    if not filters.rule:
        return f"{said[0].upper()}{said[1:]}." if said else ""
    changed = ", changed by this address" if filters.agree or filters.differ or filters.excepted else ""
    return f"Rule {filters.rule.name}{changed}: {said}."


def _address(row: DriftRow, agreed: Mapping[str, list[str]]) -> str:
    return with_query(reverse("drift-object", args=[row.key.kind, row.full_name]), agreed)


def sentence(found: Comparison, only: str, *, part: bool) -> str:
    """How many of the objects that were compared are listed, and how many share a value, as one sentence."""
    where = " of this part" if part else ""
    if not found.compared:
        return f"No object{where} is in more than one cluster."
    compared = f"{words.counted(found.compared, 'object')}{where}"
    number = len(found.rows) if only == "missing" else sum(row.disagrees for row in found.rows)
    count = words.number(number) if number else "None"
    if only == "all":
        be = "is" if found.compared == 1 else "are"
        line = f"{compared} {be} in several clusters; {count.lower()} of them {_differ(number)}"
    elif only == "missing":
        line = f"{count} of {compared} {'is' if number == 1 else 'are'} missing somewhere"
    else:
        line = f"{count} of {compared} {_differ(number)} between clusters"
    sharing = len(found.sharing)
    have = "has" if sharing == 1 else "have"
    return f"{line}; {words.number(sharing)} {have} one value where values must differ." if sharing else f"{line}."


def _differ(number: int) -> str:
    return "differs" if number == 1 else "differ"


def said(row: DriftRow) -> Iterator[str]:
    """What is to be said of a row, one line each."""
    for clusters in row.shared:
        yield f"must differ, but has one value in {words.listed(clusters)}"
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
    why = "; ".join(_not_known(row))
    if row.values.verdict == Values.DIFFER:
        return "; ".join(filter(None, (_how_values_differ(row), why)))
    if why and len(row.values.groups) == 1 and len(row.values.tags) > 1:
        return f"values are equal in {words.counted(len(row.values.tags), 'cluster')}; {why}"
    return f"values: {why or 'hashed by different versions of the controller, not comparable'}"


def _how_values_differ(row: DriftRow) -> str:
    if row.conflicts:
        return "values differ"
    if is_excepted("value", row.excepted):
        return "values differ, as they may"
    return "all other values differ, as they must" if row.shared else "values differ, as they must"


def _not_known(row: DriftRow) -> Iterator[str]:
    unknown = row.values.unknown if row.values else ()
    if unseen := sum(cluster in row.unseen for cluster in unknown):
        yield f"not seen now in {words.counted(unseen, 'cluster')}"
    if refused := sum(cluster in row.without_t2 for cluster in unknown):
        yield f"not known without T2 in {words.counted(refused, 'cluster')}"
    if hashless := len(unknown) - unseen - refused:
        yield f"no hash of it in {words.counted(hashless, 'cluster')}"


class Part(NamedTuple):
    """One field of a cell in short: its text, the whole of it, and whether most clusters have another one."""

    text: str
    whole: str
    odd: bool


@dataclass(frozen=True)
class Shown:
    """One cell of the list: the object there, or a word for why there is none; "" if we do not know.

    `parts` are what it is refreshed by and from, `key` the first one that it reads, one that differs before others.
    """

    cluster: str
    cell: DriftCell | None
    word: str = ""
    odd: bool = False
    parts: tuple[Part, ...] = ()
    key: Part | None = None
    more_keys: int = 0


def _shown(row: DriftRow, cluster: str) -> Shown:
    cell = row.cells.get(cluster)
    if cell is None:
        return Shown(cluster, None, _why_not(row, cluster))
    keys = [_part(row, cluster, field) for field in cell.spec if is_excepted(field, KEYS)]
    return Shown(
        cluster,
        cell,
        odd=cluster in row.odd,
        parts=tuple(_part(row, cluster, field) for field in BRIEF if cell.spec.get(field)),
        key=next((key for key in keys if key.odd), keys[0] if keys else None),
        more_keys=len(keys) - 1,
    )


BRIEF, KEYS = ("interval", "store", "scope", "provider"), ("key", "extract")


def _part(row: DriftRow, cluster: str, field: str) -> Part:
    text = row.cells[cluster].spec[field]
    brief = text.rpartition(" ")[2] if field == "store" else text
    return Part(brief, f"{field}: {text}", cluster in row.odd_in.get(field, ()))


def _why_not(row: DriftRow, cluster: str) -> str:
    if cluster in row.missing:
        return "missing"
    return "not installed" if cluster in row.not_installed else ""


@page
def drift_object(request: HttpRequest, now: datetime, kind: str, full_name: str) -> HttpResponse:
    """One object, field by field and cluster by cluster."""
    filters = parse_agreement(request.GET, settings.DRIFT_RULES, usual=True)
    namespace, _, name = full_name.rpartition("/")
    key = ResourceKey(kind, namespace, name)
    found = queries.drift_of(key, filters, now) if kind in DRIFT_KINDS else None
    if found is None:
        under = f" under the rule {filters.rule.name}" if filters.rule else ""
        raise Http404(f"No cluster that is compared{under} has this object now.")
    columns = queries.drift_columns([found], found.cells)
    agreed = _agreed(request.GET, filters)
    lines = list(matrix(found, columns))
    context = {
        "row": found,
        "agreement": agreement_in_words(filters),
        "all_clusters": with_query(request.path, {"rule": NO_RULE} if settings.DRIFT_RULES else {}),
        "back": with_query(reverse("drift"), agreed),
        "said": tuple(said(found))[len(found.shared) :],  # what is shared has a place of its own
        "columns": columns,
        "more_clusters": len(found.cells) - len(columns),
        "heads": [_shown(found, cluster) for cluster in columns],
        "lines": lines,
        "same": [(line.field, line.cells[0][0]) for line in lines if line.same and line.cells[0][0] not in NOT_KNOWN],
        "fields": list(_differing(found)),
        "may_differ": [(line.field, line.groups(columns)) for line in lines if line.note and line.field != "value"],
        "api_path": with_query(API_PATH, {**agreed, "kind": kind, "namespace": namespace, "name": name, "only": "all"}),
    }
    return live(request, "monitoring/drift_object.html", now, context)


Groups = list[tuple[str, tuple[str, ...]]]


def _differing(row: DriftRow) -> Iterator[tuple[str, Groups]]:
    """Everything that differs over all clusters: each text with the clusters that have it."""
    for field, values in row.specs.items():
        yield field, [(_text(field, value), names) for value, names in values.items()]
    if row.values and row.values.verdict == Values.DIFFER:
        yield "value", [(f"tag {short(tag)}", names) for tag, names in row.values.groups]
    for version in row.versions:
        by_versions: dict[str, tuple[str, ...]] = {}
        for name, versions in version.versions.items():
            text = ", ".join(versions)
            by_versions[text] = (*by_versions.get(text, ()), name)
        yield f"version of {version.object_id}", list(by_versions.items())


@dataclass(frozen=True)
class Line:
    """One field over the shown clusters: text, and whether it is another one than most clusters have.

    `note`: that it differs as it may, or must.
    """

    field: str
    cells: tuple[tuple[str, bool], ...]
    differs: bool
    note: str = ""

    @property
    def same(self) -> bool:
        return not self.differs and len({text for text, _ in self.cells}) == 1

    def groups(self, clusters: Iterable[str]) -> Groups:
        """Each text with those of the clusters, which are in the order of the cells, that have it."""
        found: dict[str, tuple[str, ...]] = {}
        for (text, _), cluster in zip(self.cells, clusters, strict=True):
            found[text] = (*found.get(text, ()), cluster)
        return list(found.items())


def matrix(row: DriftRow, clusters: Iterable[str]) -> Iterator[Line]:
    """Every field of the spec, the value by its tag, and the versions of objects that differ."""
    clusters = list(clusters)
    for field in dict.fromkeys(field for cell in row.cells.values() for field in cell.spec):
        texts = {cluster: _text(field, row.cells[cluster].spec.get(field, ABSENT)) for cluster in clusters}
        note = "may differ" if is_excepted(field, row.excepted) and len(set(texts.values())) > 1 else ""
        yield _line(field, texts, row.odd_in.get(field, frozenset()), differs=field in row.specs, note=note)
    if row.values is not None:
        tags = row.values.tags
        texts = {cluster: f"tag {tags[cluster]}" if cluster in tags else NOT_KNOWN[0] for cluster in clusters}
        note = "may differ" if is_excepted("value", row.excepted) else "must differ"
        agreed = row.values.verdict == Values.DIFFER and not row.conflicts
        yield _line("value", texts, row.odd_values, differs=bool(row.conflicts), note=note if agreed else "")
    for version in row.versions:
        texts = {cluster: ", ".join(version.versions.get(cluster, ("not compared",))) for cluster in clusters}
        yield _line(f"version of {version.object_id}", texts, version.versions, differs=True)


def _line(field: str, texts: Mapping[str, str], odd: Collection[str], *, differs: bool, note: str = "") -> Line:
    return Line(field, tuple((text, differs and cluster in odd) for cluster, text in texts.items()), differs, note)


def _text(field: str, value: str) -> str:
    if field == TEMPLATE:
        return f"template {short(value)}" if value else NOT_KNOWN[1]
    return value or (NOT_KNOWN[0] if field in OF_STORES else "")
