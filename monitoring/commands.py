"""Commands that a person may copy into a shell. Every word from a cluster is quoted, so none can add a command."""

import shlex
from collections.abc import Mapping
from typing import Any

from monitoring.families import FAMILY_OF

GROUPS = {
    "SealedSecret": "bitnami.com",
    "SecretProviderClass": "secrets-store.csi.x-k8s.io",
    "SecretProviderClassPodStatus": "secrets-store.csi.x-k8s.io",
}
ESO_GROUP = "external-secrets.io"


def look(cluster: str, kind: str, namespace: str, name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """kubectl commands to look at one resource, with the cluster's name as context."""
    context = ["kubectl", "--context", cluster, *(["-n", namespace] if namespace else [])]
    group = GROUPS.get(kind, ESO_GROUP if kind in FAMILY_OF else "")
    # kind/name in one word: a name that begins with a dash must not become an option
    found = [[*context, "describe", f"{kind.lower()}{f'.{group}' if group else ''}/{name}"]]
    if kind == "SecretProviderClassPodStatus" and facts.get("pod"):
        found.append([*context, "describe", f"pod/{facts['pod']}"])
    if namespace:
        found.append([*context, "get", "events", "--field-selector", f"involvedObject.name={name}"])
    return tuple(shlex.join(words) for words in found)


def api_call(url: str) -> str:
    """curl for the address, with the token left to the environment."""
    return f'curl -H "Authorization: Token $SECRETSDASH_TOKEN" {shlex.quote(url)}'
