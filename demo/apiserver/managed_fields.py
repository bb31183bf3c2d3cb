"""metadata.managedFields as the API server keeps it for updates: who last wrote which field, and when."""

from collections.abc import Set
from datetime import datetime
from typing import Any

from demo.apiserver.store import Object

Paths = dict[tuple[str, ...], Any]

_SYSTEM = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    }
)


def _walk(value: Any, path: tuple[str, ...], found: Paths) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _walk(inner, (*path, f"f:{name}"), found)
    else:
        found[path] = value


def leaves(obj: Object) -> Paths:
    """Field paths of `obj` with their values. Lists are atomic; finalizers are a set, owners a map by uid."""
    found: Paths = {}
    for name, value in obj.items():
        if name not in ("apiVersion", "kind", "metadata"):
            _walk(value, (f"f:{name}",), found)
    for name, value in obj.get("metadata", {}).items():
        if name in _SYSTEM:
            continue
        if name == "finalizers":
            found |= {("f:metadata", "f:finalizers", f'v:"{item}"'): item for item in value}
        elif name == "ownerReferences":
            found |= {("f:metadata", "f:ownerReferences", f'k:{{"uid":"{owner["uid"]}"}}'): owner for owner in value}
        else:
            _walk(value, ("f:metadata", f"f:{name}"), found)
    return found


def tree(paths: Set[tuple[str, ...]]) -> Object:
    """`paths` in the form of fieldsV1."""
    root: Object = {}
    for path in sorted(paths):
        here = root
        for depth, step in enumerate(path):
            if depth >= (2 if path[0] == "f:metadata" else 1):
                here.setdefault(".", {})
            here = here.setdefault(step, {})
    return root


def _paths(tree: Object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    steps = {step: inner for step, inner in tree.items() if step != "."}
    if not steps:
        return {path} if path else set()
    return {leaf for step, inner in steps.items() for leaf in _paths(inner, (*path, step))}


def updated(
    before: Object | None, after: Object, *, manager: str, api_version: str, now: datetime, subresource: str = ""
) -> list[Object]:
    """The new managedFields when `manager` replaces `before` by `after` (operation Update)."""
    old, new = leaves(before or {}), leaves(after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    entries: list[Object] = []
    mine: set[tuple[str, ...]] = set()
    own: Object | None = None
    for entry in (before or {}).get("metadata", {}).get("managedFields") or []:
        kept = {path for path in _paths(entry.get("fieldsV1", {})) if path in new}
        if entry.get("manager") == manager and entry.get("subresource", "") == subresource:
            mine, own = kept, entry
        elif left := kept - changed:
            entries.append(
                entry
                if left == kept and _paths(entry.get("fieldsV1", {})) == kept
                else entry | {"fieldsV1": tree(left)}
            )
    if changed or mine:
        moved = bool(changed) or own is None or mine != _paths(own.get("fieldsV1", {}))
        entry = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": api_version,
            "time": f"{now:%Y-%m-%dT%H:%M:%SZ}" if moved or own is None else own.get("time"),
            "fieldsType": "FieldsV1",
            "fieldsV1": tree(mine | changed),
        }
        entries.append(entry | ({"subresource": subresource} if subresource else {}))
    return sorted(entries, key=lambda entry: (entry.get("time") or "", entry.get("manager") or ""))
