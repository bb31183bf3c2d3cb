"""Renewals of sealing keys: a controller made a new one. Sealed Secrets 0.36.6.

The Secret of a key tells of it (tier T2), or the certificate that the controller serves, which is its newest key's.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clusters.facts import ResourceKey, SealingCertificateFacts, SealingKeyFacts
from monitoring.rotation.base import Confidence, Evidence, Source

# A key's Secret and its certificate's NotBefore: measured 0 to 1 s apart.
TOGETHER: Final = timedelta(seconds=2)
MADE_BY: Final = "controller"  # any other manager restored or imported the key, which may be of any age
SHORT: Final = 8


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A sealing key's Secret that is there now."""

    key: ResourceKey
    created_at: datetime | None
    facts: SealingKeyFacts

    @property
    def is_made(self) -> bool:
        return self.facts.manager == MADE_BY


def of_keys(
    new: Iterable[Key], newest_known: datetime | None, certificates: Sequence[SealingCertificateFacts]
) -> list[Evidence]:
    """Renewals among keys that were not known; `newest_known` is None where no key was: then all are older news."""
    if newest_known is None:
        return []
    return [
        _renewed(key.key, key.created_at, _certificate_of(key.created_at, certificates))
        for key in new
        if key.is_made and key.facts.state == "active" and key.created_at and key.created_at > newest_known
    ]


def of_certificate(
    served_by: ResourceKey, before: SealingCertificateFacts, after: SealingCertificateFacts, keys: Sequence[Key]
) -> Evidence | None:
    """The renewal that another certificate tells of. Where keys can be read, one that the controller made must fit."""
    if before.sha256 == after.sha256 or before.not_before is None or after.not_before is None:
        return None
    if after.not_before <= before.not_before:
        return None
    key = next((key for key in keys if key.is_made and _is_together(key.created_at, after.not_before)), None)
    if key is None:
        return None if keys else _renewed(ResourceKey("SealingKey", served_by.namespace, ""), after.not_before, after)
    return _renewed(key.key, key.created_at or after.not_before, after)


def _certificate_of(
    created_at: datetime, certificates: Sequence[SealingCertificateFacts]
) -> SealingCertificateFacts | None:
    return next((served for served in certificates if _is_together(created_at, served.not_before)), None)


def _is_together(created_at: datetime | None, not_before: datetime | None) -> bool:
    return created_at is not None and not_before is not None and abs(created_at - not_before) <= TOGETHER


def _renewed(key: ResourceKey, at: datetime, served: SealingCertificateFacts | None) -> Evidence:
    return Evidence(
        key=key,
        at=at,
        confidence=Confidence.PROVED,
        source=Source.RENEWED,
        after=served.sha256[:SHORT] if served else key.name,
    )
