"""Rules of agreement: which clusters should be alike, by which label values must differ, and what may differ anyway.

The installation has a list of them with names (DRIFT_RULES), of which pages take the first unless they are asked for
another. monitoring.drift compares.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from monitoring import drift

NAMES: Final = ("name", "agree", "differ", "except")
NO_RULE: Final = "none"
NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
LABEL_FORM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,62}")
MOST_RULES, MOST_EXCEPTED, MAX_VALUE = 50, 50, 253

Labels = tuple[tuple[str, str], ...]
Read = TypeVar("Read")


class BadAgreement(ValueError):
    """What cannot be read. The message names the fault, for a rule also its place, counted from 1, and its name."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Compared are clusters that have all labels of `agree`. Values must differ where the label `differ` differs.

    `excepted` are fields that may differ, as drift.is_excepted takes them. What is empty says nothing. `name` is that
    of a rule, or "".
    """

    name: str = ""
    agree: Labels = ()
    differ: str = ""
    excepted: tuple[str, ...] = ()

    def fits(self, labels: Mapping[str, object]) -> bool:
        """Whether a cluster with these labels is compared."""
        return all(labels.get(label) == value for label, value in self.agree)

    @property
    def selector(self) -> str:
        """The labels in one text, as `parse_labels` reads it."""
        return ",".join(f"{label}={value}" for label, value in self.agree)

    @property
    def words(self) -> str:
        """ "only clusters with stage=production are compared; values must differ by stage; key may differ", or ""."""
        parts = (
            f"only clusters with {_all_of(list(map('='.join, self.agree)))} are compared" if self.agree else "",
            f"values must differ by {self.differ}" if self.differ else "",
            f"{_all_of(self.excepted)} may differ" if self.excepted else "",
        )
        return "; ".join(filter(None, parts))


def _all_of(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def parse(given: object) -> tuple[Agreement, ...]:
    """Rules as they are configured: a list of {"name": "production", "agree": "stage=production,region=eu",
    "differ": "stage", "except": ["interval", "key"]}. A rule has a name and at least one of the others.

    Raises BadAgreement.
    """
    if not isinstance(given, list) or len(given) > MOST_RULES:
        raise BadAgreement(f"it must be a list of at most {MOST_RULES} rules")
    rules: dict[str, Agreement] = {}
    for place, entry in enumerate(given, start=1):
        name = _name(place, entry)
        if name in rules:
            raise BadAgreement(f"rule {place} ({name}): has the name of an earlier rule")
        try:
            rules[name] = _rule(name, entry)
        except BadAgreement as error:
            raise BadAgreement(f"rule {place} ({name}): {error}") from None
    return tuple(rules.values())


def _name(place: int, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else ""
    if isinstance(name, str) and NAME_FORM.fullmatch(name) and name != NO_RULE:
        return name
    raise BadAgreement(
        f"rule {place} must be an object with a name of small letters, digits and hyphens, at most 40, not {NO_RULE!r}"
    )


def _rule(name: str, entry: Mapping[str, object]) -> Agreement:
    if unknown := next((key for key in entry if key not in NAMES), ""):
        raise BadAgreement(f"{unknown[:40]!r} is unknown; there are: {', '.join(NAMES)}")
    agree, differ, excepted = entry.get("agree", ""), entry.get("differ", ""), entry.get("except", [])
    if not isinstance(agree, str):
        raise BadAgreement("agree must be a text such as stage=production,region=eu")
    if not isinstance(differ, str):
        raise BadAgreement("differ must be the name of a label")
    if not isinstance(excepted, list) or not all(isinstance(field, str) for field in excepted):
        raise BadAgreement("except must be a list of fields")
    rule = Agreement(
        name=name,
        agree=_named("agree", parse_labels, agree),
        differ=_named("differ", label_name, differ) if differ else "",
        excepted=tuple(_named("except", field_name, field) for field in excepted),
    )
    if not (rule.agree or rule.differ or rule.excepted):
        raise BadAgreement("says nothing; it needs agree, differ or except")
    if rule.differ in dict(rule.agree):
        raise BadAgreement("differ names a label of agree, which all compared clusters have alike")
    if len(rule.excepted) > MOST_EXCEPTED:
        raise BadAgreement(f"except must be at most {MOST_EXCEPTED} fields")
    return rule


def _named(name: str, read: Callable[[str], Read], text: str) -> Read:
    try:
        return read(text)
    except BadAgreement as error:
        raise BadAgreement(f"{name}: {error}") from None


def parse_labels(text: str) -> Labels:
    """Labels with values, all of which a cluster must have: "stage=production,region=eu". Raises BadAgreement."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        label, _, value = part.partition("=")
        if not label or not value or len(value) > MAX_VALUE or not value.isprintable():
            raise BadAgreement("must be labels of clusters with their values, as in stage=production,region=eu")
        if label_name(label) in found:
            raise BadAgreement(f"names the label {label} twice; a cluster must have all of them")
        found[label] = value
    return tuple(found.items())


def label_name(text: str) -> str:
    """The text, if a label can be called so. Raises BadAgreement."""
    if not LABEL_FORM.fullmatch(text):
        raise BadAgreement(f"{text[:40]!r} is not the name of a label")
    return text


def field_name(text: str) -> str:
    """The text, if there is such a field, or one that begins with it. Raises BadAgreement."""
    if not drift.is_field(text):
        raise BadAgreement(f"{text[:40]!r} is no field; there are: {', '.join(drift.FIELDS)}")
    return text
