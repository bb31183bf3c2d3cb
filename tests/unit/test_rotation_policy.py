"""After how many days a value is to be rotated, as data; and what is refused."""

import json
import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import ClassFacts, RefreshedFacts, SealedSecretFacts
from clusters.kinds import BY_NAME
from monitoring.rotation.policy import BadRule, Rule, days_of, parse
from secretsdash import environment

ES, SEALED, CLASS = "ExternalSecret", "SealedSecret", "SecretProviderClass"
RULES = parse(
    [
        {"days": 7, "cluster_label": "env=prod", "namespace": "pay-*", "kind": ES},
        {"days": 30, "cluster_label": "env=prod"},
        {"days": 60, "namespace": "team-?"},
        {"days": 90, "kind": ES},
    ]
)
PROD, DEV = {"env": "prod"}, {"env": "dev"}
CASES = [
    ((ES, "pay-eu", PROD), 7),
    ((SEALED, "pay-eu", PROD), 30),
    ((ES, "payments", PROD), 30),
    ((ES, "pay-", PROD), 7),
    ((SEALED, "team-a", DEV), 60),
    ((SEALED, "team-ab", DEV), None),
    ((ES, "team-ab", DEV), 90),
    ((ES, "a.pay-eu", DEV), 90),
    ((CLASS, "shop", {}), None),
    ((CLASS, "shop", {"env": "production"}), None),
    ((CLASS, "shop", {"stage": "prod"}), None),
]


@pytest.mark.parametrize(("what", "days"), CASES, ids=str)
def test_the_first_rule_that_fits_holds(what: tuple[str, str, dict[str, object]], days: int | None) -> None:
    assert days_of(RULES, *what) == days


def test_what_an_object_says_itself_counts_instead() -> None:
    assert days_of(RULES, ES, "pay-eu", PROD, 365) == 365
    assert days_of((), ES, "shop", {}, 1) == 1
    assert days_of((), ES, "shop", {}) is None


@given(st.text(alphabet="ab-*?.[]+$^\\ ", max_size=8), st.text(alphabet="ab-.[]+$^\\ ", max_size=8))
def test_only_stars_and_question_marks_mean_something(pattern: str, namespace: str) -> None:
    rule = Rule(days=1, namespace=pattern)
    wanted = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    assert rule.fits(ES, namespace, {}) == (not pattern or re.fullmatch(wanted, namespace) is not None)


def test_rules_say_what_they_are_about() -> None:
    assert [rule.words for rule in RULES] == [
        "7 d for ExternalSecret, namespace pay-*, clusters with env=prod",
        "30 d for clusters with env=prod",
        "60 d for namespace team-?",
        "90 d for ExternalSecret",
    ]
    assert Rule(days=5).words == "5 d for all"


REFUSED: list[tuple[Any, str]] = [
    ({}, "a list of rules"),
    ("90", "a list of rules"),
    ([90], "rule 1 must be an object"),
    ([{"days": 1}, {"day": 1}], "rule 2 must be an object with no other names than days"),
    ([{}], "rule 1: days"),
    ([{"days": 0}], "rule 1: days"),
    ([{"days": 3651}], "rule 1: days"),
    ([{"days": "30"}], "rule 1: days"),
    ([{"days": True}], "rule 1: days"),
    ([{"days": 1.5}], "rule 1: days"),
    ([{"days": 1, "cluster_label": "env"}], "rule 1: cluster_label"),
    ([{"days": 1, "cluster_label": "=prod"}], "rule 1: cluster_label"),
    ([{"days": 1, "namespace": ["a"]}], "rule 1: namespace"),
    ([{"days": 1, "namespace": "a\n"}], "rule 1: namespace"),
    ([{"days": 1, "namespace": "a" * 254}], "rule 1: namespace"),
    ([{"days": 1, "kind": "Secret"}], "rule 1: kind must be one of ExternalSecret"),
]


@pytest.mark.parametrize(("given_", "reason"), REFUSED, ids=str)
def test_what_is_no_policy_is_refused_with_the_rule(given_: Any, reason: str) -> None:
    with pytest.raises(BadRule, match=reason):
        parse(given_)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["days", "namespace", "kind", "cluster_label"]), inner)
        ),
    )
)
def test_any_json_is_a_policy_or_refused(given_: Any) -> None:
    try:
        rules = parse(given_)
    except BadRule:
        return
    assert all(1 <= rule.days <= 3650 for rule in rules)


@pytest.mark.parametrize(
    "value", ['{"days": 1}', "[", "not-to-be-repeated", '[{"days": "not-to-be-repeated"}]', "[" * 5000]
)
def test_a_bad_setting_names_its_variable_and_not_its_value(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("THE_NAME", value)
    with pytest.raises(ImproperlyConfigured, match="THE_NAME: ") as refusal:
        environment.rotation_policy("THE_NAME")
    assert "not-to-be-repeated" not in str(refusal.value)


def test_a_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_NAME", '[{"days": 90}]')
    assert environment.rotation_policy("THE_NAME") == (Rule(days=90),)
    monkeypatch.delenv("THE_NAME")
    assert environment.rotation_policy("THE_NAME") == ()


ANNOTATIONS = [
    ("30", 30),
    (" 30 ", 30),
    ("3650", 3650),
    ("3651", 0),
    ("99999999999", 0),
    ("0", 0),
    ("-1", 0),
    ("1.5", 0),
    ("30d", 0),
    ("", 0),
    ("\N{ARABIC-INDIC DIGIT THREE}", 0),
    ("\N{SUPERSCRIPT TWO}", 0),
]


@pytest.mark.parametrize(("written", "days"), ANNOTATIONS, ids=str)
@pytest.mark.parametrize("kind", [ES, SEALED, CLASS])
def test_the_annotation_of_an_object(kind: str, written: str, days: int) -> None:
    metadata = {"name": "db", "namespace": "shop", "annotations": {"secretsdash.io/rotate-after-days": written}}
    observation = BY_NAME[kind].observe(json.dumps({"metadata": metadata, "spec": {}}).encode())
    assert observation is not None
    assert isinstance(observation.facts, RefreshedFacts | SealedSecretFacts | ClassFacts)
    assert observation.facts.rotate_after_days == days


def test_an_object_without_annotations_asks_for_nothing() -> None:
    observation = BY_NAME[ES].observe(b'{"metadata": {"name": "db", "namespace": "shop", "annotations": null}}')
    assert observation is not None
    assert isinstance(observation.facts, RefreshedFacts)
    assert observation.facts.rotate_after_days == 0
