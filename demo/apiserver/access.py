"""Who may do what: one token per cluster, a deny list, and the reviews a client can ask for."""

from dataclasses import dataclass, field
from typing import Any

from demo.apiserver import status

USER = "system:serviceaccount:secretsdash:reader"
PUBLIC = frozenset({"version", "healthz", "livez", "readyz"})
"""kube-apiserver shows these to everybody (ClusterRole system:public-info-viewer)."""

REVIEWS = "authorization.k8s.io"
"""Whoever is known may ask for the own rights (ClusterRole system:basic-user)."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request wants, in the words of RBAC. `resource` may carry a subresource: `services/proxy`."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(slots=True)
class Access:
    """Everything is allowed that no pair (resource, verb) denies; `*` stands for all."""

    token: str
    denied: set[tuple[str, str]] = field(default_factory=set)

    def denies(self, resource: str, verb: str) -> bool:
        return any(denied in (resource, "*") and action in (verb, "*") for denied, action in self.denied)

    def check(self, authorization: str | None, wanted: Attributes) -> None:
        """Raise 401 for a wrong token, 403 for no token or a denied request."""
        anonymous = authorization is None
        if not anonymous and authorization != f"Bearer {self.token}":
            raise status.unauthorized()
        if wanted.path and wanted.path.strip("/").split("/")[0] in PUBLIC:
            return
        if not anonymous and wanted.group == REVIEWS:
            return
        user = "system:anonymous" if anonymous else USER
        if anonymous or self.denies(wanted.resource, wanted.verb):
            if wanted.path:
                raise status.forbidden_path(user, wanted.verb, wanted.path)
            raise status.forbidden(user, wanted.verb, wanted.resource, wanted.group, wanted.namespace, wanted.name)

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a SelfSubjectAccessReview."""
        asked = body.get("spec", {}).get("resourceAttributes", {})
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource += f"/{asked['subresource']}"
        allowed = not self.denies(resource, asked.get("verb", ""))
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": body.get("spec", {}),
            "status": {"allowed": allowed},
        }

    def rules(self, body: dict[str, Any], resources: list[tuple[str, str]]) -> dict[str, Any]:
        """Answer a SelfSubjectRulesReview over `resources`, pairs of (group, plural)."""
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
        rules = [
            {"verbs": allowed, "apiGroups": [group], "resources": [plural]}
            for group, plural in resources
            if (allowed := [verb for verb in verbs if not self.denies(plural, verb)])
        ]
        return {
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": body.get("spec", {}),
            "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False},
        }
