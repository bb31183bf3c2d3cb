"""The local runner as its user meets it: a process, its lines, its signals. Linux only, like the death signal."""

import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from demo.apiserver import Fleet

BASE = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180


class LocalRun:
    """`python -m secretsdash.local` on a folder of its own, with one registered cluster instead of the demo fleet."""

    def __init__(self, folder: Path, port: int, *, by_make: bool = False):
        self.folder, self.port, self.lines = folder, port, list[str]()
        config = folder.parent / "kubeconfig"
        if not config.exists():
            fleet = Fleet()
            fleet.add("away", port=1)  # where nothing listens
            config.write_text(json.dumps(fleet.kubeconfig()))
        options = ["--directory", folder, "--port", port, "--kubeconfig", config]
        command = [sys.executable, "-m", "secretsdash.local", *map(str, options)]
        if by_make:
            makefile = folder.parent / "Makefile"
            makefile.write_text(f"run:\n\t@exec {shlex.join(command)}\n")
            command = ["make", "--file", str(makefile)]
        self.process = subprocess.Popen(
            command,
            cwd=BASE,
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._unread = b""

    def read_until(self, text: str) -> str:
        """Read lines up to the one that contains the text, and return it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                self.lines.append(line.decode())
                if text in self.lines[-1]:
                    return self.lines[-1]
                continue
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not more:
                pytest.fail(f"{text!r} never came:\n" + "\n".join([*self.lines, self._unread.decode()]))
            self._unread += more

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        """Send a signal, see every descendant vanish, and return the exit code."""
        family = self.descendants()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS if number == signal.SIGKILL else 0)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        return code

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            content: bytes = answer.read()
        return content


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below pytest's own folder, which only its user may enter: started by root, the servers run as another."""
    folder = Path(tempfile.mkdtemp(prefix="secretsdash-run-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def runs(home: Path) -> Iterator[list[LocalRun]]:
    """Empty; whatever a test puts in is not left running."""
    started: list[LocalRun] = []
    yield started
    for run in started:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)
        if run.process.stdout:
            run.process.stdout.close()


def test_everything_runs_stops_and_starts_again_with_its_data(runs: list[LocalRun], home: Path, port: int) -> None:
    first = LocalRun(home, port)
    runs.append(first)
    first.read_until("registered as away")
    password = first.read_until("password").split()[1]
    first.read_until("Ctrl-C stops everything")
    assert json.loads(first.get("/readyz"))["status"] == "ok"
    assert (home / "admin-password").read_text().strip() == password
    assert {f.name: oct(f.stat().st_mode & 0o777) for f in home.iterdir() if f.is_file()} == dict.fromkeys(
        ("admin-password", "credential-key", "environment.json", "lock", "secret-key", "tag-key"), "0o600"
    )
    command = [sys.executable, "-m", "secretsdash.local.manage", "--directory", str(home), "createtoken", "pipeline"]
    token = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert token.returncode == 0, token.stderr
    assert len(token.stdout.strip().splitlines()[-1]) > 30
    assert first.end(signal.SIGINT) == 130

    second = LocalRun(home, port)
    runs.append(second)
    second.read_until("starting the web server")
    assert second.read_until("password").split()[1] == password
    second.read_until("Ctrl-C stops everything")
    log = (home / "logs" / "import.log").read_text()
    assert "registered as away" in log
    third = LocalRun(home, port + 1)
    runs.append(third)
    third.read_until(f"is in use by another run (process {second.process.pid})")
    assert third.process.wait(PATIENCE_SECONDS) == 1
    assert second.end(signal.SIGTERM) == 0


def test_a_crashed_process_is_started_again_and_only_the_worker_can_open_credentials(
    runs: list[LocalRun], home: Path, port: int
) -> None:
    run = LocalRun(home, port)
    runs.append(run)
    run.read_until("Ctrl-C stops everything")
    for key in ("CREDENTIAL_PRIVATE_KEY_FILE", "TAG_KEY_FILE"):
        holders = {p.cmdline()[2] for p in run.descendants() if key in p.environ()}
        assert holders == {"celery"}
        beats = [p for p in run.descendants() if "beat" in p.cmdline()]
        assert all(key not in p.environ() for p in beats)
    [web] = [p for p in psutil.Process(run.process.pid).children() if "granian" in p.cmdline()]
    web.kill()
    run.read_until("web ended")
    run.read_until("web runs again")
    assert run.end(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("starting Postgres", signal.SIGINT, 130),
        ("preparing the database", signal.SIGTERM, 0),
        ("registered as away", signal.SIGINT, 130),
    ],
)
def test_it_stops_at_any_moment(
    runs: list[LocalRun], home: Path, port: int, moment: str, number: signal.Signals, code: int
) -> None:
    run = LocalRun(home, port)
    runs.append(run)
    run.read_until(moment)
    assert run.end(number) == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_make_alone_stops_everything(
    runs: list[LocalRun], home: Path, port: int, number: signal.Signals
) -> None:
    run = LocalRun(home, port, by_make=True)
    runs.append(run)
    run.read_until("preparing the database")
    assert run.end(number) == -number


def test_a_taken_port_is_said_before_anything_starts(runs: list[LocalRun], home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        run = LocalRun(home, number)
        runs.append(run)
        run.read_until(f"cannot listen on 127.0.0.1 port {number}: Address already in use")
        assert run.process.wait(PATIENCE_SECONDS) == 1
    assert not (home / "servers").exists()


def test_a_stale_lock_file_of_a_killed_server_does_not_matter(runs: list[LocalRun], home: Path, port: int) -> None:
    run = LocalRun(home, port)
    runs.append(run)
    run.read_until("preparing the database")
    run.end(signal.SIGKILL)
    pid_file = home / "servers" / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/somewhere\n0\n5432\n\n\n")  # a living process that is no Postgres
    again = LocalRun(home, port)
    runs.append(again)
    again.read_until("preparing the database")
    assert again.end(signal.SIGINT) == 130
