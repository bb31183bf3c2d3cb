"""Moments: that of a list, and the two of a difference."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitoring.families import JUDGED_KINDS
from monitoring.filters.parameters import (
    CLUSTER,
    KIND,
    NAME,
    NAMESPACE,
    Parameter,
    Query,
    WrongParameter,
    choices,
    refuse_unknown,
    texts,
)

# Date and time, perhaps seconds, perhaps a zone: as ISO 8601 and <input type="datetime-local"> write it.
MOMENT_FORM = re.compile(r"\d{4}-\d\d-\d\d([T+]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
DIFF_PARAMETERS = (
    Parameter("from", "The earlier moment.", (), False),
    Parameter("to", "The later moment; now without it.", (), False),
    CLUSTER,
    KIND,
    NAMESPACE,
    NAME,
)
LONGEST_DIFF = timedelta(days=31)  # one partition, or two: what changed within a year is a trend, not a list


def parse_at(query: Query, now: datetime, name: str = "at") -> datetime | None:
    """The parameter `name` as a moment before `now`; None without it. Whether we knew anything then is not asked."""
    given = [text for value in query.getlist(name) if (text := value.strip())]
    if len(given) > 1:
        raise WrongParameter(name, "is given more than once")
    text = given[0] if given else ""
    if not text:
        return None
    # In an address a plus is a space.
    written = text.replace(" ", "+") if MOMENT_FORM.fullmatch(text.replace(" ", "+")) else text
    try:
        found = datetime.fromisoformat(written) if MOMENT_FORM.fullmatch(written) else None
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise WrongParameter(name, f"{text[:40]!r} is not a moment such as 2026-11-23T14:00:00Z")
    if moment > now:
        raise WrongParameter(name, "lies in the future")
    return moment


@dataclass(frozen=True, kw_only=True)
class DiffFilters:
    """What changed between two moments, `before` < `after`."""

    before: datetime
    after: datetime
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def parse_diff(query: Query, now: datetime) -> DiffFilters:
    refuse_unknown(query, DIFF_PARAMETERS)
    before, after = parse_at(query, now, "from"), parse_at(query, now, "to") or now
    if before is None:
        raise WrongParameter("from", "is missing: a moment such as 2026-11-23T14:00:00Z")
    if before >= after:
        raise WrongParameter("from", "must lie before `to`")
    if after - before > LONGEST_DIFF:
        raise WrongParameter("from", f"lies more than {LONGEST_DIFF.days} days before `to`")
    return DiffFilters(
        before=before,
        after=after,
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", JUDGED_KINDS),
        namespaces=texts(query, "namespace"),
        names=texts(query, "name"),
    )
