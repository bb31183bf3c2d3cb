"""Where a store's provider is, by an allowlist of fields per provider: never how it is authenticated to.

Read against External Secrets 2.9.0 (apis/externalsecrets/v1/secretstore_*_types.go).
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import DecodeError, Raw, field
from msgspec.json import Decoder

from clusters.kinds.base import Document, is_name, text

_PORTS = {"http": 80, "https": 443}
# What every cluster understands as itself: one address, and as many providers as clusters.
_IN_CLUSTER = (".svc", ".local", ".localhost")
_SHARED_GATEWAY = "https://api.akeyless.io"


class Place(NamedTuple):
    """`server`, `path` and `source` of StoreFacts."""

    server: str = ""
    path: str = ""
    source: str = ""


class _Scope(Document):
    project_slug: str | None = None
    environment_slug: str | None = None
    secrets_path: str | None = None


class _Spec(Document):
    """The fields that any of the providers below has; none of them means two things."""

    server: str | None = None
    path: str | None = None
    namespace: str | None = None
    service: str | None = None
    region: str | None = None
    role: str | None = None
    prefix: str | None = None
    project_id: str | None = field(default=None, name="projectID")
    location: str | None = None
    vault_url: str | None = None
    url: str | None = None
    environment: str | None = None
    project: str | None = None
    config: str | None = None
    host_api: str | None = field(default=None, name="hostAPI")
    secrets_scope: _Scope | None = None
    connect_host: str | None = None
    vaults: dict[str, Raw] | None = None
    vault: str | None = None
    service_url: str | None = None
    gateway: str | None = field(default=None, name="akeylessGWApiURL")


Given = str | None
_decoder = Decoder(_Spec)


def place(provider: str, spec: Raw) -> Place:
    """Where the provider of this type is, by its part of the store's spec. Anything odd: nowhere that we know."""
    if provider not in _ADDRESSES:
        return Place()
    try:
        found = _decoder.decode(spec)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return Place()
    needed, besides = _ADDRESSES[provider](found)
    shown = _SHOWN[provider](found) if provider in _SHOWN else ""
    return Place(
        server=_server(found.server) if provider == "vault" else "",
        path=text(shown),
        source=_digest(provider, *needed, *besides) if all(needed) else "",
    )


def _digest(*address: Given) -> str:
    return blake2b(repr([part or "" for part in address]).encode(), digest_size=16).hexdigest()


def _account(role: Given) -> str:
    """The AWS account of the role that is assumed last; "" without one, and then nothing here tells the account."""
    parts = (role or "").split(":")
    return parts[4] if len(parts) > 5 and parts[0] == "arn" else ""


def _slashless(path: Given) -> str:
    return (path or "").strip("/")


def _server(given: Given) -> str:
    """Scheme, host and port; empty unless `given` is a plain URL: others may hold a credential."""
    try:
        url = urlsplit(given or "")
        port = url.port
    except ValueError:
        return ""
    plain = url.scheme in _PORTS and url.hostname and "@" not in url.netloc and not url.query
    if not plain or not is_name(url.netloc):
        return ""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[url.scheme]) else "")


def _everywhere(given: Given) -> str:
    """`given` normalised, if it leads to the same place from every cluster, else empty."""
    server = _server(given)
    host = (urlsplit(server).hostname or "").rstrip(".")
    if host == "::1" or host.startswith("127.") or host.endswith(_IN_CLUSTER) or not {".", ":"} & set(host):
        return ""
    return f"{server}/{_slashless(urlsplit(given or '').path)}"


# Per provider what must be there for a key to mean anything, and what else it is relative to.
_Address = tuple[tuple[Given, ...], tuple[Given, ...]]


def _infisical(spec: _Spec) -> _Address:
    scope = spec.secrets_scope or _Scope()
    host = _everywhere(spec.host_api or "https://app.infisical.com/api")
    return (host, scope.project_slug, scope.environment_slug), (_slashless(scope.secrets_path),)


def _akeyless(spec: _Spec) -> _Address:
    """The public gateway serves every account, a gateway of one's own one."""
    gateway = _everywhere(spec.gateway)
    return ("" if gateway.startswith(_SHARED_GATEWAY) else gateway,), ()


_ADDRESSES: dict[str, Callable[[_Spec], _Address]] = {
    "vault": lambda spec: ((_everywhere(spec.server),), (_slashless(spec.path), _slashless(spec.namespace))),
    # Without a role nothing tells the account, and two accounts have keys of the same name.
    "aws": lambda spec: ((spec.service, spec.region, _account(spec.role)), (spec.prefix,)),
    "gcpsm": lambda spec: ((spec.project_id,), (spec.location,)),
    "azurekv": lambda spec: ((_everywhere(spec.vault_url),), ()),
    "gitlab": lambda spec: ((_everywhere(spec.url or "https://gitlab.com"), spec.project_id), (spec.environment,)),
    "doppler": lambda spec: ((spec.project, spec.config), ()),
    "infisical": _infisical,
    "onepassword": lambda spec: ((_everywhere(spec.connect_host),), tuple(sorted(spec.vaults or ()))),
    "oracle": lambda spec: ((spec.region, spec.vault), ()),
    "ibm": lambda spec: ((_everywhere(spec.service_url),), ()),
    "akeyless": _akeyless,
}
_SHOWN: dict[str, Callable[[_Spec], str]] = {
    "vault": lambda spec: f"{_server(spec.server)}/{_slashless(spec.path)}".rstrip("/") if _server(spec.server) else "",
    "aws": lambda spec: " ".join(part for part in (spec.service, spec.region) if part),
    "gcpsm": lambda spec: spec.project_id or "",
    "azurekv": lambda spec: _server(spec.vault_url).partition("://")[2],
}
