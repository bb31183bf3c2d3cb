"""Filters of drift: the same object in several clusters."""

import re
from dataclasses import dataclass
from typing import Any

from monitoring.filters.parameters import (
    CLUSTER,
    CONTROL,
    MAX_TEXT,
    MIN_SEARCH,
    NAME,
    NAMESPACE,
    Parameter,
    Query,
    WrongParameter,
    choices,
    one_of,
    refuse_unknown,
    search,
    texts,
)

DRIFT_KINDS = ("ExternalSecret", "SealedSecret", "SecretProviderClass")
DRIFT_CHOICES = ("differences", "missing", "all")
LABEL_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,62}")
AGREEMENT_PARAMETERS = (
    CLUSTER,
    Parameter("agree", "Only clusters with this label, as in stage=production: they should agree.", (), False),
    Parameter("differ", "Label of clusters by whose values secret values must differ, as in stage.", (), False),
)
DRIFT_PARAMETERS = (
    *AGREEMENT_PARAMETERS,
    Parameter("kind", "Kubernetes kind.", DRIFT_KINDS),
    NAMESPACE,
    NAME,
    Parameter("q", f"Part of namespace/name, at least {MIN_SEARCH} characters.", (), False),
    Parameter("only", "What differs (the default), what is missing in some clusters, or all.", DRIFT_CHOICES, False),
)


@dataclass(frozen=True, kw_only=True)
class DriftFilters:
    """`agree` is the name and value of a label, or None; `differ` the name of one, or ""."""

    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    q: str = ""
    only: str = "differences"
    agree: tuple[str, str] | None = None
    differ: str = ""


def parse_agreement(query: Query) -> DriftFilters:
    """Which clusters are compared, and by which label they must differ; for one object, so nothing else."""
    refuse_unknown(query, AGREEMENT_PARAMETERS)
    return DriftFilters(**_agreement(query))


def parse_drift(query: Query) -> DriftFilters:
    refuse_unknown(query, DRIFT_PARAMETERS)
    return DriftFilters(
        **_agreement(query),
        kinds=choices(query, "kind", DRIFT_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        q=search(query),
        only=one_of(query, "only", DRIFT_CHOICES) or "differences",
    )


def _agreement(query: Query) -> dict[str, Any]:
    return {
        "clusters": texts(query, "cluster"),
        "agree": _label(query, "agree"),
        "differ": _label_name("differ", _last(query, "differ")),
    }


def _label(query: Query, name: str) -> tuple[str, str] | None:
    text = _last(query, name)
    if not text:
        return None
    label, _, value = text.partition("=")
    if not label or not value or len(value) > MAX_TEXT or CONTROL.search(value):
        raise WrongParameter(name, "must be the label of a cluster and its value, as in stage=production")
    return _label_name(name, label), value


def _label_name(parameter: str, text: str) -> str:
    if text and not LABEL_FORM.fullmatch(text):
        raise WrongParameter(parameter, f"{text[:40]!r} is not the name of a label")
    return text


def _last(query: Query, name: str) -> str:
    return (query.getlist(name) or [""])[-1].strip()
