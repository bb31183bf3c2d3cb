"""Stores of External Secrets, read against 2.9.0: of which type, whether validated, never how they authenticate."""

from urllib.parse import urlsplit

import msgspec

from clusters.facts import StoreFacts
from clusters.kinds.base import (
    EXTERNAL_SECRETS,
    SHORT,
    Condition,
    Described,
    Document,
    ManagedMetadata,
    Present,
    Resource,
    WatchedKind,
    common,
    is_name,
    observer,
    reconciled,
    text,
    written_version,
)

GROUP = "external-secrets.io"
VERSIONS = ("v1", "v1beta1", "v1alpha1")


class _StoreSpec(Document):
    # Only the keys are looked at: a `fake` provider holds values, others hold credentials' names and addresses.
    provider: dict[str, msgspec.Raw] | None = None
    controller: str | None = None
    conditions: list[Present] | None = None


class _StoreStatus(Document):
    conditions: list[Condition] | None = None


class _Store(Resource):
    metadata: ManagedMetadata
    api_version: str | None = None
    spec: _StoreSpec | None = None
    status: _StoreStatus | None = None


def _describe_store(resource: _Store) -> Described:
    spec, status = resource.spec or _StoreSpec(), resource.status or _StoreStatus()
    provider = next(iter(spec.provider or {}), "")
    facts = StoreFacts(
        **common(resource.metadata),
        **reconciled(status.conditions),
        provider=text(provider, SHORT),
        server=_vault_server(spec.provider[provider]) if spec.provider and provider == "vault" else "",
        controller=text(spec.controller),
        namespaces_limited=bool(spec.conditions),
        written_api=written_version(resource.metadata, resource.api_version, VERSIONS),
    )
    return facts, ()


class _Vault(Document):
    server: str | None = None


_vault_decoder = msgspec.json.Decoder(_Vault)


def _vault_server(provider: msgspec.Raw) -> str:
    """Scheme, host and port of spec.provider.vault.server; empty unless it is a plain URL."""
    try:
        server = _vault_decoder.decode(provider).server or ""
        url = urlsplit(server)
        port = url.port
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return ""
    plain = url.scheme in ("http", "https") and url.hostname and "@" not in url.netloc and not url.query
    if not plain or not is_name(url.netloc):
        return ""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{host}" + (f":{port}" if port else "")


KINDS = (
    WatchedKind(
        kind="SecretStore",
        group=GROUP,
        versions=VERSIONS,
        plural="secretstores",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=observer("SecretStore", _Store, _describe_store),
    ),
    WatchedKind(
        kind="ClusterSecretStore",
        group=GROUP,
        versions=VERSIONS,
        plural="clustersecretstores",
        family=EXTERNAL_SECRETS,
        judged=True,
        observe=observer("ClusterSecretStore", _Store, _describe_store),
    ),
)
