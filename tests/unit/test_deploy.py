"""The container files, held against their schema, a linter and the settings. No container engine is needed."""

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from secretsdash.local import deployment_secrets
from tests.unit.test_configuration_docs import _read_by_settings

BASE = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((BASE / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "secretsdash"]
DOCKERFILE = (BASE / "Dockerfile").read_text()


def test_the_compose_file_follows_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, "docker-compose.yml"], cwd=BASE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint has no wheel for this platform")
    done = subprocess.run([linter, "Dockerfile"], cwd=BASE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_docker_compose_reads_the_file() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("there is no docker compose here")
    done = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=BASE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_image_runs_as_an_unprivileged_user_on_a_pinned_base() -> None:
    instructions = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)]
    users = [rest for name, rest in instructions if name == "USER"]
    assert users == ["10001:10001"]
    bases = [rest.split()[0] for name, rest in instructions if name == "FROM"]
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base) for base in bases), bases
    assert "ADD" not in {name for name, _ in instructions}


def test_what_the_image_copies_exists_and_passes_the_ignore_file() -> None:
    kept = {line[1:] for line in (BASE / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    sources = {source for line in copied for source in line}
    assert sources == kept
    assert [source for source in sources if not (BASE / source).exists()] == []


def test_no_secret_is_given_in_the_open() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"KEY|PASSWORD|SECRET", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_every_variable_is_a_setting() -> None:
    settings = set(_read_by_settings())
    for name in OURS:
        variables = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]}
        assert variables <= settings, name


def test_who_refuses_addresses_and_who_connects_follow_the_same_networks() -> None:
    given = {name: SERVICES[name]["environment"].get("DIAL_ALLOWED_NETWORKS") for name in OURS}
    assert {name for name, value in given.items() if value} == {"web", "worker"}
    assert given["web"] == given["worker"]


@pytest.mark.parametrize("secret", ["credential-private-key", "tag-key"])
def test_only_the_worker_can_open_credentials_and_make_tags(secret: str) -> None:
    assert [name for name, service in SERVICES.items() if secret in service.get("secrets", ())] == ["worker"]


def test_every_secret_is_made_once_and_never_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert deployment_secrets.main(tmp_path) == 0
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert set(made) == files
    assert len(base64.b64decode(made["tag-key"], validate=False)) == 32
    assert deployment_secrets.main(tmp_path) == 0
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == made
    assert capsys.readouterr().out.endswith("is complete\n")


def test_the_database_and_the_broker_are_reached_from_inside_only() -> None:
    assert COMPOSE["networks"]["backend"] == {"internal": True}
    for name in ("postgres", "redis", "migrate", "beat"):
        assert SERVICES[name]["networks"] == ["backend"]
        assert "ports" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert name in OURS or service["user"] != "root"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_every_lasting_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
