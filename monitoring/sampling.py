"""The only writer of HealthSample and Recovery: counts over time, and how long it took to get well.

Everything here may run again at any time and twice at once: what is written already stays as it is.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from clusters.models import Cluster
from monitoring.families import JUDGED_KINDS
from monitoring.health import Health
from monitoring.models import HealthCount, HealthSample
from monitoring.queries.knowledge import overdue_pairs
from monitoring.queries.trends import MERGED
from monitoring.timelines import floored

MINUTE = timedelta(minutes=1)
FIVE_MINUTES, HOUR, DAY = 5 * MINUTE, 60 * MINUTE, 1440 * MINUTE
# Samples and transitions are written a little after the moment that they tell of; a task runs for 3 minutes at most.
SETTLED = 10 * MINUTE
MOST_SLOTS = 48  # hours, or days, that one run rolls up: of 1,000 clusters 48 hours are 576,000 samples, 30 s
RECOVERY_DAYS = 31  # nobody asks how long it took to recover before that

Counts = dict[str, dict[str, int]]  # by kind and health


def sample(now: datetime) -> None:
    """Count what pages show at `now`, of each cluster and of all. Four SQL statements.

    The sample is that of the five minutes in which `now` lies; of several the first one stays.
    """
    shown = _counted(now)
    rows = [
        HealthSample(
            at=floored(now, FIVE_MINUTES), minutes=FIVE_MINUTES // MINUTE, cluster_id=cluster, shown=shown[cluster]
        )
        for cluster in (*Cluster.objects.order_by("id").values_list("id", flat=True), None)
    ]
    HealthSample.objects.bulk_create(rows, ignore_conflicts=True)


def _counted(now: datetime) -> dict[int | None, Counts]:
    """What pages show at `now` by cluster, and of all under None."""
    shown: dict[int | None, Counts] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    rows = HealthCount.objects.filter(kind__in=JUDGED_KINDS, count__gt=0)
    found = rows.values_list("cluster_id", "kind", "count", overdue_pairs(now).shown_health())
    for cluster, kind, count, health in found:
        for of in (cluster, None):
            shown[of][kind][str(health)] += count
    return shown


# Each slot that has ended and is not rolled up yet, oldest first. Slots without a sample are skipped, so that a long
# outage of ours is passed in one step.
ROLL_UP = f"""
WITH first AS (
    SELECT min(at) AS at FROM monitoring_healthsample
    WHERE minutes = %(fine)s AND at < %(until)s AND at >= coalesce(
        (SELECT max(at) + %(step)s FROM monitoring_healthsample WHERE minutes = %(coarse)s), '-infinity')
), fine AS (
    SELECT date_bin(%(step)s, sample.at, 'epoch') AS slot, cluster_id, samples, shown
    FROM first JOIN monitoring_healthsample sample ON sample.minutes = %(fine)s AND sample.at >= first.at
        AND sample.at < least(%(until)s, date_bin(%(step)s, first.at, 'epoch') + %(most)s * %(step)s)
), {MERGED}
INSERT INTO monitoring_healthsample (at, minutes, cluster_id, shown, samples)
SELECT slot, %(coarse)s, cluster_id, shown, samples FROM merged
ON CONFLICT DO NOTHING
"""  # noqa: S608 - a part of SQL that is a constant
NEWEST_HOUR = "SELECT max(at) FROM monitoring_healthsample WHERE minutes = 60"

# What got well on each finished day that has no row yet. Progressing and unknown are not well yet: who turns healthy
# from there recovered from what was before, if that was at risk or worse, and not just added. A gap inside the time
# would count as time to recover, though it may have been well all along: those are left out.
RECOVER = """
WITH turned AS (
    SELECT at, cluster_id, resource_id, kind, namespace, name, from_health, unwell_since
    FROM monitoring_transition
    WHERE turned AND to_health = %(healthy)s AND kind = ANY(%(kinds)s)
        AND at < %(until)s AND at >= greatest(%(since)s,
            (SELECT (max(day) + 1)::timestamp AT TIME ZONE 'UTC' FROM monitoring_recovery))
), recovered AS (
    SELECT (turned.at AT TIME ZONE 'UTC')::date AS day, turned.cluster_id, turned.resource_id,
        greatest(extract(epoch FROM turned.at - unwell.since), 0)::bigint AS seconds
    FROM turned
    CROSS JOIN LATERAL (
        SELECT turned.unwell_since AS since WHERE turned.from_health >= %(unwell)s
        UNION ALL
        SELECT CASE WHEN before.from_health >= %(unwell)s THEN before.unwell_since END FROM (
            SELECT from_health, unwell_since FROM monitoring_transition past
            WHERE past.cluster_id = turned.cluster_id AND past.kind = turned.kind
                AND past.namespace = turned.namespace AND past.name = turned.name
                AND past.at < turned.at AND past.at >= turned.at - %(look_back)s AND past.turned
                AND (past.from_health IS NULL OR past.from_health <> ALL(%(between)s))
            ORDER BY past.at DESC, past.id DESC LIMIT 1
        ) before WHERE turned.from_health < %(unwell)s
    ) unwell
    WHERE unwell.since IS NOT NULL AND NOT EXISTS (
        SELECT FROM monitoring_gap gap WHERE gap.cluster_id = turned.cluster_id AND gap.kind = turned.kind
            AND gap.ended_at > unwell.since AND gap.began_at < turned.at)
), told AS (
    SELECT day, cluster_id, '' AS store, seconds FROM recovered
    UNION ALL
    SELECT day, recovered.cluster_id,
        concat(target_kind, ' ', nullif(target_namespace, '') || '/', target_name), seconds
    FROM recovered JOIN monitoring_reference reference USING (resource_id) WHERE reference.relation = 'store'
)
INSERT INTO monitoring_recovery (day, cluster_id, store, count, seconds)
SELECT day, cluster_id, store, count(*), sum(seconds) FROM told GROUP BY day, cluster_id, store
ON CONFLICT DO NOTHING
"""


def roll_up(now: datetime) -> None:
    """Keep the worst numbers of every finished hour and day, and count recoveries. Four SQL statements.

    What was not done while nothing ran is caught up, 48 hours, 48 days and 31 days of recoveries in one run.
    """
    settled = now - SETTLED
    with connection.cursor() as cursor:
        _keep_worst(cursor, FIVE_MINUTES, HOUR, until=floored(settled, HOUR))
        cursor.execute(NEWEST_HOUR)
        (newest,) = cursor.fetchone()
        if newest is not None:
            _keep_worst(cursor, HOUR, DAY, until=floored(newest + HOUR, DAY))  # a day is over with its last hour
        _count_recoveries(cursor, floored(settled, DAY))


def _keep_worst(cursor: CursorWrapper, fine: timedelta, coarse: timedelta, *, until: datetime) -> None:
    params: dict[str, Any] = {
        "fine": fine // MINUTE,
        "coarse": coarse // MINUTE,
        "step": coarse,
        "until": until,
        "most": MOST_SLOTS,
    }
    cursor.execute(ROLL_UP, params)


def _count_recoveries(cursor: CursorWrapper, until: datetime) -> None:
    params: dict[str, Any] = {
        "healthy": int(Health.HEALTHY),
        "unwell": int(Health.AT_RISK),
        "between": [int(Health.UNKNOWN), int(Health.PROGRESSING)],
        "kinds": list(JUDGED_KINDS),
        "since": until - RECOVERY_DAYS * DAY,
        "until": until,
        "look_back": RECOVERY_DAYS * DAY,
    }
    cursor.execute(RECOVER, params)
