"""Where the API server's binaries come from, and what happens when they come from nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.envtest.binaries import MISSING, BuildFailed, cache_folder, ensure_binaries, find_binaries

REPOSITORY = Path(__file__).parents[2]
# Notes each call, and writes what `-o` names.
FAKE_GO = """#!/bin/sh
echo "$@" >> "$GO_CALLS"
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"
chmod +x "$2"
"""
USES_A_SERVER = """
def test_it(envtest):
    raise AssertionError("there is nothing to run it on")
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache folder and an empty PATH."""
    (tmp_path / "bin").mkdir()
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin")}


def write_program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_cache_folder_carries_the_pinned_versions(environ: dict[str, str]) -> None:
    folder = cache_folder(environ)
    assert folder == Path(environ["XDG_CACHE_HOME"], "secretsdash/envtest/kube-apiserver-v1.36.3-etcd-v3.6.16")


def test_named_assets_win_over_the_cache_folder(environ: dict[str, str], tmp_path: Path) -> None:
    for folder in (cache_folder(environ), tmp_path / "assets"):
        write_program(folder / "etcd")
        write_program(folder / "kube-apiserver")
    cached = find_binaries(environ)
    assert cached is not None
    assert cached.etcd == cache_folder(environ) / "etcd"
    named = find_binaries(environ | {"KUBEBUILDER_ASSETS": str(tmp_path / "assets")})
    assert named is not None
    assert named.kube_apiserver == tmp_path / "assets" / "kube-apiserver"


def test_a_relative_folder_holds_after_a_change_of_directory(tmp_path: Path) -> None:
    write_program(tmp_path / "assets" / "etcd")
    write_program(tmp_path / "assets" / "kube-apiserver")
    found = find_binaries({"KUBEBUILDER_ASSETS": os.path.relpath(tmp_path / "assets")})
    assert found is not None
    assert found.etcd.is_absolute()


def test_assets_that_lack_a_binary_are_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    write_program(tmp_path / "assets" / "etcd")
    with pytest.raises(FileNotFoundError, match="KUBEBUILDER_ASSETS="):
        find_binaries(environ | {"KUBEBUILDER_ASSETS": str(tmp_path / "assets")})


def test_without_binaries_and_go_there_is_nothing(environ: dict[str, str]) -> None:
    assert ensure_binaries(environ) is None


def test_a_failed_build_tells_why(environ: dict[str, str]) -> None:
    write_program(Path(environ["PATH"], "go"), "#!/bin/sh\necho 'no space left on device'\nexit 1\n")
    with pytest.raises(BuildFailed, match=r"building etcd failed:\nno space left on device"):
        ensure_binaries(environ)
    assert find_binaries(environ) is None


def test_two_builds_at_once_build_once(environ: dict[str, str], tmp_path: Path) -> None:
    write_program(Path(environ["PATH"], "go"), FAKE_GO)
    environ |= {"GO_CALLS": str(tmp_path / "calls"), "PATH": f"{environ['PATH']}:{os.defpath}"}
    build = [sys.executable, "-c", "from tests.envtest.binaries import ensure_binaries as e; assert e()"]
    runs = [subprocess.Popen(build, env=environ, cwd=REPOSITORY, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [run.wait(60) for run in runs] == [0, 0, 0, 0]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == [
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
    ]
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in calls[1]
    left = {path.name for path in cache_folder(environ).iterdir()}
    assert left == {"etcd", "kube-apiserver", "lock"}


@pytest.mark.parametrize(
    ("ci", "code", "outcome"),
    [("", 0, "1 skipped"), ("false", 0, "1 skipped"), ("true", 1, "1 error")],
)
def test_missing_binaries_are_told(environ: dict[str, str], tmp_path: Path, ci: str, code: int, outcome: str) -> None:
    (tmp_path / "test_it.py").write_text(USES_A_SERVER)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-p", "tests.envtest.fixtures", str(tmp_path / "test_it.py")],
        env=environ | {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert outcome in run.stdout
    assert MISSING in run.stdout


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_the_prebuild_step_tells_as_well(environ: dict[str, str], ci: str, code: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.envtest"],
        env=environ | {"CI": ci},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code
    assert MISSING in run.stderr
