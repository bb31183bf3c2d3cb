"""Limits of judging: what is read from the environment, which cluster gets what, and that every one of them decides."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured

from clusters.facts import PodFacts, PodMount, RefreshedFacts, SealedSecretFacts, SealingCertificateFacts, WorkloadFacts
from monitoring.health import Health
from monitoring.rules import judge_cluster
from monitoring.rules.base import Census, ClusterContext, Verdict
from monitoring.rules.thresholds import DEFAULTS, NAMES, BadThreshold, Override, Thresholds, of_cluster, parse, words
from secretsdash import environment
from tests.unit.rule_subjects import READABLE, SYNCED, T0, at, context, said, verdict, with_, workload

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def test_what_is_not_given_stays_as_it_was() -> None:
    base = parse({"grace_most": "20m"})
    assert base == msgspec.structs.replace(DEFAULTS, grace_most=20 * MINUTE)
    assert parse({"stopped_share": 1}, base) == msgspec.structs.replace(base, stopped_share=1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grace", "1m"),
        ("grace_most", "1d"),
        ("grace_most", "-1m"),
        ("grace_most", "90000h"),
        ("grace_most", 60),
        ("grace_most", None),
        ("stopped_share", 0),
        ("stopped_share", 1.5),
        ("stopped_share", True),
        ("stopped_share", "0.5"),
        ("stopped_share", float("nan")),
    ],
)
def test_what_is_none_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadThreshold, match=name):
        parse({name: value})


def test_of_several_labels_that_fit_the_last_wins() -> None:
    overrides = (
        Override(label="env", value="dev", given={"grace_most": "1h", "mount_wait": "5m"}),
        Override(label="team", value="shop", given={"grace_most": "2h"}),
    )
    assert of_cluster({}, DEFAULTS, overrides) == DEFAULTS
    assert of_cluster({"env": ["dev"], "team": None}, DEFAULTS, overrides) == DEFAULTS, "labels may hold anything"
    found = of_cluster({"env": "dev", "team": "shop"}, parse({"observed_lag": "9m"}), overrides)
    assert (found.grace_most, found.mount_wait, found.observed_lag) == (2 * HOUR, 5 * MINUTE, 9 * MINUTE)


def test_words_for_people() -> None:
    assert [words(DEFAULTS, name) for name in ("grace_most", "certificate_expiry", "stopped_share")] == [
        "10 min",
        "30 d",
        "50%",
    ]
    assert all(words(DEFAULTS, name) for name in NAMES)


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMITS", raising=False)
    assert environment.thresholds("LIMITS") == DEFAULTS
    assert environment.thresholds_by_label("LIMITS", DEFAULTS) == ()
    monkeypatch.setenv("LIMITS", '{"grace_most": "20m"}')
    assert environment.thresholds("LIMITS").grace_most == 20 * MINUTE
    monkeypatch.setenv("LIMITS", '{"env=a=b": {"grace_most": "20m"}, "env=": {}}')
    first, second = environment.thresholds_by_label("LIMITS", DEFAULTS)
    assert (first.label, first.value, second.value) == ("env", "a=b", "")


@pytest.mark.parametrize("text", ["[]", "{", '{"grace_most": "1d"}', '{"x": "1m"}', '{"env=dev": {"grace_most": 5}}'])
def test_a_mistake_in_the_environment_names_its_variable(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LIMITS", text)
    with pytest.raises(ImproperlyConfigured, match="LIMITS"):
        environment.thresholds("LIMITS")


@pytest.mark.parametrize("given", ["[]", {"dev": {}}, {"=dev": {}}, {"env=dev": "1m"}, {"env=dev": {"grace_most": 5}}])
def test_a_mistake_by_label_names_its_variable(monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    monkeypatch.setenv("LIMITS", given if isinstance(given, str) else json.dumps(given))
    with pytest.raises(ImproperlyConfigured, match="LIMITS"):
        environment.thresholds_by_label("LIMITS", DEFAULTS)


def resource(kind: str, facts: Any, now: Any, limits: Thresholds) -> Verdict:
    beside = context(readable=READABLE - {"SecretStore"} | {"SecretProviderClassPodStatus"})
    cluster = msgspec.structs.replace(beside.cluster, thresholds=limits, poll_interval=timedelta(0))
    return verdict(kind, facts, now, msgspec.structs.replace(beside, cluster=cluster))


def late(interval: str) -> Any:
    facts = with_(SYNCED, interval=interval)
    span = timedelta(hours=int(interval.removesuffix("h")))
    return lambda limits, late_by: resource("ExternalSecret", facts, T0 + span + late_by, limits)


def never(limits: Thresholds, late_by: timedelta) -> Verdict:
    return resource("ExternalSecret", RefreshedFacts(generation=1), T0 + late_by, limits)


def deleting(limits: Thresholds, late_by: timedelta) -> Verdict:
    return resource("ExternalSecret", with_(SYNCED, deleting_since=T0), T0 + late_by, limits)


def lagging(limits: Thresholds, late_by: timedelta) -> Verdict:
    facts = SealedSecretFacts(generation=2, ready=True, observed_generation=1, spec_written_at=T0, target="db")
    found = resource("SealedSecret", facts, T0 + late_by, limits)
    bad = [finding for finding in found.findings if finding.health >= Health.AT_RISK]  # before, it is in progress
    return msgspec.structs.replace(found, findings=tuple(bad))


def waiting(limits: Thresholds, late_by: timedelta) -> Verdict:
    facts = PodFacts(phase="Pending", node="a", scheduled_at=T0, mounts=(PodMount(class_name="app"),))
    return resource("Pod", facts, T0 + late_by, limits)


def cluster(now: Any, limits: Thresholds, **parts: Any) -> Verdict:
    return judge_cluster(ClusterContext(thresholds=limits, readable=READABLE, **parts), now)


def short(limits: Thresholds, late_by: timedelta) -> Verdict:
    facts = WorkloadFacts(role="external-secrets", desired=1, ready=0, short_since=T0)
    return cluster(T0 + late_by, limits, supporting={"Deployment": (workload("Deployment", "eso", facts),)})


def served(limits: Thresholds, late_by: timedelta, *, not_after: Any = None) -> Verdict:
    facts = SealingCertificateFacts(sha256="aa", not_before=T0 - 720 * HOUR, not_after=not_after)
    row = workload("SealingCertificate", "sealed-secrets", facts)
    return cluster(T0 + late_by, limits, supporting={"SealingCertificate": (row,)})


# By name: the rule it decides about, the default, and what judges an object that is over the limit by so much.
DECIDES: dict[str, tuple[str, timedelta, Any]] = {
    "grace_least": ("es-silent-stale", 6 * MINUTE, late("1h")),
    "grace_most": ("es-silent-stale", 10 * MINUTE, late("24h")),
    "first_reconcile": ("es-never-reconciled", 15 * MINUTE, never),
    "deletion_stuck": ("es-deletion-stuck", 10 * MINUTE, deleting),
    "observed_lag": ("ss-observed-lag", 2 * MINUTE, lagging),
    "mount_wait": ("csi-not-mounted", 2 * MINUTE, waiting),
    "controller_down": ("cluster-controller-down", 2 * MINUTE, short),
    "renewal_slack": ("cluster-key-renewal-overdue", DAY, served),
}


@pytest.mark.parametrize("name", DECIDES)
def test_a_limit_decides_to_the_second_and_is_said(name: str) -> None:
    rule, default, judged = DECIDES[name]
    assert rule not in said(judged(DEFAULTS, default - timedelta(seconds=1)))
    found = judged(DEFAULTS, default)
    assert next(finding.threshold for finding in found.findings if finding.rule == rule), "a page can say it"
    longer = parse({"grace_least": "6m", "grace_most": "2h"} if name.startswith("grace") else {}, DEFAULTS)
    longer = msgspec.structs.replace(longer, **{name: default + HOUR})
    assert rule not in said(judged(longer, default + HOUR - timedelta(seconds=1)))
    assert rule in said(judged(longer, default + HOUR))


def test_how_long_before_its_end_a_certificate_is_warned_of() -> None:
    soon = T0 + 31 * DAY
    assert "cluster-certificate-expiring" not in said(served(DEFAULTS, timedelta(0), not_after=soon))
    wide = parse({"certificate_expiry": "744h"})
    assert "cluster-certificate-expiring" in said(served(wide, timedelta(0), not_after=soon))


@pytest.mark.parametrize(("share", "stopped"), [(0.5, True), (0.6, False)])
def test_from_which_share_on_a_controller_counts_as_stopped(share: float, stopped: bool) -> None:
    census = Census(periodic=100, overdue=60, newest_refresh=T0)
    found = cluster(at(5), parse({"stopped_share": share}), census=census)
    assert ("cluster-controller-stopped" in said(found)) is stopped


def test_every_limit_is_tried_here() -> None:
    assert {*DECIDES, "certificate_expiry", "stopped_share"} == set(NAMES)
