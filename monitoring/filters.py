"""What may be asked for in an address: the same parameters, words and errors on pages and in the API.

Each `parse_*` takes the query of a request (anything with `getlist` and iteration over names, such as a QueryDict)
and gives an immutable value that `monitoring.queries` understands. It raises `WrongParameter`, which names the
parameter, for an unknown parameter, a value that is not allowed or a text that no name can have. Parameters that say
`many` may be repeated or hold a comma list: `?health=stale,failing` equals `?health=stale&health=failing`.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from monitoring.families import JUDGED_KINDS
from monitoring.health import WORST_FIRST, Health
from monitoring.rules.causes import TITLES
from monitoring.rules.registry import RULES

NOT_HEALTHY = "not_healthy"
HEALTH_CODES = (*(health.code for health in WORST_FIRST), NOT_HEALTHY)
RESULTS = ("complete", "partial", "failed")
MIN_SEARCH, MAX_TEXT, MAX_VALUES = 3, 253, 50
MAX_ID = 2**63 - 1
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SIGNATURE_FORM = re.compile(r"[0-9a-f]{16}")
LINT_RULES = tuple(rule.id for rule in RULES.values() if rule.lint)
FINDING_RULES = tuple(rule.id for rule in RULES.values() if not rule.lint)
CAUSE_CLASSES = tuple(TITLES)
# What a page or the API adds to every list besides its filters.
PAGING = frozenset({"cursor", "limit"})


class Query(Protocol):
    """The part of Django's QueryDict that is used here."""

    def getlist(self, key: str) -> list[str]: ...

    def __iter__(self) -> Iterator[str]: ...


class WrongParameter(ValueError):
    """A parameter of the request is unknown or holds a wrong value: answered with 400.

    `parameter` is its name, `message` a sentence without it, `allowed` the values that would do, if they are few.
    """

    def __init__(self, parameter: str, message: str, allowed: Collection[str] = ()) -> None:
        super().__init__(f"{parameter}: {message}")
        self.parameter = parameter
        self.message = message
        self.allowed = tuple(allowed)


class Parameter(NamedTuple):
    """One filter, as documentation and OpenAPI show it."""

    name: str
    description: str
    allowed: tuple[str, ...] = ()
    many: bool = True


HEALTH = Parameter("health", "Health as shown (a resource we cannot see any more is unknown).", HEALTH_CODES)
CLUSTER = Parameter("cluster", "Name of a cluster; * and ? stand for any characters, as in prod-*.")
KIND = Parameter("kind", "Kubernetes kind.", JUDGED_KINDS)
NAMESPACE = Parameter("namespace", "Exact namespace.")
NAME = Parameter("name", "Exact name.")
SIGNATURE = Parameter("signature", "Signature of a cause: what it brought about, in all clusters.")
CAUSE_CLASS = Parameter("cause_class", "Class of the worst finding's cause.", CAUSE_CLASSES)
RESOURCE_PARAMETERS = (
    HEALTH,
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    Parameter("store", "Secret store that is referred to: its name, or Kind/name."),
    Parameter("finding", "Id of a rule that has a finding now.", FINDING_RULES),
    SIGNATURE,
    CAUSE_CLASS,
    Parameter("lint", "Id of a rule whose advice it has.", LINT_RULES),
    Parameter("q", f"Part of namespace/name, at least {MIN_SEARCH} characters.", (), False),
)
CAUSE_PARAMETERS = (HEALTH, CLUSTER, KIND, CAUSE_CLASS)
TRANSITION_PARAMETERS = (
    Parameter("health", "Health that it changed to.", HEALTH_CODES),
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
    Parameter("resource", "Id of a resource.", (), False),
)
COLLECTION_PARAMETERS = (CLUSTER, Parameter("result", "How the collection ended.", RESULTS))
CLUSTER_PARAMETERS = (CLUSTER,)


@dataclass(frozen=True, kw_only=True)
class ResourceFilters:
    """Every condition holds; inside one field any value does. Empty fields do not restrict. `name` etc. are exact."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    cause_classes: tuple[str, ...] = ()
    lints: tuple[str, ...] = ()
    q: str = ""

    @property
    def countable(self) -> bool:
        """True if the summary table alone can say how many rows there are."""
        chosen = (self.namespaces, self.names, self.stores, self.findings, self.signatures, self.cause_classes)
        return not (any(chosen) or self.lints or self.q)


@dataclass(frozen=True, kw_only=True)
class CauseFilters:
    """Which resources and findings about clusters count. With `kinds` no finding about a cluster does."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    cause_classes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TransitionFilters:
    """`healths` is what it changed to; `resource` the id of one resource."""

    healths: frozenset[Health] = frozenset()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    resource: int | None = None


