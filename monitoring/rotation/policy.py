"""How often values are to be rotated: what the installation says, and what an object says of itself.

A policy is a list of rules, of which the first that fits holds. An object's own annotation
`secretsdash.io/rotate-after-days` (see clusters.kinds.base) counts instead of all of them.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

KINDS: Final = ("ExternalSecret", "SealedSecret", "SecretProviderClass")
MOST_DAYS: Final = 3650
NAMES: Final = ("days", "cluster_label", "namespace", "kind")


class BadRule(ValueError):
    """A policy that cannot be read. The message names the rule, counted from 1, and never repeats its values."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What it is about is to be rotated after `days`. Empty conditions do not restrict.

    `label` and `value` are of the cluster; in `namespace`, * and ? stand for any characters.
    """

    days: int
    label: str = ""
    value: str = ""
    namespace: str = ""
    kind: str = ""

    @property
    def namespace_like(self) -> str:
        """`namespace` as a pattern of SQL's LIKE."""
        return re.sub(r"([%_\\])", r"\\\1", self.namespace).replace("*", "%").replace("?", "_")

    def fits(self, kind: str, namespace: str, labels: Mapping[str, object]) -> bool:
        return self.fits_cluster(labels) and self.kind in ("", kind) and self.fits_namespace(namespace)

    def fits_namespace(self, namespace: str) -> bool:
        # Square brackets mean something to fnmatch only; no namespace has them.
        return not self.namespace or fnmatchcase(namespace, self.namespace.replace("[", "[[]"))

    def fits_cluster(self, labels: Mapping[str, object]) -> bool:
        return not self.label or labels.get(self.label) == self.value

    @property
    def words(self) -> str:
        """ "90 d for ExternalSecret, namespace pay-*, clusters with env=prod"."""
        about = (
            self.kind,
            f"namespace {self.namespace}" if self.namespace else "",
            f"clusters with {self.label}={self.value}" if self.label else "",
        )
        return f"{self.days} d for {', '.join(filter(None, about)) or 'all'}"


def parse(given: object) -> tuple[Rule, ...]:
    """A policy as it is configured: a list of {"days": 90, "cluster_label": "env=prod", "namespace": "pay-*",
    "kind": "ExternalSecret"}, of which only `days` must be there. Raises BadRule."""
    if not isinstance(given, list):
        raise BadRule("a policy is a list of rules")
    return tuple(_rule(place, entry) for place, entry in enumerate(given, start=1))


def _rule(place: int, entry: object) -> Rule:
    if not isinstance(entry, dict) or set(entry) - set(NAMES):
        raise BadRule(f"rule {place} must be an object with no other names than {', '.join(NAMES)}")
    days = entry.get("days")
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= MOST_DAYS:
        raise BadRule(f"rule {place}: days must be a whole number from 1 to {MOST_DAYS}")
    texts = {name: entry.get(name, "") for name in NAMES[1:]}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.isprintable() or len(text) > 253:
            raise BadRule(f"rule {place}: {name} must be a text")
    label, equals, value = texts["cluster_label"].partition("=")
    if texts["cluster_label"] and not (label and equals):
        raise BadRule(f'rule {place}: cluster_label must be a label and its value, as in "env=prod"')
    if texts["kind"] not in ("", *KINDS):
        raise BadRule(f"rule {place}: kind must be one of {', '.join(KINDS)}")
    return Rule(days=days, label=label, value=value, namespace=texts["namespace"], kind=texts["kind"])


def days_of(
    rules: Sequence[Rule], kind: str, namespace: str, labels: Mapping[str, object], own_days: int = 0
) -> int | None:
    """After how many days such an object is to be rotated; None where nothing says so.

    `own_days` is what the object says of itself, 0 for nothing.
    """
    if own_days:
        return own_days
    return next((rule.days for rule in rules if rule.fits(kind, namespace, labels)), None)
