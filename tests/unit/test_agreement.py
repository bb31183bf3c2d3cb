"""Rules of agreement: what is read from the environment, and that a mistake is named by setting, rule and fault."""

import json
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from monitoring import drift
from monitoring.agreement import Agreement, BadAgreement, parse
from monitoring.filters import WrongParameter, parse_agreement
from secretsdash import environment
from tests.unit import rule_strategies

GIVEN = [
    {"name": "production", "agree": "stage=production, region=eu", "except": ["path of the store", "key"]},
    {"name": "stages", "differ": "stage"},
]
PRODUCTION = Agreement(
    name="production", agree=(("stage", "production"), ("region", "eu")), excepted=("path of the store", "key")
)
STAGES = Agreement(name="stages", differ="stage")
RULES = (PRODUCTION, STAGES)


def test_rules_are_read_and_said() -> None:
    assert parse(GIVEN) == RULES
    assert [rule.words for rule in (*RULES, Agreement())] == [
        "only clusters with stage=production and region=eu are compared; path of the store and key may differ",
        "values must differ by stage",
        "",
    ]
    assert PRODUCTION.fits({"stage": "production", "region": "eu", "more": 1})
    assert not PRODUCTION.fits({"stage": "production", "region": ["eu"]})


WRONG: list[tuple[Any, str]] = [
    ({}, "RULES: it must be a list of at most 50 rules."),
    ("production", "RULES: it must be a list"),
    ([{"name": "a", "differ": "b"}] * 51, "RULES: it must be a list of at most 50 rules."),
    (["production"], "RULES: rule 1 must be an object with a name"),
    ([{"differ": "stage"}], "RULES: rule 1 must be an object with a name"),
    ([{"name": "none", "differ": "stage"}], "RULES: rule 1 must be an object with a name"),
    ([{"name": "Pro duction", "differ": "stage"}], "RULES: rule 1 must be an object with a name"),
    (
        [{"name": "a", "differ": "x"}, {"name": "a", "differ": "y"}],
        "RULES: rule 2 (a): has the name of an earlier rule.",
    ),
    ([{"name": "a"}], "RULES: rule 1 (a): says nothing; it needs agree, differ or except."),
    ([{"name": "a", "exept": []}], "RULES: rule 1 (a): 'exept' is unknown; there are: name, agree, differ, except."),
    ([{"name": "a", "agree": "stage"}], "RULES: rule 1 (a): agree: must be labels of clusters with their values"),
    ([{"name": "a", "agree": ["stage=x"]}], "RULES: rule 1 (a): agree must be a text"),
    ([{"name": "a", "agree": "s=x,s=y"}], "RULES: rule 1 (a): agree: names the label s twice"),
    ([{"name": "a", "agree": "st age=x"}], "RULES: rule 1 (a): agree: 'st age' is not the name of a label."),
    ([{"name": "a", "differ": 1}], "RULES: rule 1 (a): differ must be the name of a label."),
    ([{"name": "a", "differ": "st age"}], "RULES: rule 1 (a): differ: 'st age' is not the name of a label."),
    ([{"name": "a", "agree": "s=x", "differ": "s"}], "RULES: rule 1 (a): differ names a label of agree"),
    ([{"name": "a", "except": "key"}], "RULES: rule 1 (a): except must be a list of fields."),
    (
        [{"name": "a", "except": ["intervall"]}],
        "RULES: rule 1 (a): except: 'intervall' is no field; there are: interval,",
    ),
    ([{"name": "a", "except": ["key"] * 51}], "RULES: rule 1 (a): except must be at most 50 fields."),
]


