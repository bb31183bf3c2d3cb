"""Who reads which cluster when. Postgres decides: one counted UPDATE, never read-then-write.

A lease is claimed for a limited time and given back after each cluster's own apply step, so one slow cluster in a
shard does not keep the others. A killed worker's lease runs out by itself.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

SHARD_SIZE = 50  # 50 to 100 clusters a task were measured best; an idle delta then costs 0.2 ms a cluster
LONGEST_BACKOFF = timedelta(minutes=5)  # how long a cluster that is back may still be shown unknown


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of clusters claimed by `holder`. `slow` ones did not answer last time and wait in their own queue."""

    holder: UUID
    cluster_ids: tuple[int, ...]
    slow: bool


# A new cluster has no lease yet; the first dispatch after its registration makes one that is due at once.
ADD_MISSING = """
INSERT INTO monitoring_lease (cluster_id, due_at, failures, slow)
SELECT c.id, %(now)s, 0, false FROM clusters_cluster c
WHERE c.enabled AND NOT EXISTS (SELECT 1 FROM monitoring_lease l WHERE l.cluster_id = c.id)
ON CONFLICT DO NOTHING
"""

# Due is also whose interval was shortened since (its old moment may be an hour away, while its knowledge is overdue
# after the new limit), and who got another credential (it need not wait out the backoff of the old one).
# Of the slow ones at most one shard is out at a time: each holds a worker process for its whole deadline, and the
# clusters that answer must always find another one free.
# The next due moment is set when claiming, so that a slow collection does not shift the rhythm. The jitter only ever
# shortens the interval (by up to a tenth): freshness stays within interval + one dispatch tick.
# MATERIALIZED: as a subquery the planner may run the selection once per outer row, and each run finds other rows to
# lock, so that more are claimed than the limit says (seen: 12 for a limit of 8).
CLAIM = """
WITH due AS MATERIALIZED (
    SELECT l.cluster_id, c.interval_seconds
    FROM monitoring_lease l
    JOIN clusters_cluster c ON c.id = l.cluster_id
    LEFT JOIN clusters_credential k ON k.cluster_id = l.cluster_id
    WHERE c.enabled AND (l.held_until IS NULL OR l.held_until <= %(now)s) AND l.slow = %(slow)s AND (
        l.due_at <= %(now)s
        OR (l.failures = 0 AND l.claimed_at + make_interval(secs => c.interval_seconds) <= %(now)s)
        OR k.updated_at > l.claimed_at)
    ORDER BY l.due_at LIMIT greatest(0, %(limit)s - CASE WHEN %(slow)s THEN (
        SELECT count(*) FROM monitoring_lease held WHERE held.slow AND held.held_until > %(now)s) ELSE 0 END)
    FOR UPDATE OF l SKIP LOCKED
)
UPDATE monitoring_lease l
SET held_until = %(held_until)s, holder = %(holder)s, claimed_at = %(now)s,
    due_at = %(now)s + make_interval(secs => due.interval_seconds * (1 - 0.1 * random()))
FROM due WHERE l.cluster_id = due.cluster_id
RETURNING l.cluster_id
"""

CLAIM_NAMED = """
UPDATE monitoring_lease SET held_until = %(held_until)s, holder = %(holder)s, claimed_at = %(now)s
WHERE cluster_id = ANY(%(cluster_ids)s) AND (held_until IS NULL OR held_until <= %(now)s)
RETURNING cluster_id
"""

# FOR UPDATE: whoever applies a snapshot or judges again holds this row until its commit, so that two never write one
# cluster's resources at a time.
LOCK = """
SELECT l.holder, c.api_url, l.failures, coalesce(s.clock_offset_ms, 0), coalesce(s.queue_lag_s, 0)
FROM monitoring_lease l
JOIN clusters_cluster c ON c.id = l.cluster_id
LEFT JOIN monitoring_clusterstate s ON s.cluster_id = l.cluster_id
WHERE l.cluster_id = %s FOR UPDATE OF l
"""

