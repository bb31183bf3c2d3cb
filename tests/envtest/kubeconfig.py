"""A kubeconfig for API servers, in the only form that secretsdash accepts: everything inline, tokens only."""

import base64
from collections.abc import Mapping
from typing import Any

from tests.envtest.server import ApiServer


def kubeconfig(servers: Mapping[str, ApiServer]) -> dict[str, Any]:
    """One context for each server, under its name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": _cluster(server)} for name, server in servers.items()],
        "users": [{"name": name, "user": {"token": server.token}} for name, server in servers.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in servers],
        "current-context": next(iter(servers), ""),
    }


def _cluster(server: ApiServer) -> dict[str, str]:
    return {
        "server": server.url,
        "certificate-authority-data": base64.b64encode(server.ca_pem.encode()).decode(),
    }
