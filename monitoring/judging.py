"""Judge what changed and what depends on it, for one cluster: observations and rows in, entries to record out."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from clusters.facts import FACTS_TYPES, ClassFacts, Facts, MountFacts, ResourceKey, WorkloadFacts, facts_from_json
from clusters.kinds import SUPPORTING_KINDS
from clusters.models import Cluster
from clusters.observations import EventNote, Observation, Snapshot
from monitoring import drift, known, rotation, rules
from monitoring.census import COUNTED_RULES, with_census
from monitoring.context import PARENT_KINDS, Overlay, class_key, parent_keys, secret_keys
from monitoring.diff import Changes, Known
from monitoring.families import DRIFT_KINDS
from monitoring.health import Health
from monitoring.recorder import Entry, finding_to_json
from monitoring.rules.base import ClusterContext, Verdict
from monitoring.rules.refreshing import UPKEEP

F = TypeVar("F", bound=Facts)

# What others refer to, and who does: a change of one of these changes the verdict of its dependents, and whether its
# kind can be read at all that of every resource of the referring kinds.
_REFRESHED, _MOUNTS = ("ExternalSecret", "PushSecret"), ("SecretProviderClassPodStatus", "Pod")
REFERRING_KINDS = {
    "SecretStore": _REFRESHED,
    "ClusterSecretStore": _REFRESHED,
    "SecretProviderClass": _MOUNTS,
    "CSINode": _MOUNTS,
    "Pod": ("SecretProviderClassPodStatus",),
    "Secret": ("ExternalSecret", "SealedSecret", "SecretProviderClass"),
}

# A change of an operator itself (rotation switched on, a controller back) concerns all that it works on.
OPERATED_KINDS = {
    "DaemonSet": ("SecretProviderClassPodStatus",),
    "CSIDriver": ("SecretProviderClassPodStatus",),
    "DriverPod": ("SecretProviderClassPodStatus", "Pod"),
    "Deployment": ("SealedSecret",),
    "SealingKey": ("SealedSecret",),
    "SealingCertificate": ("SealedSecret",),
}

CHILD_KINDS = {"ExternalSecret", "PushSecret"}
STORE_KINDS = {"SecretStore", "ClusterSecretStore"}

# Supporting kinds are judged with their cluster, generators for advice about them.
UNJUDGED_KINDS = frozenset(SUPPORTING_KINDS) - {"Password"}

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
    cluster: Cluster,
    changes: Changes,
    observed: Sequence[Observation],
    events: Sequence[EventNote],
    turned: frozenset[str],
    clock: Clock,
) -> list[Entry]:
    """Entries for everything observed, and for dependents whose verdict became another one.

    `observed` are those of `changes` with their history (see `with_history`). `turned` are kinds that became readable
    or ceased to be.
    """
    gone = {row.key for row in changes.removed}
    again = _rows_to_judge_again(cluster.pk, observed, changes.removed, events, turned)
    recreated = {o.key for o in changes.recreated}
    known_rows = {row.key: row for row in again} | dict(changes.known)
    rows = {key: row for key, row in known_rows.items() if key not in recreated}
    return _entries(Overlay(cluster, observed, gone, clock.now, clock.offset), observed, rows, recreated, clock)


def judge_again(cluster: Cluster, rows: Iterable[Known], clock: Clock) -> list[Entry]:
    """Entries for those of these rows, and of their parents, whose verdict became another one."""
    return _entries(Overlay(cluster, (), (), clock.now, clock.offset), [], {row.key: row for row in rows}, set(), clock)


def judge_cluster(cluster: Cluster, clock: Clock) -> Verdict:
    """The verdict on the cluster's keys, controllers and drivers, from what is recorded."""
    context = with_census(Overlay(cluster, (), (), clock.now).cluster_context(), clock.cluster_now)
    return rules.judge_cluster(context, clock.cluster_now)


def concerns_cluster(entries: Iterable[Entry]) -> bool:
    """Whether the cluster's own verdict may change with these entries: what it counts came or went."""
    return any(COUNTED_RULES.intersection(rule for rule, _ in entry.said_before ^ _said(entry)) for entry in entries)


def _said(entry: Entry) -> frozenset[tuple[str, str]]:
    return frozenset((finding.rule, finding.cause_class) for finding in entry.verdict.findings)


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
    digests: dict[ResourceKey, int] = {}
    _judge([o for o in subjects if o.key.kind not in PARENT_KINDS], overlay, shared, verdicts, digests, clock)
    parents = {o.key: o for o in subjects if o.key.kind in PARENT_KINDS}
    for row in _parents(overlay, verdicts, observed):
        if row.key not in recreated:
            rows.setdefault(row.key, row)
        parents.setdefault(row.key, _observation(row))
    _judge(list(parents.values()), overlay, shared, verdicts, digests, clock)
    everything = {o.key: o for o in subjects} | parents
    return [
        _entry(o, verdicts[key], digests.get(key, 0), rows.get(key), clock, recreated=key in recreated)
        for key, o in everything.items()
        if key in fresh or _differs(verdicts[key], digests.get(key, 0), rows[key], clock)
    ]


def _judge(
    observations: Sequence[Observation],
    overlay: Overlay,
    shared: ClusterContext,
    verdicts: dict[ResourceKey, Verdict],
    digests: dict[ResourceKey, int],
    clock: Clock,
) -> None:
    """Add the verdict of each observation, and what it is compared by across clusters."""
    judged = [o for o in observations if o.key.kind not in UNJUDGED_KINDS]
    verdicts.update({o.key: HEALTHY for o in observations if o.key.kind in UNJUDGED_KINDS})
    contexts = overlay.contexts(judged, shared, {key: verdict.health for key, verdict in verdicts.items()})
    verdicts.update({o.key: rules.judge(o, contexts[o.key], clock.cluster_now) for o in judged})
    compared = (o for o in judged if o.key.kind in DRIFT_KINDS)
    digests.update({o.key: drift.digest(o.facts, contexts[o.key].related) for o in compared})


