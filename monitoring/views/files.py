"""Lists as files: CSV that is streamed, and of which a spreadsheet takes no cell for a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.http import QueryDict, StreamingHttpResponse

from monitoring.filters import WrongParameter
from monitoring.filters.rotations import FORMAT
from monitoring.templatetags.pages import written

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Lines:
    """A file for csv.writer that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def is_file(query: QueryDict) -> bool:
    """Whether a page is asked for as a file. Raises WrongParameter."""
    if "format" not in query:
        return False
    if query["format"] not in FORMAT.allowed:
        raise WrongParameter("format", f"{query['format'][:40]!r} is not one of the allowed values", FORMAT.allowed)
    for name in ("cursor", "limit"):
        if name in query:
            raise WrongParameter(name, "a file has no pages")
    return True


def csv_file(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """`rows` with their column names, as they come. Moments, truth and nothing are written as in the API."""
    writer = csv.writer(_Lines())
    text = (writer.writerow([_cell(value) for value in values]) for values in _table(columns, rows))
    response = StreamingHttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    yield columns
    yield from rows


def _cell(value: object) -> str:
    """As text, and so that no spreadsheet takes it for a formula."""
    text = _text(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return written(value) if isinstance(value, datetime) else str(value)
