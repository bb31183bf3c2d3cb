"""The lock files belong to pyproject.toml and to each other."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASE = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((BASE / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ASKED = {
    "requirements.lock": PROJECT["dependencies"],
    "requirements-local.lock": [*PROJECT["dependencies"], *EXTRAS["local"]],
    "requirements-dev.lock": [*PROJECT["dependencies"], *EXTRAS["local"], *EXTRAS["dev"]],
}


def _pins(name: str) -> dict[str, str]:
    text = (BASE / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,-]+\])?==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ASKED)
def test_every_dependency_is_pinned_to_a_version_that_was_asked_for(name: str) -> None:
    pins = _pins(name)
    for requirement in map(Requirement, ASKED[name]):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("name", [*ASKED, "requirements-bootstrap.lock"])
def test_every_pin_has_its_hashes(name: str) -> None:
    for entry in re.split(r"\n(?=[a-z])", (BASE / name).read_text().split("\n", 2)[2]):
        assert "--hash=sha256:" in entry, entry


def test_the_largest_lock_serves_the_others_too() -> None:
    largest = _pins("requirements-dev.lock")
    assert _pins("requirements.lock").items() <= _pins("requirements-local.lock").items() <= largest.items()
