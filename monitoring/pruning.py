"""Delete by age, in batches, so that no lock is held long. Transitions are history and are kept longest."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

BATCH = 10_000

DELETE = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE {column} < %(before)s ORDER BY {column} LIMIT %(batch)s))
"""


def prune(now: datetime, batch: int = BATCH) -> dict[str, int]:
    """Delete rows older than their retention; return how many by table. Safe to run again at any time."""
    return {
        table: _delete(table, column, now - timedelta(days=days), batch)
        for table, column, days in (
            ("monitoring_collection", "started_at", settings.COLLECTION_RETENTION_DAYS),
            ("monitoring_event", "seen_at", settings.EVENT_RETENTION_DAYS),
            ("monitoring_transition", "at", settings.TRANSITION_RETENTION_DAYS),
        )
    }


def _delete(table: str, column: str, before: datetime, batch: int) -> int:
    sql = DELETE.format(table=table, column=column)  # names from the tuple above only
    total: int = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(sql, {"before": before, "batch": batch})
            total += cursor.rowcount
            if cursor.rowcount < batch:
                return total
