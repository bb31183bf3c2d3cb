"""Rules about what a SealedSecret was sealed with and for, as far as that can be proved without any key.

A ciphertext names neither its key nor its place. What can be known: when it was written or first seen, the length of
its key, and that the very same ciphertext is opened elsewhere.
"""

from datetime import datetime

from clusters.facts import SealedItem, SealedSecretFacts
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules.base import Context, SeenSealed
from monitoring.rules.durations import moment_words
from monitoring.rules.judgement import Judgement, listed
from monitoring.rules.sealing_keys import compromised_eras, newest_key, served, unopened


def judge_origin(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    """Sealed before the newest key, with a key that is marked compromised, or for another place."""
    newest = newest_key(context.cluster)
    if facts.ready and newest is not None and facts.sealed:
        _before_newest(judgement, observation, facts, context, newest)
    _compromised(judgement, observation, facts, context)


def _before_newest(
    judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context, newest: datetime
) -> None:
    bits = {certificate.key_bits for certificate in served(context.cluster) if certificate.key_bits}
    old = [item.name for item in facts.sealed if _is_old(item, observation, context, newest, bits)]
    if old:
        judgement.find(
            "ss-sealed-before-newest-key",
            Health.HEALTHY,
            f"{listed(old)} was certainly sealed before the newest key, of {moment_words(newest)}: it opens with an "
            f"older one.",
            hint="Seal it again (kubeseal --re-encrypt) before the older key is retired.",
        )
    elif max(len(context.cluster.keys), len(context.cluster.certificates)) > 1:
        judgement.find(
            "ss-sealed-before-newest-key",
            Health.HEALTHY,
            f"It is unknown whether it was sealed before the newest key ({moment_words(newest)}): nothing proves that "
            f"its ciphertext is older, but an old one that is applied again looks young.",
            hint="Seal it again (kubeseal --re-encrypt) to be sure.",
        )


def _is_old(item: SealedItem, observation: Observation, context: Context, newest: datetime, bits: set[int]) -> bool:
    """Certainly: by its time, or because its key had another length than the one that is served."""
    moment = _sealed_by(item, observation, context)
    return (moment is not None and moment < newest) or bool(item.key_bits and bits and item.key_bits not in bits)


def _sealed_by(item: SealedItem, observation: Observation, context: Context) -> datetime | None:
    """The earliest moment at which this ciphertext is proved to have been there; None where nothing proves any.

    managedFields tell it by item; our own history also across clusters; creation counts while nothing was changed.
    """
    unchanged = observation.facts.generation == 1
    proofs = (item.written_at, context.first_sealed.get(item.digest), observation.created_at if unchanged else None)
    return min((moment for moment in proofs if moment is not None), default=None)


def _compromised(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    eras = compromised_eras(context.cluster)
    if not eras:
        return
    named = [
        item.name
        for item in facts.sealed
        if (moment := _sealed_by(item, observation, context)) is not None
        and any(begun <= moment and (end is None or moment < end) for begun, end in eras)
    ]
    if named:
        judgement.find(
            "ss-key-compromised",
            Health.AT_RISK,
            f"{listed(named)} was written while a key was the newest that is not labelled active any more: unless an "
            f"older key sealed it, it cannot be opened after the controller's next restart.",
            hint="Seal it again with the newest certificate, and rotate the value.",
        )


def judge_misplaced(judgement: Judgement, observation: Observation, facts: SealedSecretFacts, context: Context) -> None:
    """For one that cannot be opened here: the same ciphertext is opened at another place, so it was sealed for that."""
    others = [other for item in facts.sealed for other in context.sealed_elsewhere.get(item.digest, ()) if other.synced]
    if not others:
        return
    other = min(others, key=lambda other: (not other.here, other.key.namespace != observation.key.namespace, other.key))
    place, differs = _differs(observation, other)
    judgement.find(
        "ss-sealed-for-other",
        Health.FAILING,
        f"It was sealed for another {differs}: the very same ciphertext is opened as {place}.",
        cause=facts.message,
        hint=f"Seal it again for this {differs}, or with a wider scope if it shall open in both places.",
        since=facts.condition_since,
        cause_class="undecryptable",
        # What a cluster that was rebuilt cannot open is one cause, also while the old cluster still opens it.
        signature="" if other.here else unopened(context.cluster),
    )


def _differs(observation: Observation, other: SeenSealed) -> tuple[str, str]:
    """Where it is opened, and what is different there."""
    place = f"{other.key.namespace}/{other.key.name}"
    if not other.here:
        return f"{place} in cluster {other.cluster}", "cluster"
    return place, "namespace" if other.key.namespace != observation.key.namespace else "name"
