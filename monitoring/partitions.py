"""Monthly partitions of Transition: made ahead, dropped as a whole. Both are safe to run again and while others write.

A row of a month without a partition lies in the default one, so that a late beat loses nothing; the month's partition
takes it over when it is made.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import structlog
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

log = structlog.get_logger()

TABLE = "monitoring_transition"
DEFAULT = f"{TABLE}_default"
MONTHS_AHEAD = 2
# Attaching and dropping lock the whole table for a moment. Whoever waits for that lock makes every collection wait
# behind it, so we give up soon: beat comes again.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"

PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %(table)s::regclass ORDER BY c.relname
"""
OLDEST_LOOSE = f"SELECT min(at) FROM {DEFAULT}"  # noqa: S608


def ensure(now: datetime) -> list[str]:
    """Make the partitions of this month and the coming ones, and of all months that have loose rows.

    Return the names of those made; the next run makes those for which the table was too busy.
    """
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_LOOSE)
        oldest = cursor.fetchone()[0]
    there = set(existing())
    wanted = [months for months in _months(min(oldest or now, now), now) if _name(months[0]) not in there]
    return [_name(first) for first, following in wanted if _unless_busy(partial(_make, first, following))]


def existing() -> list[str]:
    """Names of the partitions, without the default one, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS, {"table": TABLE})
        return [name for (name,) in cursor.fetchall() if name != DEFAULT]


def drop_before(cutoff: datetime) -> list[str]:
    """Drop the partitions that hold nothing as new as `cutoff`; return their names, without those that were busy."""
    old = [name for name in existing() if _month_after(_first_of(name)) <= cutoff]
    return [name for name in old if _unless_busy(partial(_drop, name))]


def _unless_busy(work: Callable[[], None]) -> bool:
    """Whether the work was done; False if the lock that it needs did not come in time."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_TIMEOUT)
            work()
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        log.warning("partitions are busy, trying again later")
        return False
    return True


def _drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")


def _make(first: datetime, following: datetime) -> None:
    """Make one month's partition and move its rows there from the default one. The names hold digits only."""
    name, bounds = _name(first), {"first": first, "following": following}
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(
            f"WITH loose AS (DELETE FROM {DEFAULT} WHERE at >= %(first)s AND at < %(following)s RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM loose",
            bounds,
        )
        values = f"FROM ('{first.isoformat()}') TO ('{following.isoformat()}')"
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES {values}")


def _months(oldest: datetime, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """First moments of each month and of the one after, from that of `oldest` to MONTHS_AHEAD after that of `now`."""
    first = _month_of(oldest)
    last = _month_of(now)
    for _ in range(MONTHS_AHEAD):
        last = _month_after(last)
    while first <= last:
        yield first, _month_after(first)
        first = _month_after(first)


def _month_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _month_after(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _name(first: datetime) -> str:
    return f"{TABLE}_{first:%Y_%m}"


def _first_of(name: str) -> datetime:
    return datetime.strptime(name.removeprefix(f"{TABLE}_"), "%Y_%m").replace(tzinfo=UTC)