@pytest.mark.parametrize(("given_rules", "message"), WRONG)
def test_a_mistake_is_one_line_with_setting_rule_and_fault(
    monkeypatch: pytest.MonkeyPatch, given_rules: object, message: str
) -> None:
    monkeypatch.setenv("RULES", json.dumps(given_rules))
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.drift_rules("RULES")
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("text", "rules"), [("", ()), (json.dumps(GIVEN), RULES)])
def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch, text: str, rules: tuple[Agreement, ...]) -> None:
    monkeypatch.setenv("RULES", text)
    assert environment.drift_rules("RULES") == rules


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nonsense"])
def test_what_is_no_json_names_its_setting(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RULES", text)
    with pytest.raises(ImproperlyConfigured, match="RULES: it must be JSON"):
        environment.drift_rules("RULES")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "agree", "differ", "except", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_values)
def test_whatever_is_given_is_read_or_refused_in_one_line(given_rules: object) -> None:
    said = _said(given_rules)
    assert all(said)
    assert "".join(said).isprintable()


def _said(given_rules: object) -> list[str]:
    try:
        return [rule.words for rule in parse(given_rules)]
    except BadAgreement as error:
        return [str(error)]


@pytest.mark.parametrize(
    ("query", "usual", "expected"),
    [
        ("", True, PRODUCTION),
        ("", False, Agreement()),
        ("cluster=prod-*", True, PRODUCTION),
        ("rule=stages", False, STAGES),
        ("rule=none", True, Agreement()),
        ("differ=team", True, Agreement(differ="team")),
        ("except=interval,store&except=key", True, Agreement(excepted=("interval", "store", "key"))),
        ("agree=a=b&agree=c=d", True, Agreement(agree=(("a", "b"), ("c", "d")))),
        ("rule=stages&differ=team", True, Agreement(name="stages", differ="team")),
        ("rule=stages&agree=team=a", True, Agreement(name="stages", differ="stage", agree=(("team", "a"),))),
        ("rule=none&agree=team=a", True, Agreement(agree=(("team", "a"),))),
        ("rule=stages&except=key", True, Agreement(name="stages", differ="stage", excepted=("key",))),
    ],
)
def test_an_address_picks_a_rule_or_overrules_it(query: str, usual: bool, expected: Agreement) -> None:
    assert parse_agreement(QueryDict(query), RULES, usual=usual).agreement == expected


def test_an_unknown_rule_lists_those_there_are() -> None:
    with pytest.raises(WrongParameter, match="'prod' is not the name of a rule") as refused:
        parse_agreement(QueryDict("rule=prod"), RULES, usual=True)
    assert (refused.value.parameter, refused.value.allowed) == ("rule", ("production", "stages", "none"))


@pytest.mark.parametrize(
    ("field", "names", "is_excepted"),
    [
        ("interval", ["interval"], True),
        ("key password", ["key"], True),
        ("key password (2)", ["key password"], True),
        ("key password", ["key pass"], False),
        ("path of the store", ["path"], True),
        ("store", ["path of the store"], False),
        ("version of db", ["version"], True),
    ],
)
def test_a_name_stands_for_the_fields_that_begin_with_its_words(
    field: str, names: list[str], is_excepted: bool
) -> None:
    assert drift.is_excepted(field, names) is is_excepted


@pytest.mark.parametrize("name", ["key", "key any.thing", "extract (2)", "version of db", "path", "value", "sync"])
def test_what_is_a_field(name: str) -> None:
    assert drift.is_field(name)


@pytest.mark.parametrize("name", ["", " ", "keys", "inter", "interval ", "extracts", "ath of the store"])
def test_what_is_no_field(name: str) -> None:
    assert not drift.is_field(name)


@pytest.mark.parametrize("kind", ["ExternalSecret", "SealedSecret", "SecretProviderClass"])
@given(data=st.data())
def test_every_field_can_be_excepted(kind: str, data: st.DataObject) -> None:
    spec = {**drift.spec_of(data.draw(rule_strategies.FACTS[kind])), **drift.store_spec(())}
    for field in spec:
        assert drift.is_field(field)
        assert drift.is_excepted(field, drift.FIELDS)
