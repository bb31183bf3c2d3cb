"""What may be asked for in an address, and how it is refused."""

import re

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from clusters import kinds
from monitoring import filters
from monitoring.families import JUDGED_KINDS, OPTIONAL_KINDS
from monitoring.filters import WrongParameter
from monitoring.health import Health
from monitoring.queries import paging


def test_families_hold_every_judged_kind_once() -> None:
    assert sorted(JUDGED_KINDS) == sorted(kinds.JUDGED_KINDS)


def test_the_optional_kinds_are_those_beyond_the_first_tier() -> None:
    assert list(OPTIONAL_KINDS) == [kind for kind in JUDGED_KINDS if kinds.BY_NAME[kind].tier != "T0"]


@pytest.mark.parametrize(
    "query", ["health=stale,failing", "health=failing&health=stale", "health=stale,,failing&health="]
)
def test_values_may_be_repeated_or_a_comma_list(query: str) -> None:
    assert filters.parse_resources(QueryDict(query)).healths == {Health.STALE, Health.FAILING}


def test_not_healthy_is_everything_else() -> None:
    assert filters.parse_resources(QueryDict("health=not_healthy")).healths == set(Health) - {Health.HEALTHY}


def test_empty_parameters_do_not_restrict() -> None:
    assert filters.parse_resources(QueryDict("health=&q=&cluster=&kind=")) == filters.ResourceFilters()


WRONG = [
    ("health=purple", "health"),
    ("health=Stale", "health"),
    ("kind=Node", "kind"),
    ("colour=red", "colour"),
    ("q=ab", "q"),
    ("q=abc%00", "q"),
    ("namespace=a%0Ab", "namespace"),
    ("name=" + "x" * 254, "name"),
    ("cluster=" + ",".join(f"c{number}" for number in range(51)), "cluster"),
    ("finding=Es Not Ready", "finding"),
    ("finding=es-not-redy", "finding"),
    ("signature=es-not-ready", "signature"),
    ("lint=es-not-ready", "lint"),
]


@pytest.mark.parametrize(("query", "parameter"), WRONG)
def test_a_wrong_parameter_is_named(query: str, parameter: str) -> None:
    with pytest.raises(WrongParameter) as caught:
        filters.parse_resources(QueryDict(query))
    assert caught.value.parameter == parameter


def test_allowed_values_are_told() -> None:
    with pytest.raises(WrongParameter) as caught:
        filters.parse_resources(QueryDict("health=purple"))
    assert "at_risk" in caught.value.allowed


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "201", "9" * 30, "\u0661"])
def test_a_wrong_limit_is_refused(text: str) -> None:
    with pytest.raises(WrongParameter, match="limit"):
        filters.parse_limit(QueryDict(f"limit={text}"), default=50, maximum=200)


@pytest.mark.parametrize("text", ["0", "9223372036854775808", "abc"])
def test_a_wrong_resource_number_is_refused(text: str) -> None:
    with pytest.raises(WrongParameter, match="resource"):
        filters.parse_transitions(QueryDict(f"resource={text}"))


@given(st.dictionaries(st.sampled_from(["health", "q", "cluster", "kind", "problem", "limit"]), st.text(max_size=40)))
def test_any_query_is_understood_or_refused(values: dict[str, str]) -> None:
    query = QueryDict(mutable=True)
    query.update(values)
    assert refused(query) in {None, *values}


def refused(query: QueryDict) -> str | None:
    """The parameter that is refused, if one is."""
    try:
        filters.parse_resources(query)
        filters.parse_limit(query, default=50, maximum=200)
    except WrongParameter as error:
        return error.parameter
    return None


@given(st.integers(0, 5), st.integers(1, 2**61))
def test_a_cursor_comes_back(health: int, number: int) -> None:
    cursor = paging.encode((health, number))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert paging.decode_numbers(cursor) == (health, number)


@pytest.mark.parametrize("decode", [paging.decode_numbers, paging.decode_moment, paging.decode_ranked])
@given(cursor=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: paging.encode((repr(raw), 1)))))
def test_any_other_cursor_is_refused(decode: object, cursor: str) -> None:
    with pytest.raises(WrongParameter, match="cursor"):
        decode(cursor)  # type: ignore[operator]


@pytest.mark.parametrize(
    "position", [(True, 1), (1.0, 1), (2**70, 1), ("2025-01-01T00:00:00", 1), ("now", 1), ([], {}), (1,), (1, 2, 3)]
)
def test_a_cursor_of_another_shape_is_refused(position: tuple[object, ...]) -> None:
    for decode in (paging.decode_numbers, paging.decode_moment):
        with pytest.raises(WrongParameter, match="cursor"):
            decode(paging.encode(position))
