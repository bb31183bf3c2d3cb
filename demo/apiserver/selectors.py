"""Label and field selectors, as far as kube-apiserver's own clients use them."""

import re
from collections.abc import Callable
from typing import Any

from demo.apiserver.kinds import Kind
from demo.apiserver.status import bad_request
from demo.apiserver.store import Object, Stored

Match = Callable[[Stored], bool]

_SET = re.compile(r"^(?P<key>[^\s!=(),]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=(),]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=(),]*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=(),]+)$")
_COMMA = re.compile(r",(?![^(]*\))")


def value_at(obj: Object, path: str) -> Any:
    """The value at a dotted path, None when any step is absent; numbers index lists."""
    here: Any = obj
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list) and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        else:
            return None
    return here


def _labels(stored: Stored) -> dict[str, str]:
    return stored.obj["metadata"].get("labels") or {}


def _label_requirement(text: str) -> Match:
    if found := _SET.match(text):
        key, wanted = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda stored: _labels(stored).get(key) in wanted
        return lambda stored: _labels(stored).get(key) not in wanted
    if found := _EQUAL.match(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda stored: _labels(stored).get(key) != value
        return lambda stored: _labels(stored).get(key) == value
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["not"])
        return lambda stored: (key in _labels(stored)) is not absent
    raise bad_request(f"unable to parse requirement: found '{text}', expected: identifier")


def _field_requirement(kind: Kind, text: str) -> Match:
    found = _EQUAL.match(text)
    if not found:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    path, value, unequal = found["key"], found["value"], found["op"] == "!="
    if path not in ("metadata.name", "metadata.namespace", *kind.selectable):
        raise bad_request(f"field label not supported: {path}")
    return lambda stored: ((value_at(stored.obj, path) or "") == value) is not unequal


def parse(kind: Kind, labels: str, fields: str) -> Match | None:
    """One predicate for both selectors; None when they are empty. A selector that cannot be read is a 400."""
    matches = [_label_requirement(text.strip()) for text in _COMMA.split(labels) if text.strip()]
    matches += [_field_requirement(kind, text.strip()) for text in fields.split(",") if text.strip()]
    if not matches:
        return None
    return lambda stored: all(match(stored) for match in matches)
