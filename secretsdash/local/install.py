"""Make .venv and install what a lock file pins: `python3 -m secretsdash.local.install run|dev`.

Runs on a bare Python 3.11 with nothing installed, so it uses the standard library only. pip installs uv, with hashes;
uv installs the rest, with hashes, in a tenth of pip's time. A stamp remembers what was installed: the second call
does nothing. uv does not read pip's configuration, so we hand it over: a private index must not be bypassed.
"""

import ast
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from secretsdash.local.stopping import Stopped, stop_on_signals

BASE = Path(__file__).resolve().parents[2]
VENV = BASE / ".venv"
PYTHON = VENV / "bin" / "python"
BOOTSTRAP = "requirements-bootstrap.lock"
# The development lock holds every pin of the other one, so installing it serves both purposes.
LOCKS = {"run": "requirements-local.lock", "dev": "requirements-dev.lock"}
SERVES = {"run": ("run",), "dev": ("run", "dev")}
OLDEST_PYTHON = (3, 11)
# pip's name, uv's variable, and whether pip separates several by blanks where uv wants commas.
HANDED_OVER = (
    ("index-url", "UV_DEFAULT_INDEX", False),
    ("extra-index-url", "UV_INDEX", False),
    ("find-links", "UV_FIND_LINKS", True),
    ("no-index", "UV_NO_INDEX", False),
    ("cert", "SSL_CERT_FILE", False),
    ("trusted-host", "UV_INSECURE_HOST", False),
    ("timeout", "UV_HTTP_TIMEOUT", False),
    ("default-timeout", "UV_HTTP_TIMEOUT", False),
)


class InstallError(Exception):
    """The message says what is missing and what to do."""


def install(purpose: str) -> None:
    with (BASE / ".venv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another installation into .venv to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_installed(purpose):
            return
        started = time.monotonic()
        _make_venv()
        say("installing uv")
        pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, "--require-hashes", "-r", BOOTSTRAP)
        say(f"installing {LOCKS[purpose]} (about 100 packages; the first time takes a minute or two)")
        uv: list[str | Path] = [VENV / "bin" / "uv", "pip", "install", "--python", PYTHON]
        _run(*uv, "--require-hashes", "-r", LOCKS[purpose], env=_uv_environment())
        for served in SERVES[purpose]:
            _stamp(served).write_text(_wanted(served))
        say(f"installed in {time.monotonic() - started:.0f} s")


def say(message: str) -> None:
    print(f"secretsdash: {message}", flush=True)


def _is_installed(purpose: str) -> bool:
    try:
        return _stamp(purpose).read_text() == _wanted(purpose) and PYTHON.exists()
    except OSError:
        return False


def _stamp(purpose: str) -> Path:
    return VENV / f".installed-{purpose}"


def _wanted(purpose: str) -> str:
    """What has to be equal for an installation to be up to date: the pins, and where the environment lies.

    The scripts in .venv name their interpreter by its absolute path, so a moved folder needs a new environment.
    """
    pins = (BASE / BOOTSTRAP).read_bytes() + (BASE / LOCKS[purpose]).read_bytes()
    return f"{hashlib.sha256(pins).hexdigest()} {VENV}\n"


def _make_venv() -> None:
    stamp = VENV / ".made-for"
    wanted = f"{VENV} {sys.version_info.major}.{sys.version_info.minor}\n"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        import ensurepip  # noqa: F401  Debian ships venv without it
    except ImportError:
        raise InstallError(
            "this Python has no ensurepip, so it cannot make a virtual environment. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        ) from None
    _run(sys.executable, "-m", "venv", VENV)
    stamp.write_text(wanted)


def _uv_environment() -> dict[str, str]:
    """Our environment, and the user's configuration of pip in uv's words, where uv has none of its own."""
    command = [str(PYTHON), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=BASE)
    configured = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        configured[name.rpartition(".")[2]] = str(ast.literal_eval(value))  # the environment comes last and wins
    environment = dict(os.environ)
    for pip_name, uv_name, by_commas in HANDED_OVER:
        if pip_name in configured:
            value = configured[pip_name]
            environment.setdefault(uv_name, ",".join(value.split()) if by_commas else value)
    if not os.access(Path.home(), os.W_OK):
        environment.setdefault("UV_NO_CACHE", "1")
    return environment


def _run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    code = subprocess.run([str(part) for part in command], env=env, cwd=BASE, check=False).returncode
    if code:
        raise InstallError(f"{Path(command[0]).name} failed with exit code {code}; its own message stands above.")


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        say(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. PYTHON= names another one.")
        return 1
    stop_on_signals()
    try:
        install(arguments[0])
    except InstallError as error:
        say(str(error))
        return 1
    except Stopped as stopped:  # subprocess.run has killed pip or uv on the exception's way here
        say("interrupted; the next start continues where this one stopped")
        return 128 + stopped.signal
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
