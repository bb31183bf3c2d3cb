"""The import contracts of pyproject.toml can fail: each is broken once, on a copy of the source."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parents[2]
CONTRACTS = [
    c["name"] for c in tomllib.loads((BASE / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
# Contract -> (file, line that must not be there). A file that does not exist belongs to no layer.
VIOLATIONS = {
    "Reading clusters knows nothing of judging them": ("clusters/models.py", "import monitoring.health"),
    "The domain core is plain Python": ("clusters/entries.py", "import django"),
    "Reading a cluster needs no Django": ("clusters/listing.py", "import psycopg"),
    "The client library of Kubernetes has one user": ("monitoring/recorder.py", "import kubernetes"),
    "Celery is an entrance, not a library": ("monitoring/queries/fleet.py", "import celery"),
    "rest_framework stays in the API": ("monitoring/filters.py", "import rest_framework"),
    "A web request never reads a cluster and never runs the pipeline": (
        "monitoring/views/overview.py",
        "import monitoring.pipeline",
    ),
    "The demo and the product know each other by protocol only": ("demo/story.py", "import clusters.kinds"),
    "monitoring flows one way": ("monitoring/utils.py", ""),
    "clusters flows one way": ("clusters/utils.py", ""),
    "The wiring flows one way": ("secretsdash/utils.py", ""),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By contract, KEPT or BROKEN, after all violations were made at once."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("secretsdash", "clusters", "monitoring", "demo"):
        shutil.copytree(BASE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(BASE / "pyproject.toml", copy)
    for path, line in VIOLATIONS.values():
        with (copy / path).open("a") as file:
            file.write(f"\n{line}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=copy, capture_output=True, text=True, check=False)
    return dict(re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, re.MULTILINE))


def test_every_contract_has_its_violation() -> None:
    assert set(VIOLATIONS) == set(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_contract_is_seen_to_fail(verdicts: dict[str, str], contract: str) -> None:
    assert verdicts[contract] == "BROKEN"
