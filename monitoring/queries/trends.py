"""Counts of health over time, from samples, and how long it took to get well."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Sum

from clusters.models import Cluster
from monitoring.families import JUDGED_KINDS
from monitoring.filters import WrongParameter
from monitoring.health import WORST_FIRST, Health
from monitoring.models import Recovery
from monitoring.timelines import FIVE_MINUTES, Moment, floored, uncounted

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEVELS = (1440, 60, 5)  # HealthSample.minutes
MOST_CLUSTERS = 100  # added up from their own samples: 100 of them over 30 days take 0.6 s


class Window(NamedTuple):
    """How far a trend looks back, and how far apart its moments are: `said` tells what each of them stands for."""

    code: str
    word: str
    length: timedelta
    step: timedelta
    said: str


WINDOWS = {  # by the codes of filters.TREND_WINDOWS
    "24h": Window("24h", "24 h", timedelta(hours=24), FIVE_MINUTES, "counted every 5 minutes"),
    "7d": Window("7d", "7 d", timedelta(days=7), HOUR, "the worst counts of each hour"),
    "30d": Window("30d", "30 d", timedelta(days=30), HOUR, "the worst counts of each hour"),
    "1y": Window("1y", "1 y", timedelta(days=365), DAY, "the worst counts of each day"),
}


@dataclass(frozen=True)
class Trend:
    """Counts at equal distances, oldest first.

    Of an hour and of a day each number is the highest of its five minutes, and of what is healthy the lowest. They are
    of different moments and may add up to more than there was; nothing that was unknown for a while hides behind what
    failed at another time. Time that nobody counted is `uncounted` in each moment.
    """

    window: Window
    moments: tuple[Moment, ...]

    @property
    def known(self) -> bool:
        """Whether anybody counted at all."""
        return any(moment.counts is not None for moment in self.moments)


# Common table expressions from fine (slot, cluster_id, samples, shown), several rows per slot, to merged, one row: the
# highest number of each kind and health, of what is healthy the lowest. What a sample does not name it counted as zero.
MERGED = """numbered AS (
    SELECT slot, cluster_id, shown, count(*) OVER whole AS times, sum(samples) OVER whole AS samples
    FROM fine WINDOW whole AS (PARTITION BY slot, cluster_id)
), by_health AS (
    SELECT slot, cluster_id, samples, kind, health,
        CASE WHEN health <> '0' THEN max(number) WHEN count(*) = times THEN min(number) ELSE 0 END AS number
    FROM numbered LEFT JOIN LATERAL (
        SELECT of_kind.key AS kind, of_health.key AS health, of_health.value::bigint AS number
        FROM jsonb_each(shown) AS of_kind CROSS JOIN jsonb_each_text(of_kind.value) AS of_health
    ) AS counted ON true
    GROUP BY slot, cluster_id, samples, times, kind, health
), by_kind AS (
    SELECT slot, cluster_id, samples, kind, jsonb_object_agg(health, number) FILTER (WHERE kind IS NOT NULL) AS healths
    FROM by_health GROUP BY slot, cluster_id, samples, kind
), merged AS (
    SELECT slot, cluster_id, samples,
        coalesce(jsonb_object_agg(kind, healths) FILTER (WHERE kind IS NOT NULL), jsonb_build_object()) AS shown
    FROM by_kind GROUP BY slot, cluster_id, samples
)"""

# One row per moment, or a month of hours would be thousands of rows and most of the time would go into fetching them.
# A sample of nothing is a sample too, hence LEFT JOIN. Finer samples tell of what is not rolled up yet, in the same way
# as they will be rolled up, so that a moment does not change when it is.
NUMBERS = ", ".join(
    f"coalesce(sum(counted.number) FILTER (WHERE counted.health = '{health:d}'), 0)::bigint" for health in WORST_FIRST
)
TREND_SQL = f"""
WITH fine AS (
    SELECT date_bin(%(step)s, sample.at, 'epoch') AS slot, sample.cluster_id, sample.samples, sample.shown
    FROM unnest(%(finer)s::smallint[]) AS level(minutes)
    CROSS JOIN LATERAL (
        SELECT greatest(%(start)s::timestamptz, max(edge)) AS since FROM unnest(%(coarser)s::smallint[]) AS of(minutes)
        CROSS JOIN LATERAL (
            SELECT max(at) + make_interval(mins => of.minutes) AS edge
            FROM monitoring_healthsample WHERE minutes = of.minutes AND at <= %(now)s
        ) AS edges WHERE of.minutes > level.minutes
    ) AS unmerged
    JOIN monitoring_healthsample sample ON sample.minutes = level.minutes AND sample.at >= unmerged.since
        AND sample.at <= %(now)s AND {{chosen}}
), {MERGED}, sample AS (
    SELECT at AS slot, samples, shown FROM monitoring_healthsample sample
    WHERE minutes = %(minutes)s AND at >= %(start)s AND at <= %(now)s AND {{chosen}}
    UNION ALL
    SELECT slot, samples, shown FROM merged
)
SELECT sample.slot, max(sample.samples), {NUMBERS}
FROM sample
LEFT JOIN LATERAL (
    SELECT of_health.key AS health, of_health.value::bigint AS number
    FROM jsonb_each(sample.shown) AS of_kind
    CROSS JOIN jsonb_each_text(of_kind.value) AS of_health
    WHERE of_kind.key = ANY(%(kinds)s)
) counted ON true
GROUP BY sample.slot
"""  # noqa: S608 - numbers of healths and one of two conditions
OF_ALL, OF_SOME = "sample.cluster_id IS NULL", "sample.cluster_id = ANY(%(ids)s)"


def trend(now: datetime, window: str = "24h", ids: Collection[int] | None = None, kinds: Sequence[str] = ()) -> Trend:
    """The counts of all clusters, or the sum of those with `ids`, of all judged kinds or of `kinds`. One SQL statement.

    A moment without a sample is a hole, but for the newest slot while its sample is still to come. All clusters are
    sampled at once, so one that has no sample where another has one was not registered then: it adds nothing. An hour
    or a day is the sum of the worst of each kind, and of several clusters that of each one's worst. Raises
    WrongParameter for more than MOST_CLUSTERS.
    """
    if ids is not None and len(ids) > MOST_CLUSTERS:
        raise WrongParameter("cluster", f"fits {len(ids)} clusters; {MOST_CLUSTERS} are the most, or all without it")
    chosen = WINDOWS[window]
    start, end = floored(now - chosen.length, chosen.step), floored(now, chosen.step)
    found = _found(chosen.step, start, now, ids, kinds or JUDGED_KINDS)
    slots = [start + place * chosen.step for place in range((end - start) // chosen.step + 1)]
    if slots[-1] not in found:
        slots.pop()
    return Trend(chosen, tuple(_moment(at, chosen.step, now, found.get(at)) for at in slots))


Counted = tuple[int, dict[Health, int]]  # from how many samples of five minutes, and the numbers


def _found(
    step: timedelta, start: datetime, now: datetime, ids: Collection[int] | None, kinds: Sequence[str]
) -> dict[datetime, Counted]:
    minutes = step // MINUTE
    params: dict[str, Any] = {
        "minutes": minutes,
        "finer": [level for level in LEVELS if level < minutes],
        "coarser": [level for level in LEVELS if level <= minutes],
        "step": step,
        "start": start,
        "now": now,
        "kinds": list(kinds),
        "ids": list(ids or ()),
    }
    with connection.cursor() as cursor:
        cursor.execute(TREND_SQL.format(chosen=OF_ALL if ids is None else OF_SOME), params)
        rows = cursor.fetchall()
    return {at: (samples, dict(zip(WORST_FIRST, numbers, strict=True))) for at, samples, *numbers in rows}


def _moment(at: datetime, step: timedelta, now: datetime, found: Counted | None) -> Moment:
    """The moment of one slot. Of that which lasts the newest sample may be still to come: it may tell one too few."""
    if found is None:
        return Moment(at, None, step)
    samples, counts = found
    return Moment(at, counts, uncounted(at, min(at + step, floored(now, FIVE_MINUTES)), samples))


@dataclass(frozen=True)
class Recovered:
    """How often something of one cluster, or of what reads one store there, got well, and the mean time that took.

    What got well while nobody saw it is not among them (Recovery). `store` is "Kind namespace/name", "" for the
    cluster as a whole.
    """

    cluster: str
    store: str
    count: int
    mean: timedelta


def recovery(now: datetime, days: int = 30, ids: Collection[int] | None = None) -> tuple[Recovered, ...]:
    """Per cluster, and for those of `ids` also per store, slowest first, from the `days` finished days before `now`.

    Two SQL statements. Stores of all clusters may be tens of thousands, which nobody reads and took 800 ms.
    """
    rows = Recovery.objects.filter(day__gte=(now - timedelta(days=days)).date(), day__lt=now.date())
    if ids is None:
        # Found by index cluster by cluster.
        rows = rows.filter(cluster_id__in=list(Cluster.objects.values_list("pk", flat=True)), store="")
    else:
        rows = rows.filter(cluster_id__in=ids)
    summed = rows.order_by().values_list("cluster__name", "store").annotate(times=Sum("count"), took=Sum("seconds"))
    found = [Recovered(name, store, times, timedelta(seconds=took) / times) for name, store, times, took in summed]
    return tuple(sorted(found, key=lambda row: (-row.mean, row.cluster, row.store)))
