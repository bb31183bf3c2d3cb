"""How a collection ended: its Collection row, what we know of the cluster as a whole, and the lease given back."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from clusters.models import Cluster
from clusters.observations import Failure, Outcome, Snapshot
from monitoring import leases
from monitoring.diff import Changes
from monitoring.known import as_json
from monitoring.models import ClusterState, Collection
from monitoring.recorder import finding_to_json
from monitoring.rules.base import Verdict

# `failing_since` is the start of the first failed collection in a row; `failures` in the lease counts them.
REMEMBER = """
INSERT INTO monitoring_clusterstate AS s (
    cluster_id, outcome, failure, message, collected_at, answered_at, complete_at, failing_since, server_version,
    clock_offset_ms, queue_lag_s, health, findings, lints)
VALUES (%(cluster_id)s, %(result)s, %(failure)s, %(message)s, %(now)s, %(answered_at)s, %(complete_at)s,
    %(failing_since)s, %(server_version)s, %(clock_offset_ms)s, 0, 0, '[]', '[]')
ON CONFLICT (cluster_id) DO UPDATE SET
    outcome = excluded.outcome, failure = excluded.failure, message = excluded.message,
    collected_at = excluded.collected_at,
    answered_at = coalesce(excluded.answered_at, s.answered_at),
    complete_at = coalesce(excluded.complete_at, s.complete_at),
    failing_since = CASE WHEN excluded.failing_since IS NULL THEN NULL
        ELSE coalesce(s.failing_since, excluded.failing_since) END,
    server_version = coalesce(nullif(excluded.server_version, ''), s.server_version),
    clock_offset_ms = CASE WHEN excluded.answered_at IS NULL THEN s.clock_offset_ms ELSE excluded.clock_offset_ms END
"""

# The state of the cluster's own verdict that ended becomes history, as a resource's does (see recorder.WRITE).
JUDGED = """
WITH states AS (
    SELECT *, (health, findings, lints) = (%(health)s, %(findings)s::jsonb, %(lints)s::jsonb) AS lasts,
        greatest(%(now)s, recorded_at) AS at
    FROM monitoring_clusterstate WHERE cluster_id = %(cluster_id)s
), told AS (
    INSERT INTO monitoring_transition (
        at, began_at, cluster_id, resource_id, kind, namespace, name, uid, from_health, to_health, turned, findings,
        lints, signature)
    SELECT at, recorded_at, cluster_id, 0, 'Cluster', '', '', '', health, %(health)s,
        health <> %(health)s, findings, lints, ''
    FROM states WHERE not lasts AND recorded_at IS NOT NULL
)
UPDATE monitoring_clusterstate c SET health = %(health)s, findings = %(findings)s::jsonb, lints = %(lints)s::jsonb,
    recheck_at = %(recheck_at)s, recorded_at = CASE WHEN s.lasts THEN coalesce(s.recorded_at, s.at) ELSE s.at END
FROM states s WHERE c.cluster_id = s.cluster_id
"""

KNOWN_OUTCOMES = (Outcome.COMPLETE, Outcome.DELTA, Outcome.NOT_INSTALLED)


def result_of(snapshot: Snapshot) -> str:
    """failed: nothing of the cluster was read; partial: a kind that may be read was not; else complete.

    A kind that our credential may not read is a fact about our rights, shown as such; it makes no collection partial.
    """
    if snapshot.problem:
        return Collection.Result.FAILED
    failed = any(result.outcome == Outcome.FAILED for result in snapshot.kinds.values())
    return Collection.Result.PARTIAL if failed else Collection.Result.COMPLETE


def begin(cluster: Cluster, snapshot: Snapshot, changes: Changes, started_at: datetime) -> int:
    """Insert the collection's row, all but its transitions and apply time; return its id."""
    unread = {
        result.kind: {"outcome": result.outcome, "message": result.problem.message if result.problem else ""}
        for result in snapshot.kinds.values()
        if result.outcome not in KNOWN_OUTCOMES
    }
    return Collection.objects.create(
        cluster=cluster,
        started_at=started_at,
        finished_at=started_at + snapshot.duration,
        result=result_of(snapshot),
        failure=snapshot.problem.failure if snapshot.problem else "",
        message=snapshot.problem.message[:500] if snapshot.problem else "",
        kinds=unread,
        added=len(changes.added) + len(changes.recreated),
        changed=len(changes.changed),
        removed=len(changes.removed) + len(changes.recreated),
        unchanged=changes.unchanged,
        requests=snapshot.requests,
        bytes_read=snapshot.bytes_read,
        read_ms=snapshot.duration / timedelta(milliseconds=1),
    ).pk


def end(collection_id: int, *, transitions: int, apply_time: timedelta, finished_at: datetime) -> None:
    Collection.objects.filter(pk=collection_id).update(
        transitions=transitions, apply_ms=apply_time / timedelta(milliseconds=1), finished_at=finished_at
    )


def remember(cluster: Cluster, snapshot: Snapshot, offset: timedelta, started_at: datetime) -> None:
    """Record what this collection, begun at `started_at`, taught us about the cluster as a whole."""
    result = result_of(snapshot)
    failed = result == Collection.Result.FAILED
    params: dict[str, Any] = {
        "cluster_id": cluster.pk,
        "result": result,
        "failure": snapshot.problem.failure if snapshot.problem else "",
        "message": snapshot.problem.message[:500] if snapshot.problem else "",
        "now": started_at,
        "answered_at": None if failed else started_at,
        "complete_at": started_at if result == Collection.Result.COMPLETE else None,
        "failing_since": started_at if failed else None,
        "server_version": snapshot.server_version[:80],
        "clock_offset_ms": max(-(2**31), min(2**31 - 1, offset // timedelta(milliseconds=1))),
    }
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, params)


def remember_verdict(cluster_id: int, verdict: Verdict, recheck_at: datetime | None, now: datetime) -> None:
    """Record what the rules say of the cluster itself (its keys, controllers and drivers)."""
    findings = as_json([finding_to_json(finding) for finding in verdict.findings])
    params: dict[str, Any] = {
        "cluster_id": cluster_id,
        "health": int(verdict.health),
        "findings": findings,
        "lints": as_json([finding_to_json(finding) for finding in verdict.lints]),
        "recheck_at": recheck_at,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(JUDGED, params)


def remember_lag(cluster_id: int, lag: timedelta) -> None:
    """Record how late this cluster's External Secrets usually refreshes."""
    ClusterState.objects.filter(cluster_id=cluster_id).update(queue_lag_s=lag / timedelta(seconds=1))


def release(cluster: Cluster, snapshot: Snapshot, held: leases.Held, now: datetime) -> None:
    """Give the lease back. What failed comes again later and later; what used its whole deadline is slow."""
    problems = [snapshot.problem, *(result.problem for result in snapshot.kinds.values())]
    failures = held.failures + 1 if snapshot.problem else 0
    slow = failures > 0 or any(problem.failure == Failure.TIMEOUT for problem in problems if problem)
    retry_after = max((problem.retry_after or 0 for problem in problems if problem), default=0)
    retry_at = leases.retry_at(now, cluster.interval, failures, retry_after)
    assert held.holder is not None
    leases.give_back(cluster.pk, held.holder, failures=failures, slow=slow, retry_at=retry_at)