def _rows_to_judge_again(
    cluster_id: int,
    observed: Sequence[Observation],
    removed: Sequence[Known],
    events: Sequence[EventNote],
    turned: frozenset[str],
) -> list[Known]:
    """Rows that did not change themselves, but something that they are judged by did."""
    touched = {o.key for o in observed} | {row.key for row in removed}
    mounts = list(_of_type(MountFacts, observed, removed))
    mounted = {class_key(key, facts) for key, facts in mounts}
    referred = {key for key in touched if key.kind in REFERRING_KINDS} | mounted
    referred |= {key for name, facts in _of_type(ClassFacts, observed, removed) for key in secret_keys(name, facts)}
    referred |= {event.involved for event in events if event.involved.kind == "Pod" or _tells_of_a_store(event)}
    rows = known.dependents(cluster_id, referred)
    named = {event.involved for event in events} | mounted
    named |= {ResourceKey("Pod", key.namespace, facts.pod) for key, facts in mounts}
    named |= {class_key(row.key, facts) for row in rows if (facts := _mount_facts(row))}  # its pods' Events
    rows += known.rows(cluster_id, named, {}).values()
    changed = turned.union(key.kind for key in touched)
    kinds = {kind for operator in changed for kind in OPERATED_KINDS.get(operator, ())}
    kinds |= {referring for kind in turned for referring in REFERRING_KINDS.get(kind, ())}
    return rows + (known.of_kinds(cluster_id, kinds) if kinds else [])


def _tells_of_a_store(event: EventNote) -> bool:
    """Why a store is not ready: what reads it names that as its cause. A store that is well says so every 5 minutes."""
    return event.involved.kind in STORE_KINDS and event.type == "Warning" and event.reason not in UPKEEP


def _of_type(
    wanted: type[F], observed: Sequence[Observation], removed: Sequence[Known]
) -> Iterator[tuple[ResourceKey, F]]:
    """What changed or went away, of one type of facts: others are compared with it."""
    for observation in observed:
        if isinstance(observation.facts, wanted):
            yield observation.key, observation.facts
    for row in removed:
        if FACTS_TYPES[row.key.kind] is wanted:
            yield row.key, facts_from_json(row.key.kind, row.facts)  # type: ignore[misc]


def _mount_facts(row: Known) -> MountFacts | None:
    if row.key.kind != "SecretProviderClassPodStatus":
        return None
    facts = facts_from_json(row.key.kind, row.facts)
    return facts if isinstance(facts, MountFacts) else None


def _parents(overlay: Overlay, verdicts: dict[ResourceKey, Verdict], observed: Sequence[Observation]) -> list[Known]:
    children = [key for key in (*verdicts, *overlay.removed) if key.kind in CHILD_KINDS]
    named = {key for o in observed for key in parent_keys(o)}
    rows = known.parents(overlay.cluster.pk, children)
    rows += known.rows(overlay.cluster.pk, named, {}).values()
    return [row for row in rows if row.key not in overlay.removed]


def with_history(changes: Changes, clock: Clock) -> list[Observation]:
    """What was observed, with what only history tells: since when a mount has each version, a workload too few pods."""
    return [_with_history(o, changes.known.get(o.key), clock) for o in changes.observed]


def _with_history(observation: Observation, row: Known | None, clock: Clock) -> Observation:
    facts = observation.facts
    if not isinstance(facts, (*rotation.HAVE_PAST, WorkloadFacts)):
        return observation
    previous = facts_from_json(row.key.kind, row.facts) if row and row.uid == observation.uid else None
    if not isinstance(facts, WorkloadFacts):
        facts = rotation.with_past(previous, facts, observation.created_at, clock.cluster_now)
    elif facts.ready < facts.desired:
        since = previous.short_since if isinstance(previous, WorkloadFacts) else None
        facts = msgspec.structs.replace(facts, short_since=since or clock.cluster_now)
    return observation if facts is observation.facts else msgspec.structs.replace(observation, facts=facts)


def _observation(row: Known) -> Observation:
    return Observation(
        key=row.key,
        uid=row.uid,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
        facts=facts_from_json(row.key.kind, row.facts),
    )


def _entry(
    observation: Observation, verdict: Verdict, digest: int, row: Known | None, clock: Clock, *, recreated: bool
) -> Entry:
    return Entry(
        observation=observation,
        verdict=verdict,
        since=_since(verdict, row, clock),
        first_seen_at=row.first_seen_at if row else clock.now,
        recheck_at=clock.ours(verdict.recheck_at),
        due_at=clock.ours(verdict.due_at),
        recreated=recreated,
        drift_digest=digest,
        said_before=frozenset(
            (str(finding["rule"]), str(finding.get("cause_class", ""))) for finding in (row.findings if row else ())
        ),
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


def _differs(verdict: Verdict, digest: int, row: Known, clock: Clock) -> bool:
    return (
        verdict.health != row.health
        or [finding_to_json(finding) for finding in verdict.findings] != row.findings
        or [finding_to_json(finding) for finding in verdict.lints] != row.lints
        or clock.ours(verdict.recheck_at) != row.recheck_at
        or clock.ours(verdict.due_at) != row.due_at
        or digest != row.drift_digest
    )
