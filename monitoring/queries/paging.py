"""Keyset paging: a page ends with a cursor that names its last row, so the cost does not grow with the page number."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from monitoring.filters import WrongParameter

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list. `next` is the cursor of the following page, empty on the last one."""

    rows: tuple[T, ...]
    next: str = ""


def page_of(found: list[T], limit: int, position: Callable[[T], tuple[object, ...]]) -> Page[T]:
    """A page of at most `limit` rows from `found`, which was asked for one more row than that."""
    rows = tuple(found[:limit])
    return Page(rows, encode(position(rows[-1])) if len(found) > limit else "")


def encode(position: tuple[object, ...]) -> str:
    """An opaque text for the sort key of a row: numbers, texts and datetimes."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_numbers(cursor: str) -> tuple[int, int]:
    """Inverse of `encode` for two whole numbers that fit a bigint. Raises WrongParameter."""
    first, second = _decode(cursor)
    if type(first) is int and type(second) is int and max(abs(first), abs(second)) < 2**31 * 2**31:
        return first, second
    raise _wrong()


def decode_moment(cursor: str) -> tuple[datetime, int]:
    """Inverse of `encode` for a datetime with zone and a whole number. Raises WrongParameter."""
    first, second = _decode(cursor)
    try:
        moment = datetime.fromisoformat(first) if isinstance(first, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None or type(second) is not int or abs(second) >= 2**62:
        raise _wrong()
    return moment, second


def decode_ranked(cursor: str) -> tuple[int, str]:
    """Inverse of `encode` for a small number and a name. Raises WrongParameter."""
    first, second = _decode(cursor)
    if type(first) is int and abs(first) < 100 and isinstance(second, str) and second.isprintable():
        return first, second
    raise _wrong()


def decode_names(cursor: str) -> tuple[str, str, str]:
    """Inverse of `encode` for a namespace, a name and a kind. Raises WrongParameter."""
    first, second, third = _values(cursor, 3, longest=8_000)  # six characters for each that is not ASCII
    texts = isinstance(first, str) and isinstance(second, str) and isinstance(third, str)
    if texts and f"{first}{second}{third}".isprintable():
        return str(first), str(second), str(third)
    raise _wrong()


def _decode(cursor: str) -> tuple[object, object]:
    first, second = _values(cursor, 2, longest=400)
    return first, second


def _values(cursor: str, number: int, longest: int) -> list[object]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)) if len(cursor) < longest else None
    except (ValueError, binascii.Error, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != number:
        raise _wrong()
    return values


def _wrong() -> WrongParameter:
    return WrongParameter("cursor", "was not made by this list; start again without it")
