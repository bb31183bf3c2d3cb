"""The one path that the service proxy serves: the certificate of a sealed-secrets controller."""

from demo.apiserver.status import Refusal, no_such_resource, not_found
from demo.apiserver.store import Store

CERTIFICATE = ("v1", "cert.pem")


def _service(identifier: str) -> tuple[str, str]:
    """Name and port of `[scheme:]name[:port]`; a scheme is there when three parts are."""
    parts = identifier.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return parts[0], parts[1] if len(parts) == 2 else ""


def _unavailable(name: str) -> Refusal:
    return Refusal(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')


def certificate(
    store: Store, certificates: dict[str, str], namespace: str, identifier: str, path: tuple[str, ...]
) -> str:
    """The PEM that `certificates["namespace/service"]` holds.

    A Service whose port has a name needs that name or number in the identifier: without it the real proxy finds no
    endpoints (503). `https:` to a plain-text port is 503 too.
    """
    name, port = _service(identifier)
    table = store.table_of("Service", "")
    service = table.objects.get((namespace, name))
    pem = certificates.get(f"{namespace}/{name}")
    if pem is None:
        raise not_found(table.kind, name)
    named = [str(entry.get("name", "")) for entry in service.obj.get("spec", {}).get("ports", [])] if service else []
    numbers = [str(entry.get("port")) for entry in service.obj.get("spec", {}).get("ports", [])] if service else []
    if identifier.startswith("https:") or (named and port not in (*named, *numbers)):
        raise _unavailable(name)
    if path != CERTIFICATE:
        raise no_such_resource()
    return pem
