"""What can be wrong with a cluster: faults that are switched on and off while it runs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NAMES = frozenset(
    {
        "hang",
        "slow",
        "reset",
        "garbage",
        "truncated",
        "content-type",
        "oversized",
        "refuse",
        "401",
        "403",
        "429",
        "500",
        "503",
    }
)


@dataclass(slots=True)
class Fault:
    """One fault.

    `only` limits it to requests whose path and query contain it, `times` ends it after that many answers (None: never),
    `seconds` is the delay of `slow`, `retry_after` the header of 429 and 503, `size` the bytes that `oversized` adds to
    the first item of a list. `refuse` closes the listener and ignores the options.
    """

    name: str
    only: str = ""
    times: int | None = None
    seconds: float = 0.2
    retry_after: int = 1
    size: int = 5_000_000

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown fault {self.name!r}, known are {', '.join(sorted(NAMES))}")


class Faults:
    """The present fault of one cluster, if any. `lifted` wakes the requests that hang."""

    def __init__(self, apply: Callable[[Fault | None], None]) -> None:
        self._apply = apply
        self.current: Fault | None = None
        self.lifted = asyncio.Event()

    def set(self, name: str, **options: Any) -> None:
        """Switch a fault on, from any thread; see `Fault` for the options. It replaces the one before."""
        self._apply(Fault(name, **options))

    def clear(self) -> None:
        """Switch the fault off. Requests that hung are cut off, a closed listener listens again on its port."""
        self._apply(None)

    def replace(self, fault: Fault | None) -> None:
        """Used by the server, in its loop."""
        self.lifted.set()
        self.lifted = asyncio.Event()
        self.current = fault

    def take(self, path: str) -> Fault | None:
        """The fault that this request meets; counts it down."""
        fault = self.current
        if fault is None or fault.only not in path:
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.current = None
        return fault
