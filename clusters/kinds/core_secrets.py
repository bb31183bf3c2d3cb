"""core/v1 Secrets, of which we read sealing keys only, and of those metadata only."""

from clusters.kinds.base import (
    METADATA_ONLY,
    NAME_LIMIT,
    SEALED_SECRETS,
    Described,
    ManagedMetadata,
    Resource,
    WatchedKind,
    common,
    observer,
    text,
)
from clusters.observations import SealingKeyFacts

KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"


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
    ),
)
