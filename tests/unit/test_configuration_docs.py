"""docs/configuration.md says what secretsdash/settings.py does."""

import ast
import re
from pathlib import Path

BASE = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| (?P<default>.*?) \| (?P<meaning>.*) \|$", re.MULTILINE)
NOTHING = {"*(none)*": "", "*(required)*": ""}


def _read_by_settings() -> dict[str, tuple[str, str]]:
    """By variable: the reader, and the default as the environment would spell it."""
    found = {}
    for node in ast.walk(ast.parse((BASE / "secretsdash" / "settings.py").read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "environment"):
            continue
        given = [a.value for a in node.args if isinstance(a, ast.Constant)]
        given += [k.value.value for k in node.keywords if k.arg == "default" and isinstance(k.value, ast.Constant)]
        if given:
            default = given[1] if len(given) > 1 else ""
            found[str(given[0])] = node.func.attr, str(default).lower() if isinstance(default, bool) else str(default)
    return found


def _documented() -> dict[str, re.Match[str]]:
    text = (BASE / "docs" / "configuration.md").read_text()
    section = text.split("## Settings\n")[1].split("\n## ")[0]
    return {row["name"]: row for row in ROW.finditer(section)}


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    assert set(_documented()) == set(_read_by_settings())


def test_defaults_are_as_documented() -> None:
    documented = {name: NOTHING.get(row["default"], row["default"].strip("`")) for name, row in _documented().items()}
    assert documented == {name: default for name, (_, default) in _read_by_settings().items()}


def test_what_can_be_a_file_is_marked_secret() -> None:
    marked = {name for name, row in _documented().items() if row["meaning"].startswith("*Secret.*")}
    assert marked == {n for n, (reader, _) in _read_by_settings().items() if reader in {"secret", "sealing_key", "key"}}