@dataclass(frozen=True, kw_only=True)
class CollectionFilters:
    clusters: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def parse_resources(query: Query) -> ResourceFilters:
    refuse_unknown(query, RESOURCE_PARAMETERS)
    return ResourceFilters(
        healths=_healths(query),
        clusters=_texts(query, "cluster"),
        kinds=_choices(query, "kind", JUDGED_KINDS),
        namespaces=_texts(query, "namespace"),
        names=_texts(query, "name"),
        stores=_texts(query, "store"),
        findings=_choices(query, "finding", FINDING_RULES),
        signatures=_matching(query, "signature", SIGNATURE_FORM, "is not the signature of a cause"),
        cause_classes=_choices(query, "cause_class", CAUSE_CLASSES),
        lints=_choices(query, "lint", LINT_RULES),
        q=_search(query),
    )


def parse_causes(query: Query) -> CauseFilters:
    refuse_unknown(query, CAUSE_PARAMETERS)
    return CauseFilters(
        healths=_healths(query),
        clusters=_texts(query, "cluster"),
        kinds=_choices(query, "kind", JUDGED_KINDS),
        cause_classes=_choices(query, "cause_class", CAUSE_CLASSES),
    )


def parse_transitions(query: Query) -> TransitionFilters:
    refuse_unknown(query, TRANSITION_PARAMETERS)
    return TransitionFilters(
        healths=_healths(query),
        clusters=_texts(query, "cluster"),
        kinds=_choices(query, "kind", JUDGED_KINDS),
        namespaces=_texts(query, "namespace"),
        names=_texts(query, "name"),
        resource=_number(query, "resource", maximum=MAX_ID),
    )


def parse_collections(query: Query) -> CollectionFilters:
    refuse_unknown(query, COLLECTION_PARAMETERS)
    return CollectionFilters(clusters=_texts(query, "cluster"), results=_choices(query, "result", RESULTS))


def parse_clusters(query: Query) -> tuple[str, ...]:
    """The patterns of the parameter `cluster`; empty for all clusters."""
    refuse_unknown(query, CLUSTER_PARAMETERS)
    return _texts(query, "cluster")


def parse_limit(query: Query, *, default: int, maximum: int) -> int:
    """The parameter `limit`, 1 to `maximum`."""
    number = _number(query, "limit", maximum=maximum)
    return default if number is None else number


def refuse_unknown(query: Query, parameters: Collection[Parameter]) -> None:
    """A misspelt filter must not silently show everything: it is refused, with the names there are."""
    known = [parameter.name for parameter in parameters]
    for name in query:
        if name not in known and name not in PAGING:
            raise WrongParameter(name[:40], "there is no such parameter here", known)


def _values(query: Query, name: str) -> list[str]:
    values = [part.strip() for value in query.getlist(name) for part in value.split(",")]
    kept = list(dict.fromkeys(value for value in values if value))
    if len(kept) > MAX_VALUES:
        raise WrongParameter(name, f"holds {len(kept)} values; {MAX_VALUES} are the most")
    return kept


def _texts(query: Query, name: str) -> tuple[str, ...]:
    values = _values(query, name)
    for value in values:
        if len(value) > MAX_TEXT or CONTROL.search(value):
            raise WrongParameter(name, "holds a text that no object can be called")
    return tuple(values)


def _choices(query: Query, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    values = _values(query, name)
    for value in values:
        if value not in allowed:
            raise WrongParameter(name, f"{value[:40]!r} is not one of the allowed values", allowed)
    return tuple(values)


def _healths(query: Query) -> frozenset[Health]:
    chosen: set[Health] = set()
    for code in _choices(query, "health", HEALTH_CODES):
        chosen |= set(Health) - {Health.HEALTHY} if code == NOT_HEALTHY else {Health.from_code(code)}
    return frozenset(chosen)


def _matching(query: Query, name: str, pattern: re.Pattern[str], complaint: str) -> tuple[str, ...]:
    values = _values(query, name)
    for value in values:
        if len(value) > MAX_TEXT or not pattern.fullmatch(value):
            raise WrongParameter(name, f"{value[:40]!r} {complaint}")
    return tuple(values)


def _search(query: Query) -> str:
    text = (query.getlist("q") or [""])[-1].strip()
    if text and len(text) < MIN_SEARCH:
        raise WrongParameter("q", f"needs at least {MIN_SEARCH} characters")
    if len(text) > MAX_TEXT or CONTROL.search(text):
        raise WrongParameter("q", "holds a text that no object can be called")
    return text


def _number(query: Query, name: str, *, maximum: int) -> int | None:
    text = (query.getlist(name) or [""])[-1].strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= maximum):
        raise WrongParameter(name, f"must be a whole number from 1 to {maximum}")
    return int(text)
