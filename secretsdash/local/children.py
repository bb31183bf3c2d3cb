"""Child processes that end when we end: on request, when we fail, and when we are killed outright."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from secretsdash.local.stopping import SIGNALS

PR_SET_PDEATHSIG = 1
LOG_LIMIT_BYTES = 10 * 1024 * 1024
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(Exception):
    """Something cannot start; the message says why and, where there is something, what to do."""


@dataclass(frozen=True)
class Identity:
    """Who a child runs as, where that is not who we are."""

    uid: int
    gid: int


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    is_server: bool

    def has_ended(self) -> bool:
        """True once the process is gone; it is left unreaped, so that its process group can still be named safely."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def reap(self) -> int:
        """Kill what is left of the child's process group and return the exit code of the child."""
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # nothing left (macOS says EPERM for a group of zombies)
        return self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])


class Children:
    """All children of this process, in the order in which they were started."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        identity: Identity | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
        is_server: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a child in its own session, so that Ctrl-C in the terminal reaches us only and we decide the order.

        `death_signal` is what the kernel sends the child when we die without saying goodbye.
        """
        _rotate(log)
        with _signals_held(), log.open("ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                user=identity.uid if identity else None,
                group=identity.gid if identity else None,
                extra_groups=[] if identity else None,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=_in_the_child(death_signal, os.getpid()),
            )
            child = Child(name, process, log, stop_signal, is_server)
            self._children.append(child)
        return child

    def __bool__(self) -> bool:
        return bool(self._children)

    def named(self, name: str) -> list[Child]:
        return [child for child in self._children if child.name == name]

    def forget(self, child: Child) -> int:
        """Take leave of a child that has ended; return its exit code."""
        code = child.reap()
        self._children.remove(child)
        return code

    def stop(self, children: Sequence[Child], patience: float = 10) -> None:
        """Ask all of them at once, wait, and kill those that do not listen."""
        for child in children:
            if not child.has_ended():
                child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + patience
        for child in children:
            child.wait(deadline - time.monotonic())
            self.forget(child)

    def stop_all(self) -> None:
        """Our own processes first, then the servers that they talk to."""
        self.stop([child for child in self._children if not child.is_server])
        self.stop(list(reversed(self._children)), patience=30)


@contextmanager
def _signals_held() -> Iterator[None]:
    """No handler may raise between the birth of a child and its registration: we would lose sight of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_the_child(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    def prepare() -> None:
        # After setuid (CPython calls us there), because a change of credentials clears the death signal.
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        for held in SIGNALS:  # a shell that starts us with & ignores SIGINT, and children inherit that
            signal.signal(held, signal.SIG_DFL)

    return prepare


def _rotate(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
