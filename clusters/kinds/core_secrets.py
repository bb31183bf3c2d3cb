"""core/v1 Secrets, of which metadata only is ever asked for: sealing keys, and the Secrets that operators write.

Metadata can hold values too: kubectl puts whole Secrets into an annotation. Of labels and annotations only the presence
of named ones, and three hashes and markers, are looked at.
"""

import re
from collections.abc import Mapping
from functools import partial

from msgspec import Raw, field

from clusters.facts import DataWriter, SealingKeyFacts, SecretFacts
from clusters.kinds.base import (
    METADATA_ONLY,
    NAME_LIMIT,
    SEALED_SECRETS,
    Described,
    ManagedContent,
    ManagedFields,
    ManagedMetadata,
    Metadata,
    Observe,
    Owner,
    Resource,
    WatchedKind,
    common,
    moment,
    names,
    observer,
    text,
)
from clusters.tagging import Tag, no_tag

KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"

# Types that no operator here writes, and that are most of the Secrets of many a cluster.
_OTHER_TYPES = ("helm.sh/release.v1", "kubernetes.io/service-account-token")

_HASH = "reconcile.external-secrets.io/data-hash"
# External Secrets' hash of no data at all: SHA3-224 since 0.16.2, MD5 before.
_EMPTY_HASHES = frozenset(
    {"74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b", "97a15070f5f8c3bfe47678c5409471f6"}
)
_ALGORITHMS = {56: "sha3", 32: "md5"}
_HEX = re.compile(r"[0-9a-f]+")
_LAST_APPLIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
)
_TRUE = Raw(b'"true"')
# API servers keep some ten entries of managedFields, and more only for managers that apply.
_WRITER_LIMIT = 50


class _Key(Resource):
    metadata: ManagedMetadata


def _describe_key(resource: _Key) -> Described:
    """`manager` is the first that wrote the Secret: `controller` for a key the controller made itself.

    Any other manager means a restored or imported key, whose creationTimestamp is not the key's age.
    """
    metadata = resource.metadata
    if KEY_LABEL not in (metadata.labels or {}):
        return None
    managers = (entry.manager for entry in metadata.managed_fields or ())
    facts = SealingKeyFacts(
        **common(metadata),
        state=text((metadata.labels or {})[KEY_LABEL], NAME_LIMIT),
        manager=text(next(managers, "")),
    )
    return facts, ()


class _ManagedData(ManagedContent):
    # Only the names of the keys.
    data: dict[str, Raw] | None = field(default=None, name="f:data")


class _DataFields(ManagedFields):
    fields_v1: _ManagedData | None = None


class _SecretMetadata(ManagedMetadata):
    # Values stay undecoded.
    annotations: dict[str, Raw] | None = None  # type: ignore[assignment]
    managed_fields: list[_DataFields] | None = None  # type: ignore[assignment]


class _Secret(Resource):
    metadata: _SecretMetadata


def _observing_secrets(tag: Tag) -> Observe:
    return observer("Secret", _Secret, partial(_describe_secret, tag=tag))


def _describe_secret(resource: _Secret, tag: Tag) -> Described:
    metadata = resource.metadata
    annotations, owner = metadata.annotations or {}, _owner(metadata)
    data_hash = _data_hash(annotations)
    facts = SecretFacts(
        **common(metadata),
        owner_kind=text(owner.kind),
        owner=text(owner.name),
        owner_uid=text(owner.uid),
        managed_by=_managed_by(metadata.labels or {}, annotations),
        empty=data_hash in _EMPTY_HASHES,
        last_applied=any(name in annotations for name in _LAST_APPLIED),
        data_tag=_data_tag(data_hash, tag),
        writers=_writers(metadata.managed_fields or []),
    )
    return facts, ()


def _data_hash(annotations: Mapping[str, Raw]) -> str:
    """External Secrets' hash of the data, "" for anything that is not the hex form of one."""
    found = bytes(annotations.get(_HASH, b"")).decode("ascii", "replace").strip('"')
    return found if len(found) in _ALGORITHMS and _HEX.fullmatch(found) else ""


def _data_tag(data_hash: str, tag: Tag) -> str:
    """See SecretFacts. The hash is unsalted: it goes no further than here."""
    tagged = tag(data_hash) if data_hash else ""
    return f"{_ALGORITHMS[len(data_hash)]}.{tagged}" if tagged else ""


def _owner(metadata: Metadata) -> Owner:
    owners = metadata.owner_references or []
    return next((owner for owner in owners if owner.controller), owners[0] if owners else Owner())


def _managed_by(labels: Mapping[str, str], annotations: Mapping[str, Raw]) -> str:
    """By what each controller writes on the Secrets that are its own, or that it merges into or patches."""
    if _HASH in annotations or labels.get("reconcile.external-secrets.io/managed") == "true":
        return "external-secrets"
    if any(annotations.get(f"sealedsecrets.bitnami.com/{name}") == _TRUE for name in ("managed", "patch")):
        return "sealed-secrets"
    return "secrets-store-csi" if labels.get("secrets-store.csi.k8s.io/managed") == "true" else ""


def _writers(entries: list[_DataFields]) -> tuple[DataWriter, ...]:
    return tuple(
        DataWriter(manager=text(entry.manager), at=moment(entry.time), keys=_keys(entry.fields_v1.data))
        for entry in entries[:_WRITER_LIMIT]
        if entry.fields_v1 is not None and entry.fields_v1.data is not None
    )


def _keys(data: Mapping[str, Raw]) -> tuple[str, ...]:
    return names(name.removeprefix("f:") for name in data if name.startswith("f:"))


KINDS = (
    WatchedKind(
        kind="SealingKey",
        group="",
        versions=("v1",),
        plural="secrets",
        family=SEALED_SECRETS,
        judged=False,
        observe=observer("SealingKey", _Key, _describe_key),
        selectors=({"labelSelector": KEY_LABEL},),
        accept=METADATA_ONLY,
        filtered=True,
        by_namespace=True,
        tier="T2",
    ),
    WatchedKind(
        kind="Secret",
        group="",
        versions=("v1",),
        plural="secrets",
        family="",  # of all three: what their operators write
        judged=False,
        observe=_observing_secrets(no_tag),
        tagging=_observing_secrets,
        selectors=({"fieldSelector": ",".join(f"type!={other}" for other in _OTHER_TYPES)},),
        accept=METADATA_ONLY,
        needs=("ExternalSecret", "SealedSecret", "SecretProviderClass"),
        by_namespace=True,
        tier="T2",
    ),
)
