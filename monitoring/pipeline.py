"""The whole way of the data, top to bottom: read, compare, judge, record, finish.

`collect` is one call per shard of clusters. READ happens for all of them at once in one asyncio loop; every snapshot
is then applied as it arrives, in one short transaction per cluster that holds the cluster's lease row.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction

from clusters import collector
from clusters.credentials import CredentialError, open_target
from clusters.kinds import JUDGED_KINDS
from clusters.models import Cluster
from clusters.observations import EventNote, Failure, Outcome, Problem, ReadCursor, Snapshot, Target
from clusters.tagging import tagger
from monitoring import diff, judging, known, lateness, leases, ledger, memory, outcomes, recorder, suspects
from monitoring.context import CLUSTER_KINDS
from monitoring.diff import Changes, Known
from monitoring.models import ClusterState

log = structlog.get_logger()

Fingerprints = Mapping[str, frozenset[int]]  # by kind

RECHECK_BATCH = 2_000  # verdicts of one cluster in one transaction: about 0.1 s


class Watch:
    """The time of one collection: when it `began`, and what time it is `now`, later by what has passed since.

    A shard takes seconds to be read and applied, while secrets are judged again by the clock: with one frozen moment
    a transition would be told with a time before that of an earlier one.
    """

    def __init__(self, began: datetime, tick: Callable[[], float] = time.monotonic) -> None:
        self.began = began
        self._tick = tick
        self._start = tick()

    @property
    def passed(self) -> timedelta:
        return timedelta(seconds=self._tick() - self._start)

    @property
    def now(self) -> datetime:
        return self.began + self.passed


def collect(cluster_ids: Sequence[int], holder: UUID, now: datetime) -> None:
    """Read these claimed clusters and record what changed. One cluster's failure is that cluster's outcome."""
    watch = Watch(now)
    clusters = {c.pk: c for c in Cluster.objects.enabled().filter(pk__in=cluster_ids).select_related("credential")}
    cursors = known.cursors(list(clusters), now)
    targets: list[Target] = []
    for cluster in clusters.values():
        try:
            targets.append(target_of(cluster, cursors.get(cluster.pk, {})))
        except CredentialError as error:
            problem = Problem(failure=Failure.CREDENTIAL, message=str(error))
            apply(cluster, Snapshot(cluster_id=cluster.pk, problem=problem), {}, holder, watch)
    for snapshot in collector.read_shard(targets, allowed_networks=settings.DIAL_ALLOWED_NETWORKS):
        fingerprints = {kind: cursor.known for kind, cursor in cursors.get(snapshot.cluster_id, {}).items()}
        apply(clusters[snapshot.cluster_id], snapshot, fingerprints, holder, watch)


def target_of(cluster: Cluster, cursors: Mapping[str, ReadCursor]) -> Target:
    """What the collector needs to read this cluster, its credential opened. Raises CredentialError."""
    private_key, tag = settings.CREDENTIAL_PRIVATE_KEY, tagger(settings.TAG_KEY)
    return open_target(cluster, private_key, cursors, settings.COLLECTION_DEADLINE, tag)


def apply(cluster: Cluster, snapshot: Snapshot, fingerprints: Fingerprints, holder: UUID, watch: Watch) -> None:
    """Apply one cluster's snapshot. Whatever goes wrong is this cluster's outcome and never leaves the shard.

    A snapshot that cannot be applied (Postgres refuses a text, a rule's surroundings have a bug) leaves nothing behind
    but a failed collection; if not even that can be written, the lease runs out by itself.
    """
    try:
        _apply(cluster, snapshot, fingerprints, holder, watch)
    except Exception as error:
        log.exception("snapshot could not be recorded", cluster=cluster.name)
        message = f"What was read could not be recorded ({type(error).__name__})."
        problem = Problem(failure=Failure.BAD_ANSWER, message=message)
        try:
            _apply(cluster, Snapshot(cluster_id=cluster.pk, problem=problem), {}, holder, watch)
        except DatabaseError:
            log.exception("failed collection could not be recorded", cluster=cluster.name)


@transaction.atomic
def _apply(cluster: Cluster, snapshot: Snapshot, fingerprints: Fingerprints, holder: UUID, watch: Watch) -> None:
    held = leases.lock(cluster.pk)
    if held is None or held.holder != holder or held.api_url != cluster.api_url:
        log.warning("cluster was removed, moved or claimed by another worker: snapshot dropped", cluster=cluster.name)
        return
    locked_after = watch.passed
    offset = judging.clock_offset(snapshot, watch.began, held.clock_offset)
    clock = judging.Clock(now=watch.now, offset=offset)
    changes = compare(cluster, snapshot, fingerprints)
    collection_id = outcomes.begin(cluster, snapshot, changes, watch.began)
    outcomes.remember(cluster, snapshot, offset, watch.began)
    changed = [(o, changes.known[o.key]) for o in changes.changed]
    if (lag := lateness.learnt(held.queue_lag, changed, offset)) != held.queue_lag:
        outcomes.remember_lag(cluster.pk, lag)
    turned = recorder.advance(cluster.pk, list(snapshot.kinds.values()), watch.began, cluster.freshness_limit)
    transitions = judge_and_record(cluster, changes, snapshot, turned, clock, collection_id)
    outcomes.end(collection_id, transitions=transitions, apply_time=watch.passed - locked_after, finished_at=watch.now)
    outcomes.release(cluster, snapshot, held, watch.now)


def events_of(snapshot: Snapshot) -> tuple[EventNote, ...]:
    return snapshot.kinds["Event"].events if "Event" in snapshot.kinds else ()


def has_failures(snapshot: Snapshot) -> bool:
    """Whether a kind could not be read: why may concern the cluster (a conversion webhook that fails every list)."""
    return any(result.outcome == Outcome.FAILED for result in snapshot.kinds.values())


def compare(cluster: Cluster, snapshot: Snapshot, fingerprints: Fingerprints) -> Changes:
    """What was added, changed, recreated or removed, over all kinds of resources. At most one statement."""
    results = [result for kind, result in snapshot.kinds.items() if kind != "Event"]
    missing = {r.kind: diff.missing_fingerprints(fingerprints.get(r.kind, frozenset()), r) for r in results}
    keys = [o.key for r in results if fingerprints.get(r.kind) for o in r.observations]
    keys += [key for r in results for key in r.removed]
    rows = known.rows(cluster.pk, keys, missing)
    return diff.merge(diff.compare({key: row for key, row in rows.items() if key.kind == r.kind}, r) for r in results)


def judge_and_record(
    cluster: Cluster,
    changes: Changes,
    snapshot: Snapshot,
    turned: frozenset[str],
    clock: judging.Clock,
    collection_id: int,
) -> int:
    """Judge what changed and what depends on it, then record all of it; return the number of transitions."""
    events, failing = events_of(snapshot), has_failures(snapshot)
    if not (changes.keys or events or turned or failing):
        return 0
    observed = judging.with_history(changes, clock)
    ledger.keep(ledger.Scene(cluster.pk, changes, observed, snapshot), clock.now, clock.cluster_now, collection_id)
    recorder.note_events(cluster.pk, events, clock.now)
    suspects.note_revisions(cluster.pk, changes, clock.now, clock.offset)
    memory.remember(cluster.pk, observed, changes.removed, clock.now, clock.offset)
    entries = judging.judge_changes(cluster, changes, observed, events, turned, clock)
    transitions = recorder.record(
        cluster.pk,
        entries,
        changes.removed,
        at=clock.now,
        collection_id=collection_id,
        judged_kinds=JUDGED_KINDS,
    )
    recorder.refer(cluster.pk, changes.observed)
    of_cluster = turned or failing or any(key.kind in CLUSTER_KINDS for key in changes.keys)
    if of_cluster or changes.removed or judging.concerns_cluster(entries):
        judge_cluster(cluster, clock)
    return transitions


def judge_cluster(cluster: Cluster, clock: judging.Clock) -> None:
    verdict = judging.judge_cluster(cluster, clock)
    outcomes.remember_verdict(cluster.pk, verdict, clock.ours(verdict.recheck_at), clock.now)


def recheck_due(now: datetime) -> int:
    """Judge again what the clock may have changed (a secret goes stale with no event); return the transitions.

    Only clusters whose knowledge is fresh: while we cannot see a cluster, its resources are unknown, not stale.
    """
    due = known.clusters_to_recheck(now)
    states = ClusterState.objects.filter(cluster_id__in=due, cluster__enabled=True).select_related("cluster")
    watch, transitions = Watch(now), 0
    for state in states:
        try:
            transitions += _recheck(state, watch)
        except Exception:  # one cluster's rows must not keep the others from being judged
            log.exception("could not judge again", cluster=state.cluster.name)
    return transitions


@transaction.atomic
def _recheck(state: ClusterState, watch: Watch) -> int:
    cluster = state.cluster
    held = leases.lock(cluster.pk)
    if held is None:
        return 0
    now = watch.now
    clock = judging.Clock(now=now, offset=held.clock_offset)
    fresh_from = now - cluster.freshness_limit
    if state.recheck_at and state.recheck_at <= now and state.answered_at and state.answered_at >= fresh_from:
        judge_cluster(cluster, clock)
    rows = known.due(cluster.pk, now, fresh_from=fresh_from, limit=RECHECK_BATCH)
    if not rows:
        return 0
    return _judge_again(cluster, rows, clock)


def _judge_again(cluster: Cluster, rows: Sequence[Known], clock: judging.Clock) -> int:
    entries = judging.judge_again(cluster, rows, clock)
    transitions = recorder.record(cluster.pk, entries, (), at=clock.now, collection_id=None, judged_kinds=JUDGED_KINDS)
    if judging.concerns_cluster(entries):
        judge_cluster(cluster, clock)
    return transitions


def compare_clusters(now: datetime) -> int:
    """Judge again what another cluster's news may have changed; return the transitions.

    A newer version that is mounted elsewhere, a ciphertext that was opened elsewhere, a certificate that is served
    twice: nothing in the concerned cluster itself changes with them.
    """
    watch, transitions = Watch(now), 0
    states = ClusterState.objects.filter(cluster_id__in=known.clusters_concerned(), cluster__enabled=True)
    for state in states.select_related("cluster"):
        try:
            transitions += _compare(state, watch)
        except Exception:
            log.exception("could not compare with others", cluster=state.cluster.name)
    return transitions


@transaction.atomic
def _compare(state: ClusterState, watch: Watch) -> int:
    held = leases.lock(state.cluster_id)
    fresh_from = watch.now - state.cluster.freshness_limit
    if held is None or state.answered_at is None or state.answered_at < fresh_from:
        return 0
    clock = judging.Clock(now=watch.now, offset=held.clock_offset)
    judge_cluster(state.cluster, clock)
    return _judge_again(state.cluster, known.concerned(state.cluster_id, limit=RECHECK_BATCH), clock)
