"""Discovery documents for what a cluster has installed."""

from typing import Any

from demo.apiserver.kinds import Kind
from demo.apiserver.status import NoSuchPath

Body = dict[str, Any]

VERSION: Body = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3",
    "gitCommit": "simulated",
    "gitTreeState": "clean",
    "buildDate": "2026-08-12T00:00:00Z",
    "goVersion": "go1.26.4",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_VERBS = ["delete", "get", "list", "patch", "create", "update", "watch"]
_REVIEWS = (
    ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
)


def _group(name: str, versions: list[str]) -> Body:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def _versions(kinds: list[Kind]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        served = groups.setdefault(kind.group, [])
        served += [version for version in kind.versions if version not in served]
    groups.setdefault("authorization.k8s.io", ["v1"])
    return {name: sorted(served, key=_priority) for name, served in groups.items()}


def _priority(version: str) -> tuple[int, str]:
    """GA before beta before alpha, as the API machinery orders versions."""
    return (2 if "alpha" in version else 1 if "beta" in version else 0, version)


def _resource(kind: Kind) -> list[Body]:
    entry: Body = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    if not kind.status:
        return [entry]
    return [
        entry,
        {
            "name": f"{kind.plural}/status",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": ["get", "patch", "update"],
        },
    ]


def _resources(kinds: list[Kind], group: str, version: str) -> Body:
    if version not in _versions(kinds).get(group, []):
        raise NoSuchPath
    served = [entry for kind in kinds if kind.group == group and version in kind.versions for entry in _resource(kind)]
    if group == "authorization.k8s.io":
        served = [
            {"name": name, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
            for name, kind in _REVIEWS
        ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": served,
    }


def document(kinds: list[Kind], parts: list[str]) -> Body:
    """The document at `/api...` or `/apis...`; NoSuchPath where there is none."""
    match parts:
        case ["version"]:
            return VERSION
        case ["api"]:
            return {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }
        case ["api", version]:
            return _resources(kinds, "", version)
        case ["apis"]:
            groups = [_group(name, served) for name, served in _versions(kinds).items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if group in _versions(kinds):
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, _versions(kinds)[group])
        case ["apis", group, version]:
            return _resources(kinds, group, version)
    raise NoSuchPath
