"""`python -m demo` as `make run` uses it: files, control port, restart, end."""

import base64
import json
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@contextmanager
def demo(directory: Path) -> Iterator[dict[str, Any]]:
    """A running demo with what its ready file says; it must end cleanly on SIGTERM."""
    ready = directory / "ready"
    command = [sys.executable, "-m", "demo", "--directory", str(directory), "--ready-file", str(ready)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("demo fleet:"), process.stderr.read()
        try:
            yield json.loads(ready.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def call(method: str, url: str, body: object = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def read(kubeconfig: Path, name: str, path: str) -> tuple[str, Any]:
    """A GET with what the kubeconfig says about the cluster `name`: the Date header and the decoded body."""
    config = yaml.safe_load(kubeconfig.read_text())
    (cluster,) = (entry["cluster"] for entry in config["clusters"] if entry["name"] == name)
    (user,) = (entry["user"] for entry in config["users"] if entry["name"] == name)
    ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
    request = urllib.request.Request(cluster["server"] + path, headers={"Authorization": f"Bearer {user['token']}"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=ca_pem), timeout=20) as answer:
        return answer.headers["Date"], json.load(answer)


def test_files_are_private_and_the_same_after_a_restart(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        before = (tmp_path / "kubeconfig").read_text()
        epoch = call("GET", first["control"] + "/clock")["epoch"]
    with demo(tmp_path) as second:
        assert (tmp_path / "kubeconfig").read_text() == before
        assert second == first
        assert call("GET", second["control"] + "/clock")["epoch"] == epoch
    assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}


def test_the_clock_moves_the_story(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        control, kubeconfig = running["control"], Path(running["kubeconfig"])
        clock = call("GET", control + "/clock")
        assert clock["live"] is True
        outage = datetime.fromisoformat(clock["epoch"]) - timedelta(hours=97.5)
        moved = call("PUT", control + "/clock", {"at": outage.isoformat()})
        assert (moved["live"], moved["at"]) == (False, outage.isoformat())
        date, stores = read(kubeconfig, "prod-eu", "/apis/external-secrets.io/v1/clustersecretstores")
        ready = {item["metadata"]["name"]: item["status"]["conditions"][0]["status"] for item in stores["items"]}
        assert ready == {"vault": "False", "azure-shared": "True"}
        assert date == f"{outage:%a, %d %b %Y %H:%M:%S} GMT"
        later = call("PUT", control + "/clock", {"at": (outage + timedelta(hours=3)).isoformat()})
        assert later["live"] is False
        _, stores = read(kubeconfig, "prod-eu", "/apis/external-secrets.io/v1/clustersecretstores")
        assert {item["status"]["conditions"][0]["status"] for item in stores["items"]} == {"True"}
        assert call("POST", control + "/live", {})["live"] is True


def test_faults_through_the_control_port(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        control, kubeconfig = running["control"], Path(running["kubeconfig"])
        call("PUT", control + "/clock", {"at": call("GET", control + "/clock")["epoch"]})
        call("POST", control + "/clusters/prod-us/fault", {"fault": "500"})
        assert {entry["name"]: entry["fault"] for entry in call("GET", control + "/clusters")} == {
            "prod-eu": None,
            "prod-us": "500",
            "staging": None,
        }
        with pytest.raises(urllib.error.HTTPError, match="500"):
            read(kubeconfig, "prod-us", "/version")
        call("POST", control + "/clusters/prod-us/fault", {"fault": None})
        assert read(kubeconfig, "prod-us", "/version")[1]["major"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code"),
    [
        ("PUT", "/clock", {"at": "yesterday"}, {}, 400),
        ("PUT", "/clock", {"at": "2026-11-24T06:00:00"}, {}, 400),
        ("POST", "/clusters/prod-eu/fault", {"fault": "earthquake"}, {}, 400),
        ("POST", "/clusters/nowhere/fault", {"fault": "hang"}, {}, 404),
        ("PUT", "/clock", {"at": "2026-11-24T06:00:00Z"}, {"Content-Type": "text/plain"}, 415),
        ("GET", "/clock", None, {"Host": "attacker.example"}, 403),
        ("GET", "/clock", None, {"Origin": "https://attacker.example"}, 403),
    ],
)
def test_what_the_control_port_refuses(
    control: str, method: str, path: str, body: object, headers: dict[str, str], code: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(method, control + path, body, **headers)
    assert caught.value.code == code
    caught.value.close()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with demo(tmp_path_factory.mktemp("demo")) as running:
        yield running["control"]
