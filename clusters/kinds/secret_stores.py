"""Stores of External Secrets, read against 2.9.0: of which type, whether validated, never how they authenticate."""

import msgspec

from clusters.facts import StoreFacts
from clusters.kinds.base import (
    EXTERNAL_SECRETS,
    NULL,
    SHORT,
    Condition,
    Described,
    Document,
    ManagedMetadata,
    Present,
    Resource,
    WatchedKind,
    common,
    observer,
    reconciled,
    text,
    written_version,
)
from clusters.kinds.providers import place

GROUP = "external-secrets.io"
VERSIONS = ("v1", "v1beta1", "v1alpha1")


class _StoreSpec(Document):
    # What providers.py names is looked at: a `fake` provider holds values, others hold credentials' names.
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
    provider, given = next(iter((spec.provider or {}).items()), ("", NULL))
    found = place(provider, given)
    facts = StoreFacts(
        **common(resource.metadata),
        **reconciled(status.conditions),
        **resource.metadata.spec_written(),
        provider=text(provider, SHORT),
        server=found.server,
        path=found.path,
        source=found.source,
        controller=text(spec.controller),
        namespaces_limited=bool(spec.conditions),
        written_api=written_version(resource.metadata, resource.api_version, VERSIONS),
    )
    return facts, ()


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
