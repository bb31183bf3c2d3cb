"""Filters of drift: the same object in several clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from monitoring import agreement
from monitoring.agreement import NO_RULE, Agreement, BadAgreement, Labels
from monitoring.families import DRIFT_KINDS
from monitoring.filters.parameters import (
    CLUSTER,
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
    values_of,
)

DRIFT_CHOICES = ("differences", "missing", "all")
AGREEMENT_PARAMETERS = (
    CLUSTER,
    Parameter("rule", f"Name of a rule of agreement (DRIFT_RULES), or {NO_RULE}.", (), False),
    Parameter(
        "agree",
        "Only clusters with this label, as in stage=production: they should agree. Of a comma list they must have all. "
        "Instead of what the rule says, as the next two are.",
        (),
        False,
    ),
    Parameter("differ", "Label of clusters by whose values secret values must differ, as in stage.", (), False),
    Parameter("except", "Field that may differ, or its first words, as in interval or key."),
)
DRIFT_PARAMETERS = (
    *AGREEMENT_PARAMETERS,
    Parameter("kind", "Kubernetes kind.", DRIFT_KINDS),
    NAMESPACE,
    NAME,
    Parameter("q", f"Part of namespace/name, at least {MIN_SEARCH} characters.", (), False),
    Parameter("only", "What differs (the default), what is missing in some clusters, or all.", DRIFT_CHOICES, False),
)
Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class DriftFilters:
    """`agree`, `differ` and `excepted` are what the address itself asks for: each instead of what `rule` says."""

    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    q: str = ""
    only: str = "differences"
    rule: Agreement | None = None
    agree: Labels = ()
    differ: str = ""
    excepted: tuple[str, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """What holds, of the address and the rule."""
        rule = self.rule or Agreement()
        return Agreement(
            name=rule.name,
            agree=self.agree or rule.agree,
            differ=self.differ or rule.differ,
            excepted=self.excepted or rule.excepted,
        )


def parse_agreement(query: Query, rules: Sequence[Agreement], *, usual: bool) -> DriftFilters:
    """Which clusters are compared, and what must or may differ; for one object, so nothing else.

    `usual`: the first rule holds where the query says nothing of agreement.
    """
    refuse_unknown(query, AGREEMENT_PARAMETERS)
    return DriftFilters(**_agreement(query, rules, usual))


def parse_drift(query: Query, rules: Sequence[Agreement], *, usual: bool) -> DriftFilters:
    """As `parse_agreement`, with everything that a list can be restricted by."""
    refuse_unknown(query, DRIFT_PARAMETERS)
    return DriftFilters(
        **_agreement(query, rules, usual),
        kinds=choices(query, "kind", DRIFT_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
        q=search(query),
        only=one_of(query, "only", DRIFT_CHOICES) or "differences",
    )


def _agreement(query: Query, rules: Sequence[Agreement], usual: bool) -> dict[str, Any]:
    name = _last(query, "rule")
    asked = {
        "agree": _read(agreement.parse_labels, "agree", ",".join(query.getlist("agree"))),
        "differ": _read(agreement.label_name, "differ", differ) if (differ := _last(query, "differ")) else "",
        "excepted": tuple(_read(agreement.field_name, "except", field) for field in values_of(query, "except")),
    }
    by_name = {rule.name: rule for rule in rules}
    if name and name != NO_RULE and name not in by_name:
        raise WrongParameter("rule", f"{name[:40]!r} is not the name of a rule", (*by_name, NO_RULE))
    if usual and rules and not name and not any(asked.values()):
        name = rules[0].name
    return {"clusters": texts(query, "cluster"), "rule": by_name.get(name), **asked}


def _read(read: Callable[[str], Read], parameter: str, text: str) -> Read:
    try:
        return read(text)
    except BadAgreement as error:
        raise WrongParameter(parameter, str(error)) from None


def _last(query: Query, name: str) -> str:
    return (query.getlist(name) or [""])[-1].strip()
