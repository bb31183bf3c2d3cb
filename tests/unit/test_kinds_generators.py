"""Password generators: how hard what they make is to guess, from the spec alone."""

import json
from typing import Any

import pytest

from clusters.facts import PasswordFacts
from clusters.kinds import BY_NAME


def bits(**spec: Any) -> int:
    document = {"metadata": {"name": "gen", "namespace": "shop"}, "spec": spec}
    observation = BY_NAME["Password"].observe(json.dumps(document).encode())
    assert observation is not None
    assert isinstance(observation.facts, PasswordFacts)
    return observation.facts.entropy_bits


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        # 24 letters of 52, each drawn anew: 24 * log2(52).
        ({"length": 24, "digits": 0, "symbols": 0, "allowRepeat": True}, 136),
        ({"length": 24, "digits": 0, "symbols": 0, "allowRepeat": True, "noUpper": True}, 112),
        ({"length": 8, "digits": 8, "symbols": 0, "allowRepeat": True}, 26),
        # 8 digits in any order, none twice: log2(10! / 2!).
        ({"length": 8, "digits": 8, "symbols": 0}, 20),
        # One digit among three letters: log2(26 ** 3 * 10 * 4).
        ({"length": 4, "digits": 1, "symbols": 0, "noUpper": True, "allowRepeat": True}, 19),
        ({"length": 4, "digits": 0, "symbols": 4, "symbolCharacters": "-_-_", "allowRepeat": True}, 4),
        ({"length": 4, "digits": 0, "symbols": 4, "symbolCharacters": ""}, 19),
    ],
    ids=str,
)
def test_entropy_is_what_the_alphabets_and_the_order_give(spec: dict[str, Any], wanted: int) -> None:
    assert bits(**spec) == wanted


def test_absent_fields_mean_what_the_generator_takes_them_for() -> None:
    """password.go: 24 characters, a quarter of them digits and a quarter symbols."""
    assert bits() == bits(length=24, digits=6, symbols=6) == bits(length=0) > 128


@pytest.mark.parametrize(
    "spec",
    [
        {"length": 8, "digits": 11, "symbols": 0},
        {"length": 40, "digits": 11, "symbols": 0},
        {"length": 60, "digits": 0, "symbols": 0},
        {"length": 8, "digits": -1, "symbols": 0},
        {"length": 10**30, "digits": 10**30},
    ],
    ids=str,
)
def test_a_spec_that_the_generator_refuses_tells_nothing(spec: dict[str, Any]) -> None:
    assert bits(**spec) == 0
