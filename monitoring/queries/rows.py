"""Statements that Django's ORM cannot express."""

from collections.abc import Mapping
from typing import Any

from django.db import connection


def fetch(sql: str, params: Mapping[str, Any]) -> list[Any]:
    """All rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