GIVE_BACK = """
UPDATE monitoring_lease
SET held_until = NULL, holder = NULL, failures = %(failures)s, slow = %(slow)s,
    due_at = CASE WHEN %(retry_at)s::timestamptz IS NULL THEN due_at ELSE %(retry_at)s::timestamptz END
WHERE cluster_id = %(cluster_id)s AND holder = %(holder)s
"""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A locked lease: who holds it, where its cluster is to be reached now, and what is known of its clock."""

    holder: UUID | None
    api_url: str
    failures: int
    clock_offset: timedelta
    queue_lag: timedelta


def claim_due(now: datetime, holder: UUID, *, hold: timedelta, limit: int = 20 * SHARD_SIZE) -> list[Claim]:
    """Claim the clusters that are due, oldest first, and sort them into shards of at most SHARD_SIZE."""
    claims: list[Claim] = []
    with connection.cursor() as cursor:
        cursor.execute(ADD_MISSING, {"now": now})
        for slow, most in ((False, limit), (True, SHARD_SIZE)):
            params: dict[str, Any] = {
                "now": now,
                "held_until": now + hold,
                "holder": holder,
                "limit": most,
                "slow": slow,
            }
            cursor.execute(CLAIM, params)
            claims += _shards([cluster_id for (cluster_id,) in cursor.fetchall()], holder, slow)
    return claims


def claim(cluster_ids: Sequence[int], now: datetime, holder: UUID, *, hold: timedelta) -> list[int]:
    """Claim these clusters whether due or not; return those that nobody else holds."""
    params: dict[str, Any] = {"cluster_ids": list(cluster_ids), "now": now, "holder": holder, "held_until": now + hold}
    with connection.cursor() as cursor:
        cursor.execute(ADD_MISSING, {"now": now})
        cursor.execute(CLAIM_NAMED, params)
        return [cluster_id for (cluster_id,) in cursor.fetchall()]


def _shards(cluster_ids: Sequence[int], holder: UUID, slow: bool) -> list[Claim]:
    return [
        Claim(holder=holder, cluster_ids=tuple(cluster_ids[start : start + SHARD_SIZE]), slow=slow)
        for start in range(0, len(cluster_ids), SHARD_SIZE)
    ]


def lock(cluster_id: int) -> Held | None:
    """Lock the cluster's lease row until the transaction ends; None where the cluster is gone."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [cluster_id])
        row = cursor.fetchone()
    if row is None:
        return None
    holder, api_url, failures, offset_ms, lag = row
    return Held(
        holder=holder,
        api_url=api_url,
        failures=failures,
        clock_offset=timedelta(milliseconds=offset_ms),
        queue_lag=timedelta(seconds=lag),
    )


def give_back(cluster_id: int, holder: UUID, *, failures: int, slow: bool, retry_at: datetime | None) -> None:
    """End the claim. `retry_at` overrides when the cluster is due next (backoff, Retry-After)."""
    params: dict[str, Any] = {
        "cluster_id": cluster_id,
        "holder": holder,
        "failures": failures,
        "slow": slow,
        "retry_at": retry_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, params)


def retry_at(now: datetime, interval: timedelta, failures: int, retry_after: int | None) -> datetime | None:
    """When to try a cluster again after `failures` failed collections in a row; None leaves its rhythm alone.

    Doubles the interval up to 5 minutes, with 10 % jitter; a server's own Retry-After (seconds) is honoured, also
    where it was said of one kind only.
    """
    if not failures:
        return now + timedelta(seconds=retry_after) if retry_after and retry_after > interval.total_seconds() else None
    backoff = min(interval * 2 ** min(failures - 1, 6), max(LONGEST_BACKOFF, interval))
    wait = max(backoff.total_seconds() * random.uniform(0.9, 1.0), float(retry_after or 0))
    return now + timedelta(seconds=wait)
