"""Serves plotly.min.js from the installed package: no copy in git, no other host, and nothing else of that folder."""

from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from typing import Any, Literal, overload

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage, Storage

FOLDER = distribution("plotly").locate_file("plotly/package_data")
NAME = "plotly.min.js"


class PlotlyScriptFinder(BaseFinder):
    """Finds `plotly.min.js` (4.8 MB; whitenoise compresses it to 1.5 MB when static files are collected)."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    @overload
    def find(self, path: str, find_all: Literal[False] = ...) -> str | None: ...
    @overload
    def find(self, path: str, find_all: Literal[True]) -> list[str]: ...
    def find(self, path: str, find_all: bool = False) -> str | list[str] | None:
        found = str(FOLDER.joinpath(NAME)) if path == NAME else None
        if find_all:
            return [found] if found else []
        return found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        yield NAME, FileSystemStorage(location=str(FOLDER))
