"""When things happen in the story: troubles, refreshes and rotations as pure functions of time.

All times are whole seconds relative to the story's epoch, the moment the fleet was first started: below zero lies the
back story of some days, from zero on the same kinds of events return in a short live cycle.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MINUTE, HOUR, DAY = 60, 3600, 86_400
CYCLE = 12 * MINUTE
FOREVER = 100 * 365 * DAY
HISTORY = 30 * DAY
"""The back story reaches this far before the epoch."""


@dataclass(frozen=True, slots=True)
class Window:
    start: int
    end: int
    number: int = 0
    """Which occurrence of its trouble this is; negative numbers belong to the back story."""


@dataclass(frozen=True)
class Trouble:
    """Something that is the matter now and then.

    `back` are hours relative to the epoch, `live` seconds inside the cycle (the end may lie in a later one), repeated
    every `every` cycles beginning with cycle `first`.
    """

    back: tuple[tuple[float, float], ...] = ()
    live: tuple[int, int] | None = None
    every: int = 1
    first: int = 0
    cause: str = ""
    by: str = ""

    @cached_property
    def _past(self) -> tuple[Window, ...]:
        return tuple(
            Window(int(start * HOUR), int(end * HOUR) if end < FOREVER else FOREVER, number)
            for number, (start, end) in enumerate(self.back, start=-len(self.back))
        )

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(window.start for window in self._past)

    def latest(self, t: int) -> Window | None:
        """The last window that began at or before `t`."""
        if self.live is not None:
            period = self.every * CYCLE
            number = (t - self.first * CYCLE - self.live[0]) // period
            if number >= 0:
                shift = self.first * CYCLE + number * period
                return Window(self.live[0] + shift, self.live[1] + shift, number)
        place = bisect_right(self._starts, t)
        return self._past[place - 1] if place else None

    def at(self, t: int) -> Window | None:
        """The window that covers `t`."""
        latest = self.latest(t)
        return latest if latest is not None and t < latest.end else None

    def recent(self, t: int, most: int = 12) -> Iterator[Window]:
        """Windows that began at or before `t`, newest first."""
        window = self.latest(t)
        while window is not None and most:
            yield window
            most -= 1
            window = self.latest(window.start - 1)

    def count(self, t: int) -> int:
        """How many windows have begun, counted from before the back story."""
        window = self.latest(t)
        return 0 if window is None else window.number + len(self.back) + 1

    def changes(self, t: int) -> int:
        """How often it has begun or ended."""
        return 2 * self.count(t) - (1 if self.at(t) else 0)

    def changed_at(self, t: int) -> int | None:
        """When it began or ended last; None if it never did."""
        window = self.latest(t)
        if window is None:
            return None
        return window.start if t < window.end else window.end


def weekly(hour: float, weeks: range) -> tuple[tuple[float, float], ...]:
    """Windows of an hour, so many weeks before `hour`, oldest first: rotations by the calendar.

    In the first weeks of the back story `hour` must be odd: a replay looks at even ones only, and an Event that tells
    of a rotation is gone after an hour.
    """
    return tuple((hour - 168 * week, hour + 1 - 168 * week) for week in sorted(weeks, reverse=True))


@dataclass(frozen=True, slots=True)
class Failure:
    since: int
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Refreshes:
    """The refreshes of one ExternalSecret at `interval`, disturbed by troubles.

    Undisturbed they fall on a fixed grid. `failing` troubles let an attempt fail, it succeeds `lag` seconds after the
    trouble (the controller's backoff); under `frozen` ones no attempt is made at all. The lag is shorter than every
    pause between two troubles, or no attempt would ever succeed. What a changed spec brings about fails at once, since
    the controller does not wait for the grid then; such troubles last longer than `interval`.
    """

    interval: int
    phase: int
    lag: int
    failing: tuple[Trouble, ...] = ()
    frozen: tuple[Trouble, ...] = ()

    def _before(self, t: int) -> int:
        return (t - self.phase) // self.interval * self.interval + self.phase

    def _from(self, t: int) -> int:
        return self._before(t + self.interval - 1)

    def _window(self, troubles: tuple[Trouble, ...], t: int) -> Window | None:
        found = [window for trouble in troubles if (window := trouble.at(t)) is not None]
        return max(found, key=lambda window: window.end, default=None)

    def success(self, attempt: int) -> int:
        """When the attempt that is due at `attempt` succeeds."""
        while window := self._window(self.failing + self.frozen, attempt):
            attempt = min(window.end + self.lag, max(self._from(window.end), window.end))
        return attempt

    def refreshed_at(self, t: int) -> int:
        """The last success at or before `t`."""
        attempt = self._before(t)
        while (done := self.success(attempt)) > t:
            window = self._window(self.failing + self.frozen, attempt)
            attempt = self._before((window.start if window else attempt) - 1)
        return done

    def failure(self, t: int) -> Failure | None:
        """The failure that stands at `t`: since its first failed attempt after the last success."""
        done = self.refreshed_at(t)
        attempt = min(self._before(done) + self.interval, self._changed_after(done, t))
        while attempt <= t:
            if window := self._window(self.frozen, attempt):
                attempt = window.end + self.lag
                continue
            cause = next((trouble for trouble in self.failing if trouble.at(attempt)), None)
            return None if cause is None else Failure(attempt, cause)
        return None

    def _changed_after(self, done: int, t: int) -> int:
        """When somebody changed the spec for the worse, after the success `done`; never, if nobody did."""
        changed = (window.start for trouble in self.failing if trouble.by and (window := trouble.latest(t)))
        return min((start for start in changed if start > done), default=FOREVER)

    def good_since(self, t: int) -> int | None:
        """When the last failure ended; None when there was none in living memory. Asked while nothing fails."""
        ends = [
            self.success(attempt)
            for trouble in self.failing
            for window in trouble.recent(t)
            if (attempt := self._from(window.start)) < window.end and not self._window(self.frozen, attempt)
        ]
        return max((end for end in ends if end <= t), default=None)

    def changed_at(self, rotated: int) -> int:
        """When a value that changed at the provider at `rotated` arrives."""
        return self.success(self._from(rotated))


def retries(since: int, t: int) -> tuple[int, int]:
    """Number of attempts and time of the last one, `since` a first failure: 1 s, 2 s, 4 s ... at most 7 minutes apart.

    Source: External Secrets 2.9.0, pkg/controllers/common (ItemExponentialFailureRateLimiter).
    """
    attempts, last, wait = 1, since, 1
    while last + wait <= t:
        if wait == 7 * MINUTE:
            more = (t - last) // wait
            return attempts + more, last + more * wait
        last += wait
        attempts += 1
        wait = min(2 * wait, 7 * MINUTE)
    return attempts, last
