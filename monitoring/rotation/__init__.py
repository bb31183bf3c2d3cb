"""Rotations: what tells that a value changed and the change arrived, and how sure that is.

Pure functions over facts before and after a collection, and Events. `with_past` keeps in the facts of a resource what
only its history tells, so that evidence counts whichever of it comes first. monitoring.ledger feeds them and writes.
"""

from datetime import datetime

from msgspec import structs

from clusters.facts import Facts, MountFacts, RefreshedFacts, SealedSecretFacts, SecretFacts
from monitoring.rotation.external_secrets import came_in_turn, with_tag_before
from monitoring.rotation.mounts import with_change_times
from monitoring.rotation.sealed_secrets import with_seal_before

__all__ = ["HAVE_PAST", "with_change_times", "with_past"]

HAVE_PAST = (RefreshedFacts, SealedSecretFacts, SecretFacts, MountFacts)


def with_past(previous: Facts | None, observed: Facts, created_at: datetime | None, now: datetime) -> Facts:
    """`observed`, of one of the types that HAVE_PAST, with what history tells of it.

    `previous` are the facts of the same object (same UID) as recorded before, None at first sight. `now` is the
    cluster's.
    """
    match previous, observed:
        case (MountFacts() | None, MountFacts()):
            return with_change_times(previous, observed, created_at)
        case (RefreshedFacts(), RefreshedFacts()):
            return structs.replace(observed, in_turn=came_in_turn(previous, observed))
        case (SecretFacts(), SecretFacts()):
            return with_tag_before(previous, observed, now)
        case (SealedSecretFacts(), SealedSecretFacts()):
            return with_seal_before(previous, observed)
    return observed
