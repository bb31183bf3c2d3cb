"""An ExternalSecret or PushSecret and the stores it reads: what is wrong with a store is its readers' cause too.

The controller does not watch stores (External Secrets 2.9.0): a reader stays green until its next refresh.
"""

from clusters.facts import RefreshedFacts, ResourceKey, StoreFacts
from clusters.observations import EventNote
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import ClusterContext, Context
from monitoring.rules.durations import moment_words
from monitoring.rules.judgement import Judgement, listed, newest_at, signed
from monitoring.rules.refreshing import cause_of


def source_of(cluster: ClusterContext, key: ResourceKey, facts: StoreFacts) -> tuple[object, ...]:
    """What stands behind a store: its provider's server where that is known, in all clusters; else the store itself."""
    return (facts.provider, facts.server) if facts.server else ("store", cluster.name, *key)


def diagnosis_of(
    cluster: ClusterContext, key: ResourceKey, facts: StoreFacts, events: tuple[EventNote, ...]
) -> tuple[str, causes.Diagnosis]:
    """The cause of a store that is not ready, and what it tells. The same for the store and for all that read it."""
    cause = cause_of(facts, newest_at(events, "Valid"), events)
    if facts.message.startswith(cause):  # the Event may say less: "unable to validate"
        cause = facts.message
    where = f"-n {key.namespace} " if key.namespace else ""
    command = f"kubectl {where}describe {key.kind.lower()} {key.name}"
    own = ("store", cluster.name, *key)
    return cause, causes.diagnose(cause, command, own=own, source=source_of(cluster, key, facts))


def absent_signature(cluster: ClusterContext, key: ResourceKey) -> str:
    """Of all that reads a store which does not exist."""
    return signed("store absent", cluster.name, *key)


def absent_stores(facts: RefreshedFacts, context: Context) -> list[ResourceKey]:
    """Stores that it reads and that do not exist, as far as stores can be read."""
    unknown = [key for key in facts.stores if key not in context.related]
    return [key for key in unknown if key.kind in context.cluster.readable]


def broken_stores(facts: RefreshedFacts, context: Context) -> list[tuple[ResourceKey, StoreFacts]]:
    """Stores that it reads and that are not ready."""
    stores = [(key, context.related.get(key)) for key in facts.stores]
    return [(key, store) for key, store in stores if isinstance(store, StoreFacts) and store.ready is False]


def judge_stores(judgement: Judgement, facts: RefreshedFacts, context: Context) -> None:
    """A store that is absent or not ready: the next refresh fails."""
    absent, broken = absent_stores(facts, context), broken_stores(facts, context)
    if not absent and not broken:
        return
    health = Health.AT_RISK if judgement.due_at is not None or not facts.ready else Health.HEALTHY
    outlook = "no refresh can succeed"
    if facts.ready and judgement.due_at is not None:
        outlook = f"the refresh that is due on {moment_words(judgement.due_at)} fails"
    if absent:
        names = listed([f"{key.kind} {key.name}" for key in absent])
        judgement.find(
            "es-store-absent",
            health,
            f"It reads a store that does not exist ({names}): {outlook}.",
            hint="Create the store, or correct spec.secretStoreRef.",
            cause_class="store-absent",
            signature=absent_signature(context.cluster, absent[0]),
        )
    if broken:
        key, store = broken[0]
        cause, found = diagnosis_of(context.cluster, key, store, context.store_events.get(key, ()))
        judgement.find(
            "es-store-not-ready",
            health,
            f"Its store is not ready ({listed([f'{key.kind} {key.name}' for key, _ in broken])}): {outlook}.",
            cause=cause,
            hint=f"Repair the store first. {found.hint}",
            since=min((facts.condition_since for _, facts in broken if facts.condition_since), default=None),
            cause_class=found.cause_class,
            signature=found.signature,
        )
