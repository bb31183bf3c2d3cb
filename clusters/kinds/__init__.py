"""The kinds that we watch. To add one: its facts in `clusters.facts`, its shape and `describe` in a module here."""

from clusters.kinds import (
    core_secrets,
    external_secrets,
    generators,
    pods,
    sealed_secrets,
    secret_stores,
    secrets_store_csi,
    workloads,
)
from clusters.kinds.base import EXTERNAL_SECRETS, SEALED_SECRETS, SECRETS_STORE_CSI, Observe, WatchedKind

WATCHED_KINDS: tuple[WatchedKind, ...] = (
    *external_secrets.KINDS,
    *secret_stores.KINDS,
    *generators.KINDS,
    *sealed_secrets.KINDS,
    *secrets_store_csi.KINDS,
    *pods.KINDS,
    *core_secrets.KINDS,
    *workloads.KINDS,
)

BY_NAME: dict[str, WatchedKind] = {watched.kind: watched for watched in WATCHED_KINDS}

JUDGED_KINDS: tuple[str, ...] = tuple(watched.kind for watched in WATCHED_KINDS if watched.judged)
SUPPORTING_KINDS: tuple[str, ...] = tuple(watched.kind for watched in WATCHED_KINDS if not watched.judged)

# Judged kinds by family, in the order of display.
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(watched.kind for watched in WATCHED_KINDS if watched.judged and watched.family == family)
    for family in (EXTERNAL_SECRETS, SEALED_SECRETS, SECRETS_STORE_CSI)
}

__all__ = [
    "BY_NAME",
    "EXTERNAL_SECRETS",
    "FAMILIES",
    "JUDGED_KINDS",
    "SEALED_SECRETS",
    "SECRETS_STORE_CSI",
    "SUPPORTING_KINDS",
    "WATCHED_KINDS",
    "Observe",
    "WatchedKind",
]
