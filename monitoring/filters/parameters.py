"""What all filters share: parameters and their values, and how a wrong one is refused."""

import re
from collections.abc import Collection, Iterator
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
AT = Parameter(
    "at",
    "A past moment, as in 2026-11-23T14:00:00Z (UTC without a zone): answers with the estate as it was. What could not "
    "be seen then is unknown.",
    (),
    False,
)


def parse_limit(query: Query, *, default: int, maximum: int) -> int:
    """The parameter `limit`, 1 to `maximum`."""
    number = whole_number(query, "limit", maximum=maximum)
    return default if number is None else number


def refuse_unknown(query: Query, parameters: Collection[Parameter]) -> None:
    """A misspelt filter must not silently show everything: it is refused, with the names there are."""
    known = [parameter.name for parameter in parameters]
    for name in query:
        if name not in known and name not in PAGING:
            if name == "at":
                raise WrongParameter(name, "what is shown here is known of the present only")
            raise WrongParameter(name[:40], "there is no such parameter here", known)


def values_of(query: Query, name: str) -> list[str]:
    values = [part.strip() for value in query.getlist(name) for part in value.split(",")]
    kept = list(dict.fromkeys(value for value in values if value))
    if len(kept) > MAX_VALUES:
        raise WrongParameter(name, f"holds {len(kept)} values; {MAX_VALUES} are the most")
    return kept


def texts(query: Query, name: str) -> tuple[str, ...]:
    values = values_of(query, name)
    for value in values:
        if len(value) > MAX_TEXT or CONTROL.search(value):
            raise WrongParameter(name, "holds a text that no object can be called")
    return tuple(values)


def choices(query: Query, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    values = values_of(query, name)
    for value in values:
        if value not in allowed:
            raise WrongParameter(name, f"{value[:40]!r} is not one of the allowed values", allowed)
    return tuple(values)


def one_of(query: Query, name: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed values, "" without it."""
    chosen = choices(query, name, allowed)
    if len(chosen) > 1:
        raise WrongParameter(name, "holds more than one value", allowed)
    return chosen[0] if chosen else ""


def healths(query: Query) -> frozenset[Health]:
    chosen: set[Health] = set()
    for code in choices(query, "health", HEALTH_CODES):
        chosen |= set(Health) - {Health.HEALTHY} if code == NOT_HEALTHY else {Health.from_code(code)}
    return frozenset(chosen)


def matching(query: Query, name: str, pattern: re.Pattern[str], complaint: str) -> tuple[str, ...]:
    values = values_of(query, name)
    for value in values:
        if len(value) > MAX_TEXT or not pattern.fullmatch(value):
            raise WrongParameter(name, f"{value[:40]!r} {complaint}")
    return tuple(values)


def search(query: Query) -> str:
    text = (query.getlist("q") or [""])[-1].strip()
    if text and len(text) < MIN_SEARCH:
        raise WrongParameter("q", f"needs at least {MIN_SEARCH} characters")
    if len(text) > MAX_TEXT or CONTROL.search(text):
        raise WrongParameter("q", "holds a text that no object can be called")
    return text


def whole_number(query: Query, name: str, *, maximum: int) -> int | None:
    text = (query.getlist(name) or [""])[-1].strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= maximum):
        raise WrongParameter(name, f"must be a whole number from 1 to {maximum}")
    return int(text)
