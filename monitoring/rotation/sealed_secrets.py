"""Rotations of SealedSecrets: sealed anew, and unsealed since. Sealed Secrets 0.36.6.

What a ciphertext holds cannot be seen: sealing the same value again looks like a new one, so this is inferred. An
`Unsealed` Event alone comes with every restart of the controller, and a changed template changes the generation alone.
"""

from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from clusters.facts import ResourceKey, SealedSecretFacts
from clusters.observations import EventNote
from monitoring.rotation.base import Confidence, Evidence, Source

SHORT: Final = 8


def with_seal_before(previous: SealedSecretFacts, observed: SealedSecretFacts) -> SealedSecretFacts:
    """`observed` with a hash of the ciphertexts that its present ones replaced; see SealedSecretFacts.sealed_before."""
    before = previous.sealed_before
    if short_seal(previous) != short_seal(observed) and previous.generation != observed.generation:
        before = short_seal(previous)
    return msgspec.structs.replace(observed, sealed_before=before)


def of_seal(
    key: ResourceKey, facts: SealedSecretFacts, event: EventNote | None, last: Evidence | None
) -> Evidence | None:
    """The rotation to the present ciphertexts, once the controller has unsealed them; `last` is the last one told.

    `event` is the newest `Unsealed` Event. It and the status may come later than the spec, in either order.
    """
    seal = short_seal(facts)
    if not facts.sealed_before or not seal or (last is not None and last.after == seal):
        return None
    at = _unsealed_at(facts, event)
    if at is None:
        return None
    return Evidence(
        key=key,
        at=at,
        confidence=Confidence.INFERRED,
        source=Source.RESEALED,
        before=facts.sealed_before,
        after=seal,
    )


def is_unsealed(event: EventNote) -> bool:
    """Whether Sealed Secrets tells with this Event that it wrote a target."""
    return (event.type, event.reason, event.involved.kind) == ("Normal", "Unsealed", "SealedSecret")


def short_seal(facts: SealedSecretFacts) -> str:
    """What stands for the ciphertexts as a whole; "" where there are none."""
    digests = sorted(item.digest for item in facts.sealed if item.digest)
    return sha256("\n".join(digests).encode()).hexdigest()[:SHORT] if digests else ""


def _unsealed_at(facts: SealedSecretFacts, event: EventNote | None) -> datetime | None:
    """When the controller unsealed the present spec, by its Event or its status (which can be switched off)."""
    moments = []
    if facts.ready is True and facts.observed_generation >= facts.generation:
        moments.append(facts.updated_at)
    if event is not None and event.last_at and facts.spec_written_at and event.last_at >= facts.spec_written_at:
        moments.append(event.last_at)
    return min((moment for moment in moments if moment is not None), default=None)
