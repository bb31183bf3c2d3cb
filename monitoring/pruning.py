"""Delete by age, in batches, so that no lock is held long. Transitions are history and are kept longest."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

from monitoring import partitions

BATCH = 10_000

DELETE = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE {column} < %(before)s {only} ORDER BY {column} LIMIT %(batch)s))
"""


def prune(now: datetime, batch: int = BATCH) -> dict[str, int]:
    """Delete rows older than their retention; return how many by table. Safe to run again at any time.

    Of transitions whole months go, and what lies in no month's partition. Gaps stay as long as any transition of their
    month: a moment that one can ask for stays unknown where nobody saw it.
    """
    cutoff = now - timedelta(days=settings.TRANSITION_RETENTION_DAYS)
    partitions.drop_before(cutoff)
    month = cutoff.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return {"monitoring_gap": _delete("monitoring_gap", "ended_at", "", month, batch)} | {
        f"{table} {only}".strip(): _delete(table, column, only, now - timedelta(days=days), batch)
        for table, column, only, days in (
            ("monitoring_collection", "started_at", "", settings.COLLECTION_RETENTION_DAYS),
            ("monitoring_event", "seen_at", "", settings.EVENT_RETENTION_DAYS),
            (partitions.DEFAULT, "at", "", settings.TRANSITION_RETENTION_DAYS),
            ("monitoring_revision", "seen_at", "", settings.REVISION_RETENTION_DAYS),
            ("monitoring_rotation", "at", "", settings.ROTATION_RETENTION_DAYS),
            ("monitoring_recovery", "day", "", settings.RECOVERY_RETENTION_DAYS),
            ("monitoring_healthsample", "at", "AND minutes = 5", settings.SAMPLE_RETENTION_DAYS),
            ("monitoring_healthsample", "at", "AND minutes = 60", settings.HOURLY_RETENTION_DAYS),
            ("monitoring_healthsample", "at", "AND minutes = 1440", settings.DAILY_RETENTION_DAYS),
        )
    }


def _delete(table: str, column: str, only: str, before: datetime, batch: int) -> int:
    sql = DELETE.format(table=table, column=column, only=only)  # texts from the tuple above only
    total: int = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(sql, {"before": before, "batch": batch})
            total += cursor.rowcount
            if cursor.rowcount < batch:
                return total
