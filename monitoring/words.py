"""How numbers, durations and moments are written on pages. Plain functions; templates use them as tags and filters."""

from datetime import UTC, datetime, timedelta

NBSP = "\N{NO-BREAK SPACE}"
MINUTE, HOUR, DAY = 60, 3600, 86400


def duration(span: timedelta) -> str:
    """`48 s`, `12 min`, `4 h 57 min`, `1 d 4 h`, `9 d`: two units at most, rounded down; the sign is dropped."""
    seconds = int(abs(span.total_seconds()))
    if seconds < MINUTE:
        return f"{seconds}{NBSP}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}{NBSP}min"
    if seconds < DAY:
        return _two(seconds, HOUR, "h", MINUTE, "min")
    if seconds < 2 * DAY:
        return _two(seconds, DAY, "d", HOUR, "h")
    return f"{number(seconds // DAY)}{NBSP}d"


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    first, rest = divmod(seconds, large)
    second = rest // small
    words = f"{first}{NBSP}{large_unit}"
    return f"{words} {second}{NBSP}{small_unit}" if second else words


def moment(at: datetime, now: datetime) -> str:
    """Short and absolute, in UTC: the time for today, day and time within half a year, otherwise the date."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    if abs(now - at) < timedelta(days=180):
        return f"{at.day}{NBSP}{at:%b %H:%M}"
    return f"{at.day}{NBSP}{at:%b %Y}"


def full_moment(at: datetime) -> str:
    """Absolute with seconds and zone."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y %H:%M:%S} UTC"


def number(value: int) -> str:
    """Thousands separated: 61,204."""
    return f"{value:,}"


SMALL = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def counted(value: int, one: str, many: str = "") -> str:
    """`1 cluster`, `2 clusters`, `2 classes`."""
    return f"{number(value)} {one if value == 1 else many or one + ('es' if one.endswith('s') else 's')}"


def listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """`a, b and 4 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {number(len(names) - most)} more" if len(names) > most else shown
