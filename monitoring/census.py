"""Counts over one cluster's recorded resources and the state of its kinds: what its own rules see of all of them."""

from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from clusters.facts import ResourceKey
from monitoring import memory
from monitoring.health import Health
from monitoring.rules.base import Census, ClusterContext, KindState
from monitoring.rules.sealing_keys import newest_key
from monitoring.rules.staleness import CLOCK_TOLERANCE

POISON_NAMED = 10

# Rules whose findings are counted here: where they come or go, the cluster itself is judged again.
OVERDUE, POISON, UNSEALED = "es-silent-stale", "es-poison-interval", "ss-not-synced"
UNDECRYPTABLE = "undecryptable"  # class of the cause; a Secret in the way or a bad template is no lost key
COUNTED_RULES = frozenset({OVERDUE, POISON, UNSEALED})

COUNTS = """
SELECT
    count(*) FILTER (WHERE kind = 'ExternalSecret' AND due_at IS NOT NULL),
    count(*) FILTER (WHERE kind = 'ExternalSecret' AND health >= %(stale)s AND findings @> %(overdue)s::jsonb),
    max(refreshed_at) FILTER (WHERE kind = 'ExternalSecret' AND refreshed_at <= %(latest)s),
    count(*) FILTER (WHERE kind = 'SealedSecret'),
    count(*) FILTER (WHERE kind = 'SealedSecret' AND health >= %(stale)s AND findings @> %(unsealed)s::jsonb),
    count(*) FILTER (WHERE kind = 'SealedSecret' AND created_at < %(newest_key)s)
FROM monitoring_resource WHERE cluster_id = %(cluster_id)s AND kind IN ('ExternalSecret', 'SealedSecret')
"""

POISONED = """
SELECT kind, namespace, name FROM monitoring_resource
WHERE cluster_id = %(cluster_id)s AND findings <> '[]' AND findings @> %(poison)s::jsonb
ORDER BY kind, namespace, name LIMIT %(limit)s
"""

KINDS = """
SELECT c.kind, c.outcome, c.message, c.since, c.read_at IS NOT NULL,
    coalesce((SELECT sum(h.count) FROM monitoring_healthcount h WHERE h.cluster_id = c.cluster_id AND h.kind = c.kind),
    0) FROM monitoring_cursor c WHERE c.cluster_id = %(cluster_id)s
"""


def with_census(context: ClusterContext, now: datetime) -> ClusterContext:
    """`context` with all that only the cluster's own rules need at `now` by its clock. Four statements."""
    return msgspec.structs.replace(
        context,
        census=_census(context, now),
        kinds=_kinds(context.cluster_id),
        shared_with=memory.shared_certificates(context.cluster_id),
    )


def _census(context: ClusterContext, now: datetime) -> Census:
    params: dict[str, Any] = {
        "cluster_id": context.cluster_id,
        "stale": int(Health.STALE),
        "overdue": _holding(OVERDUE),
        "unsealed": _holding(UNSEALED, cause_class=UNDECRYPTABLE),
        "poison": _holding(POISON),
        "newest_key": newest_key(context),
        "latest": now + CLOCK_TOLERANCE,  # one refresh time in the future must not prove that the controller works
        "limit": POISON_NAMED,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, params)
        periodic, overdue, newest, sealed, failing, old = cursor.fetchone()
        cursor.execute(POISONED, params)
        poison = tuple(ResourceKey(*row) for row in cursor.fetchall())
    return Census(
        periodic=periodic,
        overdue=overdue,
        newest_refresh=newest,
        poison=poison,
        sealed=sealed,
        sealed_failing=failing,
        sealed_old=old,
    )


def _holding(rule: str, **more: str) -> str:
    return msgspec.json.encode([{"rule": rule, **more}]).decode()


def _kinds(cluster_id: int) -> dict[str, KindState]:
    with connection.cursor() as cursor:
        cursor.execute(KINDS, {"cluster_id": cluster_id})
        return {
            kind: KindState(
                outcome=outcome,
                message=message,
                since=since,
                known_before=known_before,
                resources=int(resources),
            )
            for kind, outcome, message, since, known_before, resources in cursor.fetchall()
        }
