"""Go durations and sync windows, which decide when a refresh is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.observations import SyncWindow
from monitoring.rules.durations import LAST_MOMENT, after, go_duration, moment_words, span_words
from monitoring.rules.sync_windows import next_allowed, readable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("1h", 3600),
        ("1h0m0s", 3600),
        ("720h0m0s", 2_592_000),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("-5m", -300),
        ("1h-5m", None),
        ("100ms", 0.1),
        ("2µs", 0.000002),
        ("2μs", 0.000002),
        ("1ns", 0.000001),
        ("1m1m", 120),
        ("2562047h47m16s", 9_223_372_036),
        ("2562048h", None),  # more nanoseconds than an int64 holds
        ("1d", None),
        ("1w", None),
        ("60", None),
        ("", None),
        ("+", None),
        ("h", None),
        (".h", None),
        ("1 h", None),
        (" 1h", None),
        ("1h ", None),
        ("1H", None),
        ("--1h", None),
        ("1e3s", None),
        ("\u0661h", None),
        ("1" * 101 + "h", None),
    ],
)
def test_go_duration(text: str, seconds: float | None) -> None:
    assert go_duration(text) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(alphabet="0123456789.hmsuµn-+ d", max_size=12) | st.text(max_size=200))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    found = go_duration(text)
    assert found is None or isinstance(found, timedelta)


@given(st.integers(0, 1_000_000), st.integers(0, 59), st.integers(0, 59))
def test_what_go_prints_is_read_back(hours: int, minutes: int, seconds: int) -> None:
    assert go_duration(f"{hours}h{minutes}m{seconds}s") == timedelta(hours=hours, minutes=minutes, seconds=seconds)


def test_a_sum_beyond_the_calendar_is_the_last_moment() -> None:
    assert after(datetime(9999, 12, 31, tzinfo=UTC), timedelta(days=100_000)) == LAST_MOMENT


def test_words() -> None:
    assert span_words(timedelta(hours=4, minutes=57, seconds=3)) == "4 h 57 min"
    assert span_words(timedelta(days=30)) == "30 d"
    assert span_words(timedelta(milliseconds=5)) == "0 s"
    assert moment_words(datetime(2026, 11, 24, 9, 5, tzinfo=UTC)) == "24 Nov 2026 09:05 UTC"


def day(hour: int, minute: int = 0, *, of: int = 24) -> datetime:
    return datetime(2026, 11, of, hour, minute, tzinfo=UTC)


def windows(kind: str, *entries: tuple[str, str]) -> tuple[SyncWindow, ...]:
    return tuple(SyncWindow(kind=kind, schedule=schedule, duration=duration) for schedule, duration in entries)


@pytest.mark.parametrize(
    ("given", "moment", "expected"),
    [
        ((), day(4), day(4)),
        (windows("deny", ("0 3 * * *", "4h")), day(2, 59), day(2, 59)),
        (windows("deny", ("0 3 * * *", "4h")), day(3), day(7)),
        (windows("deny", ("0 3 * * *", "4h")), day(4, 21), day(7)),
        (windows("deny", ("0 3 * * *", "4h")), day(7), day(7)),
        # One window follows another: both have to be over.
        (windows("deny", ("0 3 * * *", "4h"), ("30 6 * * *", "2h")), day(4), day(8, 30)),
        # A window that is longer than its own distance never ends.
        (windows("deny", ("0 * * * *", "2h")), day(4), None),
        (windows("deny", ("nonsense", "4h")), day(4), day(4)),
        (windows("deny", ("0 3 * * *", "1d")), day(4), day(4)),
        (windows("allow", ("0 22 * * *", "2h")), day(23), day(23)),
        (windows("allow", ("0 22 * * *", "2h")), day(20), day(22)),
        (windows("allow", ("0 22 * * *", "2h")), day(1), day(22)),
        (windows("allow", ("0 22 * * *", "2h"), ("@daily", "30m")), day(23, 30), day(23, 30)),
        (windows("allow", ("@daily", "30m")), day(23, 30), day(0, of=25)),
        (windows("allow", ("nonsense", "4h")), day(4), None),
        (windows("allow", ("0 0 31 2 *", "4h")), day(4), None),
        (windows("allow", ("0 0 3 * * *", "4h")), day(4), None),  # six fields: External Secrets refuses seconds
        (windows("whatever", ("0 22 * * *", "2h")), day(4), day(4)),
    ],
)
def test_next_allowed(given: tuple[SyncWindow, ...], moment: datetime, expected: datetime | None) -> None:
    assert next_allowed(given, moment) == expected


def test_readable() -> None:
    assert readable(SyncWindow(kind="deny", schedule="@hourly", duration="5m"))
    assert not readable(SyncWindow(kind="deny", schedule="@every 5m", duration="5m"))
    assert not readable(SyncWindow(kind="deny", schedule="* * * * *", duration="1d"))
    assert not readable(SyncWindow())
