"""Every recorded case is judged at every moment that its expectations name.

Every word of an expectation is one that WORDS knows, or "synced": nothing is skipped.
"""

from typing import NamedTuple

import pytest

from monitoring.health import Health
from monitoring.rules import RULES, judge_cluster
from monitoring.rules.base import (
    Verdict,
)
from tests.recorded import CASES, JUDGED, Expectation, healths
from tests.unit.recorded_world import world_of


class Says(NamedTuple):
    """A finding with one of `ids` (and `text` in its summary or hint) is what an expectation's word means."""

    ids: tuple[str, ...]
    text: str = ""


WORDS: dict[str, Says] = {
    "child-not-ready": Says(("es-children",)),
    "controller-class": Says(("es-controller-class",)),
    "controller_down": Says(("cluster-controller-down",)),
    "deletion-stuck": Says(("es-deletion-stuck",)),
    "driver_missing_on_node": Says(("csi-driver-missing",)),
    "frozen-by-design": Says(("es-frozen-by-design",), "Frozen by design at generation 1"),
    "green-without-data": Says(("es-green-without-data",)),
    "green-without-secret": Says(("es-green-without-secret",)),
    "key_loaded_mismatch": Says(("cluster-key-not-loaded",)),
    "key_renewal_disabled": Says(("cluster-key-renewal-off",)),
    "key_renewal_overdue": Says(("cluster-key-renewal-overdue",)),
    "namespace-failed": Says(("es-namespaces-failed",)),
    "never-reconciled": Says(("es-pending", "es-never-reconciled", "ss-never-reconciled", "es-poison-interval")),
    "never-synced": Says(("es-not-ready",), "never synced"),
    "no-retry": Says(("es-not-ready",), "No retry will come"),
    "not-ready": Says(("es-not-ready", "store-not-ready", "es-namespaces-failed")),
    "not_synced": Says(("ss-not-synced",)),
    "observed_lag": Says(("ss-observed-lag",)),
    "out-of-date": Says(("es-out-of-date",)),
    "outdated_version": Says(("csi-outdated-version",)),
    "overdue-refresh": Says(("es-silent-stale", "es-stale")),
    "partly-missing": Says(("es-partly-missing",)),
    "rotation_failed_event": Says(("csi-rotation-failed",)),
    "rotation_misconfigured": Says(("csi-rotation-misconfigured", "cluster-rotation-misconfigured")),
    "rotation_off": Says(("csi-rotation-off", "cluster-rotation-off")),
    "scope_mismatch": Says(("ss-scope-mismatch",)),
    "silent": Says(("es-silent-stale",)),
    "spc_missing": Says(("csi-class-missing",)),
    "spc_newer_than_mount": Says(("csi-class-newer",)),
    "status_missing": Says(("ss-status-missing", "ss-never-reconciled"), "no status"),
    "status_stale": Says(("ss-status-stale",)),
    "store-absent": Says(("es-store-absent",)),
    "store-not-ready": Says(("es-store-not-ready",)),
    "sync-window": Says(("es-sync-window",)),
    "target-immutable": Says(("es-not-ready",), "immutable"),
    "provider-forbidden": Says(("es-not-ready",), "may not do this"),
    "provider-not-found": Says(("es-not-ready",), "does not have what is asked for"),
    "provider-throttled": Says(("es-not-ready",), "The provider throttles"),
    "provider-timeout": Says(("es-not-ready",), "does not answer in time"),
    "provider-unavailable": Says(("es-not-ready",), "fails itself"),
    "store-denies-namespace": Says(("es-not-ready",), "does not serve this namespace"),
    "target-conflict": Says(("es-not-ready",), "Something else made"),
    "template-error": Says(("es-not-ready",), "Correct the template"),
    "unparsable-duration": Says(("es-poison-interval",)),
    "unstable_version": Says(("csi-unstable-version",)),
    "not_mounted": Says(("csi-not-mounted",)),
    "provider-denied": Says(("csi-not-mounted",), "may not do this"),
    "provider_missing": Says(("csi-provider-missing",)),
    "rotation_blind": Says(("csi-rotation-blind", "cluster-rotation-blind")),
    "spcps_orphan": Says(("csi-orphaned-status",)),
    "subpath_mount": Says(("csi-subpath",)),
    "synced_secret_conflict": Says(("csi-synced-secret-conflict",)),
    "synced_secret_missing": Says(("csi-synced-secret-missing",)),
    "cert_shared_across_clusters": Says(("cluster-certificate-shared",)),
    "child_drift": Says(("ss-child-edited",)),
    "child_foreign": Says(("ss-child-foreign",)),
    "child_missing": Says(("ss-child-missing", "es-target-missing")),
    "key_compromised_label": Says(("ss-key-compromised", "cluster-key-compromised")),
    "last_applied_leak": Says(("lint-last-applied",)),
    "sealed_before_newest_key(certain)": Says(("ss-sealed-before-newest-key",), "certainly"),
    "sealed_before_newest_key(unknown)": Says(("ss-sealed-before-newest-key",), "unknown"),
    "sealed_for_other_cluster": Says(("ss-sealed-for-other",), "another cluster"),
    "sealed_for_other_name": Says(("ss-sealed-for-other",), "another name:"),
    "sealed_for_other_namespace": Says(("ss-sealed-for-other",), "another namespace"),
    "sealing_key_lost": Says(("cluster-key-lost", "cluster-rebuilt")),
    "value-age": Says(("es-not-ready",), "the value is of"),
}


