"""Filters of the rotation ledger, of the ages of values, and of waves."""

import re
from dataclasses import dataclass
from datetime import datetime

from monitoring.filters.moments import parse_at
from monitoring.filters.parameters import (
    CLUSTER,
    MAX_ID,
    MIN_SEARCH,
    NAME,
    NAMESPACE,
    PAGING,
    Parameter,
    Query,
    WrongParameter,
    choices,
    one_of,
    refuse_unknown,
    search,
    texts,
    whole_number,
)
from monitoring.rotation import policy
from monitoring.rotation.base import Confidence, Source

ROTATING_KINDS = policy.KINDS
LEDGER_KINDS = (*ROTATING_KINDS, "SealingKey")
CONFIDENCES = tuple(confidence.name.lower() for confidence in sorted(Confidence, reverse=True))
SOURCES = tuple(source.value for source in Source)
# Upper ends in days, but for the last.
AGE_BOUNDS = (7, 30, 90, 180, 365)
AGES = ("0-7", "7-30", "30-90", "90-180", "180-365", "365-")
SEEN = ("rotated", "not_seen")
POLICY = ("past",)
# StoreFacts.source and ClassFacts.source; clusters.facts.key_digest.
SOURCE_FORM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")
DIGEST_FORM = re.compile(r"[0-9a-f]{16}")
# A key's longest text as clusters.kinds.external_secrets keeps it.
MAX_KEY = 512

SEARCH = Parameter("q", f"Part of namespace/name, at least {MIN_SEARCH} characters.", (), False)
LEDGER_PARAMETERS = (
    CLUSTER,
    Parameter("kind", "Kubernetes kind.", LEDGER_KINDS),
    NAMESPACE,
    NAME,
    SEARCH,
    Parameter("confidence", "How sure it is that a value changed and arrived.", CONFIDENCES),
    Parameter("source", "What told of it; `renewed` are sealing keys, no rotations.", SOURCES),
    Parameter("from", "The first moment.", (), False),
    Parameter("to", "The moment before which they end.", (), False),
    Parameter("at", "A past moment, as in 2026-11-23T14:00:00Z: only what was until then.", (), False),
)
FORMAT = Parameter("format", "`csv`: all rows, 100,000 at most, as a file.", ("csv",), False)
AGE_PARAMETERS = (
    CLUSTER,
    Parameter("kind", "Kubernetes kind.", ROTATING_KINDS),
    NAMESPACE,
    NAME,
    SEARCH,
    Parameter("age", "Days since the last rotation, or since it was first seen.", AGES, False),
    Parameter("seen", "Whether a rotation was ever seen.", SEEN, False),
    Parameter("policy", "`past`: only what is past its policy.", POLICY, False),
)
WAVE_PARAMETERS = (
    Parameter("key", "A key at a provider, by its exact name.", (), False),
    Parameter("property", "The property of `key` that is read; without it, what reads all of it.", (), False),
    Parameter("resource", "Id of a resource: only keys that it reads.", (), False),
)


@dataclass(frozen=True, kw_only=True)
class LedgerFilters:
    """Every condition holds; inside one field any value does. `since` <= moment < `until`; None does not restrict."""

    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    q: str = ""
    confidences: tuple[Confidence, ...] = ()
    sources: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AgeFilters:
    """As LedgerFilters; `age`, `seen` and `policy` are one of AGES, SEEN and POLICY, or ""."""

    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    q: str = ""
    age: str = ""
    seen: str = ""
    policy: str = ""


@dataclass(frozen=True, kw_only=True)
class WaveFilters:
    """One key with its property, or the keys of one resource, or (without both) all."""

    key: str = ""
    property: str = ""
    resource: int | None = None


def parse_ledger(query: Query, now: datetime, *more: Parameter) -> LedgerFilters:
    """`more` are parameters that the page takes besides."""
    refuse_unknown(query, (*LEDGER_PARAMETERS, *more))
    since, until = parse_at(query, now, "from"), parse_at(query, now, "to")
    if since and until and since >= until:
        raise WrongParameter("from", "must lie before `to`")
    return LedgerFilters(
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", LEDGER_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        q=search(query),
        confidences=tuple(Confidence[name.upper()] for name in choices(query, "confidence", CONFIDENCES)),
        sources=choices(query, "source", SOURCES),
        since=since,
        until=until,
    )


def parse_ages(query: Query, *more: Parameter) -> AgeFilters:
    """`more` are parameters that the page takes besides."""
    refuse_unknown(query, (*AGE_PARAMETERS, *more))
    return AgeFilters(
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", ROTATING_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        q=search(query),
        age=one_of(query, "age", AGES),
        seen=one_of(query, "seen", SEEN),
        policy=one_of(query, "policy", POLICY),
    )


def parse_waves(query: Query) -> WaveFilters:
    refuse_unknown(query, WAVE_PARAMETERS)
    if wrong := sorted(PAGING.intersection(query)):
        raise WrongParameter(wrong[0], "this list has no pages")
    key, property_ = _name_at_provider(query, "key"), _name_at_provider(query, "property")
    if property_ and not key:
        raise WrongParameter("property", "is the property of a `key`, which is missing")
    resource = whole_number(query, "resource", maximum=MAX_ID)
    if key and resource:
        raise WrongParameter("resource", "cannot be asked for together with `key`")
    return WaveFilters(key=key, property=property_, resource=resource)


def _name_at_provider(query: Query, name: str) -> str:
    """As it is written: a key may hold commas."""
    text = (query.getlist(name) or [""])[-1]
    if len(text) > MAX_KEY or not text.isprintable():
        raise WrongParameter(name, "holds a text that no key can be called")
    return text
