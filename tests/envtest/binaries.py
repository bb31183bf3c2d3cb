"""Find the kube-apiserver and etcd binaries, or build them once with the Go toolchain.

Looked for in this order: the folder `KUBEBUILDER_ASSETS` names, the cache folder outside the
repository, a build from the modules pinned in `go/`. The cache folder carries the versions in its
name, so that a raised pin is a new folder and two checkouts can share one machine.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = "no kube-apiserver: KUBEBUILDER_ASSETS is not set, the cache folder has none, and Go is not installed"

_MODULES = Path(__file__).parent / "go"
# `go build -v` prints one line a package, some 1,100 for the API server; one in this many is shown.
_PACKAGES_PER_LINE = 100
_LOG_LINES_IN_ERROR = 20


class BuildFailed(Exception):
    """The Go toolchain is there but did not produce a binary. Carries the end of its output."""


@dataclass(frozen=True)
class Binaries:
    kube_apiserver: Path
    etcd: Path


@dataclass(frozen=True)
class _Program:
    name: str
    package: str
    module: str
    folder: Path

    @property
    def version(self) -> str:
        """The version that go.mod pins, for example `v1.36.3`."""
        pin = re.search(rf"^\s*{re.escape(self.module)} (v\S+)", self._go_mod(), re.MULTILINE)
        if pin is None:
            raise BuildFailed(f"{self.folder / 'go.mod'} requires no {self.module}")
        return pin.group(1)

    def _go_mod(self) -> str:
        return (self.folder / "go.mod").read_text()


_API_SERVER = _Program(
    "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes", _MODULES / "apiserver"
)
_ETCD = _Program("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", _MODULES / "etcd")


def find_binaries(environ: Mapping[str, str] = os.environ) -> Binaries | None:
    """Return the binaries that are ready to run, or None. Never builds.

    Raises FileNotFoundError when KUBEBUILDER_ASSETS is set but lacks one of them: a wrong setting
    must not end in quietly testing against another version.
    """
    assets = environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return _binaries_in(cache_folder(environ))
    found = _binaries_in(Path(assets))
    if found is None:
        raise FileNotFoundError(f"KUBEBUILDER_ASSETS={assets} holds no kube-apiserver and etcd to run")
    return found


def ensure_binaries(environ: Mapping[str, str] = os.environ) -> Binaries | None:
    """Return the binaries, building them first where that is needed and Go is at hand; None without Go.

    Takes about four minutes on two cores when it builds. Two callers may run at the same time: the
    second one waits for the first. Raises BuildFailed.
    """
    found = find_binaries(environ)
    go = shutil.which("go", path=environ.get("PATH", os.defpath))
    if found is not None or go is None:
        return found
    folder = cache_folder(environ)
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one_build(folder):
        for program in (_ETCD, _API_SERVER):
            if not _is_program(folder / program.name):
                _build(go, program, folder, environ)
    return _binaries_in(folder)


def is_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether missing binaries are a failure: a pipeline must not pass by testing less."""
    return environ.get("CI", "").lower() in ("true", "1")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    root = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "secretsdash" / "envtest" / f"kube-apiserver-{_API_SERVER.version}-etcd-{_ETCD.version}"


def _binaries_in(folder: Path) -> Binaries | None:
    folder = folder.absolute()  # the servers run in a folder of their own
    binaries = Binaries(folder / _API_SERVER.name, folder / _ETCD.name)
    ready = _is_program(binaries.kube_apiserver) and _is_program(binaries.etcd)
    return binaries if ready else None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@contextmanager
def _only_one_build(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel gives it back when a builder is killed."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process is building in {folder}, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: str, program: _Program, folder: Path, environ: Mapping[str, str]) -> None:
    """Build under a name of our own and rename, so that nobody ever starts half a binary.

    When we are killed, the compiler ends with its next line of output, which nobody takes any more.
    """
    started = time.monotonic()
    _say(f"building {program.name} {program.version} (once; kept in {folder})")
    partial = folder / f"{program.name}.{os.getpid()}.partial"
    command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", _linker_flags(program)]
    with subprocess.Popen(
        [*command, "-o", str(partial), program.package],
        cwd=program.folder,
        env=_go_environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        last_lines = _follow(process.stdout, program, started)
    if process.returncode != 0:
        raise BuildFailed(f"building {program.name} failed:\n" + "\n".join(last_lines))
    partial.replace(folder / program.name)
    _say(f"{program.name} is ready after {time.monotonic() - started:.0f} s")


def _linker_flags(program: _Program) -> str:
    # Without the version the API server reports v0.0.0-master and clients guess at its features.
    return f"-s -w -X k8s.io/component-base/version.gitVersion={program.version}"


def _go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with what this build needs: no C compiler, no go.work from a parent folder."""
    return {"HOME": str(Path.home()), **environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def _follow(lines: Iterator[str], program: _Program, started: float) -> list[str]:
    """Print progress now and then; return the last lines, for the error message."""
    tail: list[str] = []
    for number, line in enumerate(lines, start=1):
        tail = [*tail[1 - _LOG_LINES_IN_ERROR :], line.rstrip()]
        if number % _PACKAGES_PER_LINE == 0:
            _say(f"  {program.name}: {number} steps, {time.monotonic() - started:.0f} s")
    return tail


def _say(text: str) -> None:
    print(f"envtest: {text}", flush=True)
