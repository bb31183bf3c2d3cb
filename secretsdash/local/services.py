"""Keeps the services running: one that ends by itself is started again, later each time it fails soon."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from secretsdash.local.children import Child, Children, StartError
from secretsdash.local.stopping import raise_if_asked

LONGEST_PAUSE_SECONDS = 30
STABLE_SECONDS = 60
GLANCE_SECONDS = 0.2


@dataclass
class Service:
    name: str
    start: Callable[[], Child]
    failures: int = 0
    started_at: float = 0
    due_at: float | None = None  # when it is to be started again; None while it runs
    _child: Child | None = field(default=None, repr=False)

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child

    def begin(self) -> None:
        self._child = self.start()
        self.started_at, self.due_at = time.monotonic(), None

    def failed(self) -> int:
        """Plan the next start and return the pause in seconds."""
        if time.monotonic() - self.started_at > STABLE_SECONDS:
            self.failures = 0
        self.failures += 1
        pause: int = min(2 ** (self.failures - 1), LONGEST_PAUSE_SECONDS)
        self.due_at = time.monotonic() + pause
        return pause


def watch(children: Children, services: Sequence[Service], say: Callable[[str], None]) -> NoReturn:
    """Never returns; a signal ends it by an exception."""
    while True:
        for service in services:
            if service.due_at is None and service.child.has_ended():
                lines, code = service.child.last_lines(5), children.forget(service.child)
                say(
                    f"{service.name} ended (exit code {code}), next start in {service.failed()} s. Last lines:\n{lines}"
                )
            elif service.due_at is not None and time.monotonic() >= service.due_at:
                _begin_again(children, service, say)
        raise_if_asked()
        time.sleep(GLANCE_SECONDS)


def _begin_again(children: Children, service: Service, say: Callable[[str], None]) -> None:
    children.stop(children.named(service.name))  # an attempt that gave up waiting left its process behind
    try:
        service.begin()
    except (StartError, OSError) as error:
        say(f"{service.name} did not start again ({error}); next attempt in {service.failed()} s")
    else:
        say(f"{service.name} runs again")
