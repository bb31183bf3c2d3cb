"""Turns SIGINT, SIGTERM and SIGHUP into one exception, wherever the main thread is at that moment."""

import os
import signal
from pathlib import Path
from types import FrameType

SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
asked: list[int] = []


class Stopped(BaseException):
    """We were asked to stop. Not an Exception: nothing on the way up should take it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)


def stop_on_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, _stop)


def raise_if_asked() -> None:
    """For loops that wait: Python drops an exception that a handler raises while a destructor runs."""
    if asked or _make_was_interrupted():
        raise Stopped(asked[0] if asked else signal.SIGINT)


def _make_was_interrupted() -> bool:
    """True if `make`, our parent, got SIGINT alone, as from a program that started it.

    make passes SIGTERM on to us, but not SIGINT, which it expects from the terminal: it would wait for us for ever.
    While it does, it stands in its handler, where SIGINT is blocked. Needs /proc; elsewhere always False.
    """
    try:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{os.getppid()}/status").read_text().splitlines())
    except (OSError, ValueError):
        return False
    return status.get("Name") == "make" and bool(int(status.get("SigBlk", "0"), 16) >> (signal.SIGINT - 1) & 1)


def ignore_signals() -> None:
    """While stopping: a second Ctrl-C must not leave children behind."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    asked.append(number)
    if len(asked) == 1:
        raise Stopped(number)
