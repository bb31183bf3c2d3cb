"""The limits that rules judge by: defaults, what the installation sets, and what a cluster's labels say otherwise."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from monitoring.rules.durations import go_duration, span_words


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster's limits. All are durations, but `stopped_share`, a share from 0 to 1 of a cluster's ExternalSecrets.

    `grace_least` and `grace_most` bound the tenth of an interval by which a refresh may be late. `first_reconcile` is
    how long an object may be without a status, `observed_lag` how long a SealedSecret's status may be of an older
    generation, `mount_wait` how long a pod may wait for its volume.
    """

    grace_least: timedelta = timedelta(minutes=1)
    grace_most: timedelta = timedelta(minutes=10)
    first_reconcile: timedelta = timedelta(minutes=15)
    deletion_stuck: timedelta = timedelta(minutes=10)
    observed_lag: timedelta = timedelta(minutes=2)
    mount_wait: timedelta = timedelta(minutes=2)
    controller_down: timedelta = timedelta(minutes=2)
    renewal_slack: timedelta = timedelta(hours=24)
    certificate_expiry: timedelta = timedelta(days=30)
    stopped_share: float = 0.5


DEFAULTS: Final = Thresholds()
NAMES: Final = Thresholds.__struct_fields__
LONGEST: Final = timedelta(hours=87_600)


class BadThreshold(ValueError):
    """A name or a value that is none. The message names it."""


def parse(given: Mapping[str, object], base: Thresholds = DEFAULTS) -> Thresholds:
    """`base` with what `given` says: Go durations ("10m"), a number for `stopped_share`. Raises BadThreshold."""
    return msgspec.structs.replace(base, **{name: _value(name, value) for name, value in given.items()})


def _value(name: str, value: object) -> timedelta | float:
    if name not in NAMES:
        raise BadThreshold(f"{name[:40]!r} is no threshold; there are: {', '.join(NAMES)}")
    if name == "stopped_share":
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
            return float(value)
        raise BadThreshold(f"{name} must be a number above 0 and at most 1")
    span = go_duration(value) if isinstance(value, str) else None
    if span is None or not timedelta(0) <= span <= LONGEST:
        raise BadThreshold(f"{name} must be a duration such as 90s, 10m or 24h, at most 87600h")
    return span


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What clusters with this label get instead. Later ones win over earlier ones."""

    label: str
    value: str
    given: Mapping[str, object]


def of_cluster(labels: Mapping[str, object], base: Thresholds, overrides: Sequence[Override]) -> Thresholds:
    """The thresholds of a cluster with these labels."""
    for override in overrides:
        if labels.get(override.label) == override.value:
            base = parse(override.given, base)
    return base


def words(thresholds: Thresholds, name: str) -> str:
    """A threshold in words for people: "15 minutes", "50%"."""
    value = getattr(thresholds, name)
    return span_words(value) if isinstance(value, timedelta) else f"{value:.0%}"