def test_all_cases_are_there() -> None:
    assert len(list(CASES.glob("*/*/case.yaml"))) == 91
    assert len(JUDGED) > 200


def test_words_are_of_rules_that_there_are() -> None:
    assert {rule for says in WORDS.values() for rule in says.ids} <= set(RULES)


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_health(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    assert verdict.health in healths(expectation.wanted), verdict


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_because(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    for word in expectation.wanted.get("because") or ():
        assert_says(verdict, word)
    for word in expectation.wanted.get("must_not") or ():
        assert not says(verdict, word), (word, verdict)


def says(verdict: Verdict, word: str) -> bool:
    """Whether a finding or a lint is what `word` means."""
    ids, text = WORDS[word]
    found = [*verdict.findings, *verdict.lints]
    return any(finding.rule in ids and text in f"{finding.summary} {finding.hint}" for finding in found)


def assert_says(verdict: Verdict, word: str) -> None:
    name, _, detail = word.partition(":")
    if name == "synced":
        assert not [finding for finding in verdict.findings if finding.health is not Health.HEALTHY]
    else:
        ids, text = WORDS[name]
        found = [f for f in verdict.findings if f.rule in ids]
        assert found, (word, verdict)
        assert any(text in f"{f.summary} {f.hint}" and detail in f.summary for f in found), (word, found)


@pytest.mark.parametrize("expectation", [e for e in JUDGED if e.wanted.get("cause_contains")], ids=str)
def test_cause(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    causes = [finding.cause for finding in verdict.findings]
    assert any(expectation.wanted["cause_contains"] in cause for cause in causes), causes


@pytest.mark.parametrize("expectation", [e for e in JUDGED if e.wanted.get("since")], ids=str)
def test_since(expectation: Expectation) -> None:
    assert world_of(expectation).judge(expectation.subject, expectation.at).since == expectation.wanted["since"]


@pytest.mark.parametrize("expectation", [e for e in JUDGED if e.wanted.get("one_problem")], ids=str)
def test_one_problem_has_one_signature(expectation: Expectation) -> None:
    world, subject = world_of(expectation), expectation.subject
    verdicts = [world.judge(subject._replace(name=name), expectation.at) for name in expectation.wanted["one_problem"]]
    assert {verdict.signature for verdict in verdicts} == {world.judge(subject, expectation.at).signature} != {""}


@pytest.mark.parametrize(
    "expectation", [e for e in JUDGED if any(k.startswith("cluster_findings") for k in e.wanted)], ids=str
)
def test_cluster_findings(expectation: Expectation) -> None:
    verdict = judge_cluster(world_of(expectation).cluster, expectation.now + expectation.at)
    for word in expectation.wanted.get("cluster_findings") or ():
        assert_says(verdict, word)
    for word in expectation.wanted.get("cluster_findings_not") or ():
        assert not says(verdict, word), (word, verdict)


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_no_canary_and_no_endless_text(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    text = "\n".join(f"{f.summary}\n{f.cause}\n{f.hint}" for f in verdict.findings)
    assert "CANARY" not in text
    assert max((len(line) for line in text.split("\n")), default=0) <= 1000
