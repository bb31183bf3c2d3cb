"""The tiers of rights that we ship in deploy/rbac: what each buys, and whether a credential turned out to have it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clusters.kinds import WATCHED_KINDS
from clusters.observations import KindResult, Outcome


class Tier(NamedTuple):
    """`code` names the manifest, WatchedKind.tier the kinds that it opens."""

    code: str
    buys: str


TIERS = (
    Tier("T0", "custom resources, operators and Events: what is fresh, what is not, and why"),
    Tier("T1", "pods: waiting for a mount, mounts of gone pods, drivers not ready, parts of a volume"),
    Tier("T2", "metadata of Secrets: age of sealing keys, targets missing, edited or empty, values in annotations"),
)


def state(tier: Tier, results: Mapping[str, KindResult]) -> str:
    """In words, from what reading brought."""
    read = [results[watched.kind] for watched in WATCHED_KINDS if watched.tier == tier.code and watched.listed]
    outcomes = {result.outcome for result in read}
    if Outcome.FORBIDDEN in outcomes:
        return "granted in part" if Outcome.COMPLETE in outcomes else "not granted"
    if Outcome.FAILED in outcomes:
        return "not known"
    if outcomes == {Outcome.NOT_INSTALLED}:
        return "not needed"
    return f"granted in {_listed(read)}" if any(result.namespaces for result in read) else "granted"


def _listed(results: Iterable[KindResult]) -> str:
    return ", ".join(dict.fromkeys(namespace for result in results for namespace in result.namespaces))
