"""Counts of health over time, from samples, and how long it took to get well."""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from monitoring.timelines import Moment, badness, floored

FIVE_MINUTES, HOUR, DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
MOST_CLUSTERS = 100  # added up from their own samples: 100 of them over 30 days take 0.5 s


class Window(NamedTuple):
    """How far a trend looks back, and how far apart its moments are: `said` tells what each of them stands for."""

    code: str
    word: str
    length: timedelta
    step: timedelta
    said: str


WINDOWS = {  # by the codes of filters.TREND_WINDOWS
    "24h": Window("24h", "24 h", timedelta(hours=24), FIVE_MINUTES, "counted every 5 minutes"),
    "7d": Window("7d", "7 d", timedelta(days=7), HOUR, "the worst count of each hour"),
    "30d": Window("30d", "30 d", timedelta(days=30), HOUR, "the worst count of each hour"),
    "1y": Window("1y", "1 y", timedelta(days=365), DAY, "the worst count of each day"),
}


@dataclass(frozen=True)
class Trend:
    """Counts at equal distances, oldest first. Of an hour and of a day it is the worst count of five minutes."""

    window: Window
    moments: tuple[Moment, ...]

    @property
    def known(self) -> bool:
        """Whether anybody counted at all."""
        return any(moment.counts is not None for moment in self.moments)


# One row per moment, or a month of hours would be thousands of rows and most of the time would go into fetching them.
# A sample of nothing is a sample too, hence LEFT JOIN.
NUMBERS = ", ".join(
    f"coalesce(sum(counted.number) FILTER (WHERE counted.health = '{health:d}'), 0)::bigint" for health in WORST_FIRST
)
TREND_SQL = f"""
SELECT sample.at, {NUMBERS}
FROM unnest(%(minutes)s::smallint[], %(since)s::timestamptz[]) AS level(minutes, since)
JOIN monitoring_healthsample sample ON sample.minutes = level.minutes AND sample.at >= level.since
    AND sample.at <= %(now)s AND {{chosen}}
LEFT JOIN LATERAL (
    SELECT of_health.key AS health, of_health.value::bigint AS number
    FROM jsonb_each(sample.shown) AS of_kind
    CROSS JOIN jsonb_each_text(of_kind.value) AS of_health
    WHERE of_kind.key = ANY(%(kinds)s)
) counted ON true
GROUP BY sample.minutes, sample.at
"""  # noqa: S608 - numbers of healths and one of two conditions
OF_ALL, OF_SOME = "sample.cluster_id IS NULL", "sample.cluster_id = ANY(%(ids)s)"


def trend(now: datetime, window: str = "24h", ids: Collection[int] | None = None, kinds: Sequence[str] = ()) -> Trend:
    """The counts of all clusters, or the sum of those with `ids`, of all judged kinds or of `kinds`. One SQL statement.

    A moment without a sample is a hole, but for the newest slot while its sample is still to come. All clusters are
    sampled at once, so one that has no sample where another has one was not registered then: it adds nothing. Of
    several clusters an hour is the sum of each one's worst. Raises WrongParameter for more than MOST_CLUSTERS.
    """
    if ids is not None and len(ids) > MOST_CLUSTERS:
        raise WrongParameter("cluster", f"fits {len(ids)} clusters; {MOST_CLUSTERS} are the most, or all without it")
    chosen = WINDOWS[window]
    start, end = floored(now - chosen.length, chosen.step), floored(now, chosen.step)
    found = _counted(_levels(chosen.step, start, now), now, ids, kinds or JUDGED_KINDS)
    counts = _by_slot(found, chosen.step)
    slots = [start + place * chosen.step for place in range((end - start) // chosen.step + 1)]
    if slots[-1] not in counts:
        slots.pop()
    return Trend(chosen, tuple(Moment(at, counts.get(at)) for at in slots))


def _levels(step: timedelta, start: datetime, now: datetime) -> list[tuple[timedelta, datetime]]:
    """Which samples are read since when: those of `step`, and finer ones of what is not rolled up yet."""
    levels = [(step, start)]
    if step > HOUR:
        levels.append((HOUR, floored(now, DAY) - DAY))
    if step > FIVE_MINUTES:
        levels.append((FIVE_MINUTES, floored(now, HOUR) - HOUR))
    return levels


Counts = Mapping[Health, int]


def _counted(
    levels: Sequence[tuple[timedelta, datetime]], now: datetime, ids: Collection[int] | None, kinds: Sequence[str]
) -> list[tuple[datetime, Counts]]:
    params: dict[str, Any] = {
        "minutes": [step // timedelta(minutes=1) for step, _ in levels],
        "since": [since for _, since in levels],
        "now": now,
        "kinds": list(kinds),
        "ids": list(ids or ()),
    }
    with connection.cursor() as cursor:
        cursor.execute(TREND_SQL.format(chosen=OF_ALL if ids is None else OF_SOME), params)
        return [(at, dict(zip(WORST_FIRST, numbers, strict=True))) for at, *numbers in cursor.fetchall()]


def _by_slot(found: Iterable[tuple[datetime, Counts]], step: timedelta) -> dict[datetime, Counts]:
    """The worst count inside each slot: its own sample, or the finer ones of a slot that is not rolled up yet."""
    slots: dict[datetime, Counts] = {}
    for at, counts in found:
        slot = floored(at, step)
        if slot not in slots or badness(counts) > badness(slots[slot]):
            slots[slot] = counts
    return slots


@dataclass(frozen=True)
class Recovered:
    """How often something of one cluster, or of what reads one store there, got well, and the mean time that took.

    `store` is "Kind namespace/name", "" for the cluster as a whole.
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
