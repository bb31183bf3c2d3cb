"""Filters of trends: counts of health over time."""

from dataclasses import dataclass

from monitoring.families import JUDGED_KINDS
from monitoring.filters.parameters import (
    CLUSTER,
    KIND,
    PAGING,
    Parameter,
    Query,
    WrongParameter,
    choices,
    one_of,
    refuse_unknown,
    texts,
)

TREND_WINDOWS = ("24h", "7d", "30d", "1y")
TREND_PARAMETERS = (
    Parameter(
        "window", "How far to look back: by 5 minutes, hours, hours, days. 24h is the default.", TREND_WINDOWS, False
    ),
    CLUSTER,
    KIND,
)


@dataclass(frozen=True, kw_only=True)
class TrendFilters:
    window: str = TREND_WINDOWS[0]
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def parse_trend(query: Query) -> TrendFilters:
    refuse_unknown(query, TREND_PARAMETERS)
    if wrong := sorted(PAGING.intersection(query)):
        raise WrongParameter(wrong[0], "a trend has no pages")
    return TrendFilters(
        window=parse_trend_window(query, "window"),
        clusters=texts(query, "cluster"),
        kinds=choices(query, "kind", JUDGED_KINDS),
    )


def parse_trend_window(query: Query, name: str) -> str:
    return one_of(query, name, TREND_WINDOWS) or TREND_WINDOWS[0]
