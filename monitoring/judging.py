"""Judge what changed and what depends on it, for one cluster: observations and rows in, entries to record out."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from clusters.kinds import SUPPORTING_KINDS
from clusters.models import Cluster
from clusters.observations import (
    EventNote,
    MountFacts,
    Observation,
    ResourceKey,
    Snapshot,
    facts_from_json,
)
from monitoring import known, rules
from monitoring.context import PARENT_KINDS, Overlay, class_key, parent_keys
from monitoring.diff import Changes, Known
from monitoring.health import Health
from monitoring.recorder import Entry, finding_to_json
from monitoring.rotation import with_change_times
from monitoring.rules.base import ClusterContext, Verdict

# What others refer to, and who does: a change of one of these changes the verdict of its dependents, and whether its
# kind can be read at all that of every resource of the referring kinds.
_REFRESHED, _MOUNTS = ("ExternalSecret", "PushSecret"), ("SecretProviderClassPodStatus",)
REFERRING_KINDS = {
    "SecretStore": _REFRESHED,
    "ClusterSecretStore": _REFRESHED,
    "SecretProviderClass": _MOUNTS,
    "CSINode": _MOUNTS,
}

# A change of an operator itself (rotation switched on, a controller back) concerns all that it works on.
OPERATED_KINDS = {
    "DaemonSet": "SecretProviderClassPodStatus",
    "CSIDriver": "SecretProviderClassPodStatus",
    "Deployment": "SealedSecret",
}

CHILD_KINDS = {"ExternalSecret", "PushSecret"}

HEALTHY = Verdict(health=Health.HEALTHY)

# The Date header has whole seconds, and an answer takes its time.
SAME_CLOCK = timedelta(seconds=3)
SAME_OFFSET = timedelta(seconds=1.5)


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Our time and the cluster's. Rules judge by the cluster's; what we store and schedule is ours."""

    now: datetime
    offset: timedelta = timedelta(0)

    @property
    def cluster_now(self) -> datetime:
        return self.now + self.offset

    def ours(self, moment: datetime | None) -> datetime | None:
        return moment - self.offset if moment else None


def clock_offset(snapshot: Snapshot, started_at: datetime, before: timedelta) -> timedelta:
    """The API server's clock minus ours, from the Date header of its last answer.

    Below 3 s it counts as none; within 1.5 s of what was known `before` it stays, so that it does not jitter.
    """
    if snapshot.server_time is None:
        return before
    offset = snapshot.server_time - (started_at + snapshot.server_time_after)
    if abs(offset) <= SAME_CLOCK:
        return timedelta(0)
    return before if abs(offset - before) <= SAME_OFFSET else offset


def judge_changes(
    cluster: Cluster, changes: Changes, events: Sequence[EventNote], turned: frozenset[str], clock: Clock
) -> list[Entry]:
    """Entries for everything observed, and for dependents whose verdict became another one.

    `turned` are kinds that became readable or ceased to be.
    """
    observed = [_with_history(o, changes.known.get(o.key)) for o in changes.observed]
    gone = {row.key for row in changes.removed}
    again = _rows_to_judge_again(cluster.pk, observed, changes.removed, events, turned)
    recreated = {o.key for o in changes.recreated}
    known_rows = {row.key: row for row in again} | dict(changes.known)
    rows = {key: row for key, row in known_rows.items() if key not in recreated}
    return _entries(Overlay(cluster, observed, gone, clock.now), observed, rows, recreated, clock)


def judge_again(cluster: Cluster, rows: Iterable[Known], clock: Clock) -> list[Entry]:
    """Entries for those of these rows, and of their parents, whose verdict became another one."""
    return _entries(Overlay(cluster, (), (), clock.now), [], {row.key: row for row in rows}, set(), clock)


def judge_cluster(cluster: Cluster, clock: Clock) -> Verdict:
    """The verdict on the cluster's keys, controllers and drivers, from what is recorded."""
    return rules.judge_cluster(Overlay(cluster, (), (), clock.now).cluster_context(), clock.cluster_now)


def _entries(
    overlay: Overlay,
    observed: Sequence[Observation],
    rows: dict[ResourceKey, Known],
    recreated: set[ResourceKey],
    clock: Clock,
) -> list[Entry]:
    fresh = {o.key for o in observed}
    subjects = [*observed, *(_observation(row) for key, row in rows.items() if key not in fresh | overlay.removed)]
    shared = overlay.cluster_context()
    verdicts: dict[ResourceKey, Verdict] = {}
    _judge([o for o in subjects if o.key.kind not in PARENT_KINDS], overlay, shared, verdicts, clock)
    parents = {o.key: o for o in subjects if o.key.kind in PARENT_KINDS}
    for row in _parents(overlay, verdicts, observed):
        if row.key not in recreated:
            rows.setdefault(row.key, row)
        parents.setdefault(row.key, _observation(row))
    _judge(list(parents.values()), overlay, shared, verdicts, clock)
    everything = {o.key: o for o in subjects} | parents
    return [
        _entry(o, verdicts[key], rows.get(key), clock, recreated=key in recreated)
        for key, o in everything.items()
        if key in fresh or _differs(verdicts[key], rows[key], clock)
    ]


