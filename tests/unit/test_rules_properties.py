"""What holds for every object, however odd: judging ends in a verdict, its next moment is exact, waiting is no cure."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.facts import FACTS_TYPES, RefreshedFacts, facts_from_json, facts_to_json
from clusters.kinds import JUDGED_KINDS
from monitoring.health import Health, worst_of
from monitoring.rules import RULES, judge, judge_cluster
from monitoring.rules.base import ClusterContext, Context, Finding, Verdict
from tests.unit.rule_strategies import (
    FACTS,
    START,
    Subject,
    anything,
    cluster_contexts,
    later_moments,
    moments,
    observation,
    odd_contexts,
    spoilt,
    subjects,
)

THOROUGH = settings(max_examples=70, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
FAIRLY = settings(THOROUGH, max_examples=50)
ASKING_THE_CLOCK = sorted({*JUDGED_KINDS} - {"ClusterPushSecret", "ClusterSecretStore"})  # their rules are others' too
SOON, LATER = st.integers(0, 200_000), st.integers(1, 10**9)  # seconds

# The clock alone may take these away again. A refresh time in the future hides whether it is late until the clock has
# caught up. A driver that fails to rotate, or to make a Secret that we may not see, says so at every poll, so that its
# silence for an hour is news itself.
ENDED_BY_TIME = {"es-clock", "csi-rotation-failed", "csi-synced-secret-missing"}


def said(verdict: Verdict) -> tuple[Any, ...]:
    return verdict.health, verdict.findings, verdict.due_at


def bad(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings if finding.health >= Health.AT_RISK} - ENDED_BY_TIME


def lasting(verdict: Verdict) -> Health:
    """Of what time alone does not end. Who is not known any more is not better off than who was still waited for."""
    worst = worst_of([finding.health for finding in verdict.findings if finding.rule not in ENDED_BY_TIME])
    return Health.PROGRESSING if worst is Health.UNKNOWN else worst


def assert_well_made(verdict: Verdict) -> None:
    findings = verdict.findings
    assert "could-not-be-judged" not in [finding.rule for finding in findings], findings
    assert verdict.health == worst_of([finding.health for finding in findings])
    assert [finding.health for finding in findings] == sorted((f.health for f in findings), reverse=True)
    assert all(is_told(finding) for finding in findings), findings
    assert all(RULES[lint.rule].lint and lint.health is Health.HEALTHY for lint in verdict.lints), verdict.lints


def is_told(finding: Finding) -> bool:
    """Registered, a sentence, and with a signature where it needs someone."""
    rule = RULES[finding.rule]
    signed = bool(finding.signature) or finding.health < Health.AT_RISK
    return not rule.lint and finding.severity == rule.severity and finding.summary != "" and signed


@pytest.mark.parametrize("kind", FACTS)
@settings(THOROUGH, max_examples=60)
@given(st.data())
def test_no_rule_fails_on_values_of_the_right_type(kind: str, data: st.DataObject) -> None:
    assert_well_made(judge(*data.draw(subjects((kind,))), data.draw(moments)))


@THOROUGH
@given(cluster_contexts, moments)
def test_no_rule_about_clusters_fails(context: ClusterContext, now: datetime) -> None:
    assert_well_made(judge_cluster(context, now))


@pytest.mark.parametrize("kind", ASKING_THE_CLOCK)
@FAIRLY
@given(st.data(), later_moments, st.floats(0, 1), LATER)
def test_the_clock_changes_a_verdict_at_recheck_at_and_not_before(
    kind: str, data: st.DataObject, now: datetime, share: float, much_later: int
) -> None:
    subject = data.draw(subjects((kind,)))
    verdict = judge(*subject, now)
    if verdict.recheck_at is None:
        assert judge(*subject, now + timedelta(seconds=much_later)) == verdict
        return
    assert verdict.recheck_at > now
    between = min(now + share * (verdict.recheck_at - now), verdict.recheck_at - timedelta(microseconds=1))
    assert judge(*subject, between) == verdict
    assert said(judge(*subject, verdict.recheck_at)) != said(verdict)


@THOROUGH
@given(cluster_contexts, moments, st.floats(0, 1), LATER)
def test_the_same_holds_for_clusters(context: ClusterContext, now: datetime, share: float, much_later: int) -> None:
    verdict = judge_cluster(context, now)
    if verdict.recheck_at is None:
        assert judge_cluster(context, now + timedelta(seconds=much_later)) == verdict
        return
    assert verdict.recheck_at > now
    between = min(now + share * (verdict.recheck_at - now), verdict.recheck_at - timedelta(microseconds=1))
    assert judge_cluster(context, between) == verdict
    assert said(judge_cluster(context, verdict.recheck_at)) != said(verdict)


@pytest.mark.parametrize("kind", ASKING_THE_CLOCK)
@FAIRLY
@given(st.data(), later_moments, SOON)
def test_waiting_makes_nothing_healthier(kind: str, data: st.DataObject, now: datetime, seconds: int) -> None:
    subject = data.draw(subjects((kind,)))
    before, after = (judge(*subject, moment) for moment in (now, now + timedelta(seconds=seconds)))
    assert lasting(after) >= lasting(before)
    assert bad(after) >= bad(before), "what is bad stays so until something happens"


@THOROUGH
@given(cluster_contexts, moments, SOON)
def test_waiting_makes_no_cluster_healthier(context: ClusterContext, now: datetime, seconds: int) -> None:
    before, after = (judge_cluster(context, moment) for moment in (now, now + timedelta(seconds=seconds)))
    assert after.health >= before.health
    assert bad(after) >= bad(before)


@THOROUGH
@given(subjects(), moments)
def test_a_stored_row_is_judged_as_the_object_was(subject: Subject, now: datetime) -> None:
    watched, context = subject
    stored = msgspec.json.decode(msgspec.json.encode(facts_to_json(watched.facts)))
    again = msgspec.structs.replace(watched, facts=facts_from_json(watched.key.kind, stored))
    assert judge(again, context, now) == judge(watched, context, now)


@THOROUGH
@given(subjects(), odd_contexts, moments)
def test_what_is_related_may_be_of_any_kind(subject: Subject, context: Context, now: datetime) -> None:
    assert_well_made(judge(subject.watched, context, now))


@pytest.mark.filterwarnings("ignore")
@THOROUGH
@given(st.data(), st.sampled_from([*FACTS_TYPES, "Ingress", ""]), odd_contexts, moments)
def test_wrong_types_in_any_field_end_in_a_verdict(
    data: st.DataObject, kind: str, context: Context, now: datetime
) -> None:
    facts_type = FACTS_TYPES.get(kind, RefreshedFacts)
    facts = facts_type(**data.draw(some_fields(facts_type)))
    watched = observation(kind, facts, data.draw(anything))
    spoilt_context = spoilt(context, data.draw(some_fields(Context)))
    assert isinstance(judge(watched, context, now), Verdict)
    assert isinstance(judge(watched, spoilt_context, now), Verdict)


@THOROUGH
@given(st.data(), cluster_contexts, moments)
def test_wrong_types_in_any_field_of_a_cluster_end_in_a_verdict(
    data: st.DataObject, context: ClusterContext, now: datetime
) -> None:
    assert isinstance(judge_cluster(spoilt(context, data.draw(some_fields(ClusterContext))), now), Verdict)


def some_fields(record: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(record.__struct_fields__), anything, max_size=4)


def test_what_fails_is_named_and_never_healthy() -> None:
    facts = RefreshedFacts(ready=True, refreshed_at="yesterday")  # type: ignore[arg-type]
    verdict = judge(observation("ExternalSecret", facts), Context(), START)
    assert verdict.health is Health.UNKNOWN
    assert [finding.rule for finding in verdict.findings] == ["could-not-be-judged"]
    assert "TypeError" in verdict.findings[0].summary


def test_an_object_that_could_not_be_decoded_is_unknown_and_nothing_else() -> None:
    facts = RefreshedFacts(problem="The field spec does not have the type that its kind promises.")
    verdict = judge(observation("ExternalSecret", facts, None), Context(), START)
    assert verdict.health is Health.UNKNOWN
    assert [finding.rule for finding in verdict.findings] == ["could-not-be-read"]


def test_a_problem_does_not_hide_what_is_known_to_be_bad() -> None:
    facts = RefreshedFacts(problem="The field target is odd.", generation=1, ready=False, message="no")
    verdict = judge(observation("ExternalSecret", facts), Context(), START)
    assert verdict.health is Health.FAILING
    assert {finding.rule for finding in verdict.findings} == {"es-not-ready", "could-not-be-read"}
