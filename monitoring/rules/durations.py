"""Go durations: how the controllers write intervals, and how we show a span of time to a person."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")  # a number with any unit, or with none
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST: Final = 2**63 - 1  # Go keeps nanoseconds in an int64; a longer one is an error there
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def go_duration(text: str) -> timedelta | None:
    """The span that Go's time.ParseDuration reads from `text`; None where it would refuse (e.g. "1d", "", "60").

    Spans under a microsecond become zero only if they are zero: 1ns is one microsecond here, so that "more than
    nothing" stays true. Digits beyond ASCII, and numbers over 100 characters, are refused.
    """
    if len(text) > 100:
        return None
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    if rest == "0":
        return timedelta(0)
    total = _nanoseconds(rest)
    if total is None:
        return None
    microseconds = -(-total // 1000) if total < 1000 else total // 1000
    return sign * timedelta(microseconds=microseconds)


def refusal(text: str) -> str:
    """Why Go's time.ParseDuration refuses `text`, in its words: those that the controller's log holds.

    Of a number that is none, or a duration too long for an int64, Go says no more than "invalid".
    """
    shown, rest = text[:80], text[1:] if text[:1] in ("-", "+") else text
    while part := _PART.match(rest):
        if not part[2]:
            return f'time: missing unit in duration "{shown}"'
        if part[2] not in _NANOSECONDS:
            return f'time: unknown unit "{part[2][:20]}" in duration "{shown}"'
        rest = rest[part.end() :]
    return f'time: invalid duration "{shown}"'


def _nanoseconds(text: str) -> int | None:
    total, position = 0, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        whole, _, fraction = token[1].partition(".")
        unit = _NANOSECONDS[token[2]]
        total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = token.end()
    return total if text and total <= _LONGEST else None


def after(moment: datetime, span: timedelta) -> datetime:
    """`moment + span`, or the last moment there is where the sum leaves the calendar."""
    try:
        return moment + span
    except OverflowError:
        return LAST_MOMENT


def span_words(span: timedelta) -> str:
    """Two largest units: "4 h 57 min", "3 d 2 h", "45 s", "0 s"."""
    seconds = int(abs(span).total_seconds())
    parts = [
        f"{count} {unit}"
        for count, unit in (
            (seconds // 86_400, "d"),
            (seconds % 86_400 // 3_600, "h"),
            (seconds % 3_600 // 60, "min"),
            (seconds % 60, "s"),
        )
        if count
    ]
    return " ".join(parts[:2]) or "0 s"


def moment_words(moment: datetime) -> str:
    """A moment as it stands in sentences that are stored: "24 Nov 2026 09:10 UTC"."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year} {moment:%H:%M} UTC"
