"""spec.syncWindows of an ExternalSecret: from when on a periodic refresh is allowed.

Semantics of External Secrets >= 2.7.0: five-field cron or @descriptor in UTC; with `allow` at least one window must be
open, with `deny` none may be; an entry whose schedule cannot be read is never open; an unknown kind, and an empty
list, always allow. Windows gate periodic refreshes only.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from cronsim import CronSim, CronSimError

from clusters.observations import SyncWindow
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
_MOST_STEPS: Final = 50  # adjoining deny windows that are followed; beyond that we say "never"


def readable(window: SyncWindow) -> bool:
    """Whether the schedule and the duration of `window` can be understood."""
    return _cron(window, datetime(2000, 1, 1, tzinfo=UTC)) is not None and go_duration(window.duration) is not None


def next_allowed(windows: tuple[SyncWindow, ...], moment: datetime) -> datetime | None:
    """The first instant from `moment` on at which a refresh is allowed; None if no window ever allows one."""
    if not windows:
        return moment
    kind = windows[0].kind
    if kind == "deny":
        return _after_denials(windows, moment)
    if kind != "allow" or any(_end_of_open(window, moment) for window in windows):
        return moment
    return min((start for window in windows if (start := _next_start(window, moment))), default=None)


def _after_denials(windows: tuple[SyncWindow, ...], moment: datetime) -> datetime | None:
    for _ in range(_MOST_STEPS):
        ends = [end for window in windows if (end := _end_of_open(window, moment))]
        if not ends:
            return moment
        moment = max(ends)
    return None


def _end_of_open(window: SyncWindow, moment: datetime) -> datetime | None:
    """When the window that is open at `moment` ends; None if it is shut then."""
    span = go_duration(window.duration)
    # Backwards iteration yields starts strictly before its argument; one minute more includes `moment` itself.
    starts = _cron(window, after(moment, timedelta(minutes=1)), reverse=True)
    if span is None or starts is None:
        return None
    for start in starts:
        if start <= moment:
            end = after(start, span)
            return end if end > moment else None
    return None


def _next_start(window: SyncWindow, moment: datetime) -> datetime | None:
    starts = _cron(window, moment)
    return next(starts, None) if starts is not None and go_duration(window.duration) else None


def _cron(window: SyncWindow, moment: datetime, *, reverse: bool = False) -> CronSim | None:
    expression = " ".join(window.schedule.split())
    expression = _DESCRIPTORS.get(expression, expression)
    if len(expression.split(" ")) != 5:  # six fields have seconds, which External Secrets refuses
        return None
    try:
        return CronSim(expression, moment, reverse=reverse)
    except CronSimError:
        return None