def _judge(
    observations: Sequence[Observation],
    overlay: Overlay,
    shared: ClusterContext,
    verdicts: dict[ResourceKey, Verdict],
    clock: Clock,
) -> None:
    judged = [o for o in observations if o.key.kind not in SUPPORTING_KINDS]
    verdicts.update({o.key: HEALTHY for o in observations if o.key.kind in SUPPORTING_KINDS})
    contexts = overlay.contexts(judged, shared, {key: verdict.health for key, verdict in verdicts.items()})
    verdicts.update({o.key: rules.judge(o, contexts[o.key], clock.cluster_now) for o in judged})


def _rows_to_judge_again(
    cluster_id: int,
    observed: Sequence[Observation],
    removed: Sequence[Known],
    events: Sequence[EventNote],
    turned: frozenset[str],
) -> list[Known]:
    """Rows that did not change themselves, but something that they are judged by did."""
    touched = {o.key for o in observed} | {row.key for row in removed}
    referred = {key for key in touched if key.kind in REFERRING_KINDS}
    referred |= {class_key(key, facts) for key, facts in _mounts(observed, removed)}
    referred |= {event.involved for event in events if event.involved.kind == "Pod"}
    rows = known.dependents(cluster_id, referred)
    rows += known.rows(cluster_id, {event.involved for event in events}, {}).values()
    kinds = {OPERATED_KINDS[key.kind] for key in touched if key.kind in OPERATED_KINDS}
    kinds |= {OPERATED_KINDS[kind] for kind in turned if kind in OPERATED_KINDS}
    kinds |= {referring for kind in turned for referring in REFERRING_KINDS.get(kind, ())}
    return rows + (known.of_kinds(cluster_id, kinds) if kinds else [])


def _mounts(observed: Sequence[Observation], removed: Sequence[Known]) -> Iterator[tuple[ResourceKey, MountFacts]]:
    """Mounts that changed or went away: their siblings are compared with them."""
    for observation in observed:
        if isinstance(observation.facts, MountFacts):
            yield observation.key, observation.facts
    for row in removed:
        if isinstance(facts := facts_from_json(row.key.kind, row.facts), MountFacts):
            yield row.key, facts


def _parents(overlay: Overlay, verdicts: dict[ResourceKey, Verdict], observed: Sequence[Observation]) -> list[Known]:
    children = [key for key in (*verdicts, *overlay.removed) if key.kind in CHILD_KINDS]
    named = {key for o in observed for key in parent_keys(o)}
    rows = known.parents(overlay.cluster.pk, children)
    rows += known.rows(overlay.cluster.pk, named, {}).values()
    return [row for row in rows if row.key not in overlay.removed]


def _with_history(observation: Observation, row: Known | None) -> Observation:
    """A mount's observation with the moment at which each of its objects got its present version."""
    if not isinstance(observation.facts, MountFacts):
        return observation
    previous = facts_from_json(row.key.kind, row.facts) if row and row.uid == observation.uid else None
    facts = with_change_times(previous, observation.facts, observation.created_at)  # type: ignore[arg-type]
    return msgspec.structs.replace(observation, facts=facts)


def _observation(row: Known) -> Observation:
    return Observation(
        key=row.key,
        uid=row.uid,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
        facts=facts_from_json(row.key.kind, row.facts),
    )


def _entry(observation: Observation, verdict: Verdict, row: Known | None, clock: Clock, *, recreated: bool) -> Entry:
    return Entry(
        observation=observation,
        verdict=verdict,
        since=_since(verdict, row, clock),
        first_seen_at=row.first_seen_at if row else clock.now,
        recheck_at=clock.ours(verdict.recheck_at),
        due_at=clock.ours(verdict.due_at),
        recreated=recreated,
    )


def _since(verdict: Verdict, row: Known | None, clock: Clock) -> datetime:
    """When the present health began: by the controller's clock where it tells, else when we first saw it.

    A health that lasts keeps its beginning, unless the controller says that it ended and began again meanwhile.
    """
    began = clock.ours(verdict.since)
    began = min(began, clock.now) if began else None
    if row is None or row.health != verdict.health:
        return began or clock.now
    return max(began, row.since) if began else row.since


def _differs(verdict: Verdict, row: Known, clock: Clock) -> bool:
    return (
        verdict.health != row.health
        or [finding_to_json(finding) for finding in verdict.findings] != row.findings
        or clock.ours(verdict.recheck_at) != row.recheck_at
        or clock.ours(verdict.due_at) != row.due_at
    )
