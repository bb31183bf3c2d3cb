"""Tables filled by binary COPY, without their secondary indexes until they are full.

Binary, because a moment and a number are then eight bytes that nobody has to write and read as text: 50,000,000 rows
take a third of the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

import msgspec
from django.db import connection
from psycopg import sql

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # of Postgres; its moments are microseconds since then
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
SMALLINT, BIGINT = Struct(">ih").pack, Struct(">iq").pack  # a field is its length and its bytes
BATCH = 1000

SECONDARY = """
SELECT c.oid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE (c.relname = ANY(%(tables)s) OR c.oid IN (
        SELECT p.inhrelid FROM pg_inherits p JOIN pg_class w ON w.oid = p.inhparent WHERE w.relname = ANY(%(tables)s)))
    AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
ORDER BY i.indexrelid
"""


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(4) + data


def jsonb(value: Any) -> bytes:
    data = msgspec.json.encode(value)
    return (len(data) + 1).to_bytes(4) + b"\x01" + data


def small(value: int | None) -> bytes:
    """A smallint."""
    return NULL if value is None else SMALLINT(2, value)


def big(value: int | None) -> bytes:
    """A bigint, or a moment in microseconds."""
    return NULL if value is None else BIGINT(8, value)


def row(*fields: bytes) -> bytes:
    return len(fields).to_bytes(2) + b"".join(fields)


def copy(table: str, columns: str, rows: Iterable[bytes]) -> None:
    """Write rows, each as `row` makes them, with their fields in the order of `columns`."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), sql.SQL(columns))
    connection.ensure_connection()
    with connection.connection.cursor() as cursor, cursor.copy(statement) as target:
        target.write(HEADER)
        batch: list[bytes] = []
        for one in rows:
            batch.append(one)
            if len(batch) == BATCH:
                target.write(b"".join(batch))
                batch.clear()
        target.write(b"".join(batch) + TRAILER)


@contextmanager
def bare(tables: Sequence[str]) -> Iterator[None]:
    """Inside, the tables and their partitions have neither secondary indexes nor checks of foreign keys.

    Afterwards the indexes are there as before, which is asserted by their names: Postgres may write a definition that
    it reads again in other words. Only for an owner of the whole server.
    """
    before = _secondary(tables)
    whole = [(name, definition) for table, name, definition in before if table in tables]
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # a deferred check of 50,000,000 rows needs 1 GB
        for name, _ in whole:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '1GB'")
        for _, definition in whole:
            cursor.execute(definition.replace(" ON ONLY ", " ON "))  # of a partitioned table: on all partitions
        cursor.execute("RESET maintenance_work_mem")
        cursor.execute("RESET session_replication_role")
    names, names_before = ({name for _, name, _ in found} for found in (_secondary(tables), before))
    assert names == names_before, f"other indexes than the migrations made: {sorted(names ^ names_before)}"


def _secondary(tables: Sequence[str]) -> list[tuple[str, str, str]]:
    """Table, name and definition of each index that is not of a constraint, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(SECONDARY, {"tables": list(tables)})
        found: list[tuple[str, str, str]] = cursor.fetchall()
    return found
