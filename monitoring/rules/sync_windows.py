"""spec.syncWindows of an ExternalSecret: from when on a periodic refresh is allowed.

Semantics of External Secrets >= 2.7.0: five-field cron or @descriptor in UTC; with `allow` at least one window must be
open, with `deny` none may be; an entry whose schedule cannot be read is never open; an unknown kind, and an empty
list, always allow. Windows gate periodic refreshes only.

Whoever writes the object chooses the schedules, so the search is ours and bounded: cronsim reads an expression and
says which days it means, but looks 50 years ahead for one (8 ms for a 29 February on a Sunday).
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

from clusters.facts import SyncWindow
from monitoring.rules.durations import after, go_duration

_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_HORIZON_YEARS: Final = 8  # two 29 Februaries are at most this far apart; what lies beyond is "never"
_MOST_MONTHS: Final = 24  # looked at for one start; only with few months in a year is a start rarer than that
_MOST_LOOKS: Final = 300  # at single windows, while adjoining denials are followed; beyond that we say "never"
_NOTHING: Final = timedelta(0)


class _Schedule(NamedTuple):
    """A cron expression that was read. `minutes` are the minutes of a day at which it starts, in order."""

    expression: str
    days: CronSim
    months: tuple[int, ...]
    minutes: tuple[int, ...]


def readable(window: SyncWindow) -> bool:
    """Whether the schedule and the duration of `window` can be understood."""
    return _schedule(window.schedule) is not None and go_duration(window.duration) is not None


def next_allowed(windows: tuple[SyncWindow, ...], moment: datetime) -> datetime | None:
    """The first instant from `moment` on at which a refresh is allowed; None if no window ever allows one."""
    if not windows:
        return moment
    kind = windows[0].kind
    windows = tuple(dict.fromkeys(windows))
    if kind == "deny":
        return _after_denials(windows, moment)
    if kind != "allow" or any(_end_of_open(window, moment) for window in windows):
        return moment
    return min((start for window in windows if (start := _next_start(window, moment))), default=None)


def _after_denials(windows: tuple[SyncWindow, ...], moment: datetime) -> datetime | None:
    for _ in range(max(1, _MOST_LOOKS // len(windows))):
        before = moment
        for window in windows:
            moment = _end_of_open(window, moment) or moment
        if moment == before:
            return moment
    return None


def _end_of_open(window: SyncWindow, moment: datetime) -> datetime | None:
    """When the window that is open at `moment` ends; None if it is shut then."""
    schedule, span = _schedule(window.schedule), go_duration(window.duration)
    if schedule is None or span is None or span <= _NOTHING:
        return None
    now = moment.hour * 60 + moment.minute
    for day in _days_until(schedule, moment.date()):
        starts = bisect_right(schedule.minutes, now) if day == moment.date() else len(schedule.minutes)
        if starts:
            end = after(_at(day, schedule.minutes[starts - 1]), span)
            return end if end > moment else None
    return None


def _next_start(window: SyncWindow, moment: datetime) -> datetime | None:
    """The first start after `moment`."""
    schedule, span = _schedule(window.schedule), go_duration(window.duration)
    if schedule is None or span is None or span <= _NOTHING:
        return None
    now = moment.hour * 60 + moment.minute
    for day in _days_from(schedule, moment.date()):
        passed = bisect_right(schedule.minutes, now) if day == moment.date() else 0
        if passed < len(schedule.minutes):
            return _at(day, schedule.minutes[passed])
    return None


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60), UTC)


def _days_from(schedule: _Schedule, first: date) -> Iterator[date]:
    """The days of `schedule` from `first` on, as far as the horizon."""
    years = range(first.year, min(first.year + _HORIZON_YEARS, MAXYEAR) + 1)
    months = ((year, month) for year in years for month in schedule.months if (year, month) >= _month(first))
    for year, month in islice(months, _MOST_MONTHS):
        days = _days_of(schedule.expression, year, month)
        passed = bisect_left(days, first.day) if (year, month) == _month(first) else 0
        yield from (date(year, month, day) for day in days[passed:])


def _days_until(schedule: _Schedule, last: date) -> Iterator[date]:
    """The days of `schedule` back from `last`, as far as the horizon."""
    years = range(last.year, max(last.year - _HORIZON_YEARS, MINYEAR) - 1, -1)
    months = ((year, month) for year in years for month in schedule.months[::-1] if (year, month) <= _month(last))
    for year, month in islice(months, _MOST_MONTHS):
        days = _days_of(schedule.expression, year, month)
        passed = bisect_right(days, last.day) if (year, month) == _month(last) else len(days)
        yield from (date(year, month, day) for day in days[:passed][::-1])


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


@lru_cache(8_192)
def _days_of(expression: str, year: int, month: int) -> tuple[int, ...]:
    """The days of one month that the expression means."""
    schedule = _schedule(expression)
    if schedule is None:
        return ()
    read, possible = schedule.days, set(range(1, monthrange(year, month)[1] + 1))
    # Asking costs 0.4 us a day. Negative entries stand for the last day, whichever that is.
    if read.day_and and min(read.days) > 0:
        possible &= read.days
    return tuple(day for day in sorted(possible) if read.match_day(date(year, month, day)))


@lru_cache(512)
def _schedule(text: str) -> _Schedule | None:
    """The schedule that `text` stands for; None if External Secrets cannot read it either."""
    expression = " ".join(text.split())
    expression = _DESCRIPTORS.get(expression, expression)
    if len(expression.split(" ")) != 5:  # six fields have seconds, which External Secrets refuses
        return None
    try:
        read = CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return None
    minutes = tuple(hour * 60 + minute for hour in sorted(read.hours) for minute in sorted(read.minutes))
    return _Schedule(text, read, tuple(sorted(read.months)), minutes)
