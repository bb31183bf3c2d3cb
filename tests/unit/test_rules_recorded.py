"""Every recorded case is judged at every moment that its expectations name.

Nothing is skipped in silence: what is not judged yet stands in tests.recorded.LATER_CASES or in LATER_WORDS here.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clusters.kinds import BY_NAME
from clusters.kinds.events import note
from clusters.kinds.sealed_secrets import observe_certificate
from clusters.observations import FACTS_TYPES, EventNote, MountFacts, Observation, Relation, ResourceKey
from monitoring.health import Health
from monitoring.rotation import with_change_times
from monitoring.rules import RULES, judge, judge_cluster
from monitoring.rules.base import Child, ClusterContext, Context, Verdict, Workload
from tests.recorded import ALL, CASES, JUDGED, LATER, LATER_CASES, Expectation, Later, healths

CONTROLLER = ResourceKey("Deployment", "kube-system", "sealed-secrets-controller")


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
    "value-age": Says(("es-not-ready",), "the value is of"),
}
LATER_WORDS: dict[str, str] = {
    "cert_shared_across_clusters": "compares clusters",
    "child_drift": "needs the metadata of target Secrets",
    "child_foreign": "needs the metadata of target Secrets",
    "child_missing": "needs the metadata of target Secrets",
    "key_compromised_label": "needs the history of sealing keys",
    "last_applied_leak": "needs the metadata of target Secrets",
    "not_mounted": "needs pods",
    "provider-denied": "needs pods",
    "provider_missing": "needs pods",
    "rotation_blind": "needs the driver's pods",
    "sealed_before_newest_key(certain)": "needs the times of each item",
    "sealed_before_newest_key(unknown)": "needs the times of each item",
    "sealed_for_other_cluster": "compares ciphertexts",
    "sealed_for_other_name": "compares ciphertexts",
    "sealed_for_other_namespace": "compares ciphertexts",
    "sealing_key_lost": "needs the history of certificates",
    "spcps_orphan": "needs pods",
    "subpath_mount": "needs pods",
    "synced": "says that nothing is wrong",
    "synced_secret_conflict": "needs the other classes of the namespace",
    "synced_secret_missing": "needs the metadata of target Secrets, or pods' Events at the class",
}


@dataclass
class World:
    """One cluster at one capture: its observations, events and the history of its mounts."""

    now: datetime
    observations: dict[ResourceKey, Observation]
    events: list[EventNote]
    cluster: ClusterContext = field(init=False)

    def __post_init__(self) -> None:
        supporting: dict[str, list[Workload]] = {}
        for key, seen in self.observations.items():
            if not BY_NAME[key.kind].judged:
                supporting.setdefault(key.kind, []).append(
                    Workload(key=key, facts=seen.facts, created_at=seen.created_at)
                )
        self.cluster = ClusterContext(
            readable=frozenset(FACTS_TYPES), supporting={kind: tuple(rows) for kind, rows in supporting.items()}
        )

    def judge(self, key: ResourceKey, at: timedelta) -> Verdict:
        seen = self.observations[key]
        return judge(seen, self._context(seen, at), self.now + at)

    def _context(self, seen: Observation, at: timedelta) -> Context:
        involved = (
            ResourceKey("Pod", seen.key.namespace, seen.facts.pod) if isinstance(seen.facts, MountFacts) else seen.key
        )
        events = [event for event in self.events if event.involved == involved]
        wanted = [reference.target for reference in seen.references]
        return Context(
            cluster=self.cluster,
            related={key: self.observations[key].facts for key in wanted if key in self.observations},
            events=tuple(sorted(events, key=lambda event: event.last_at or self.now, reverse=True)),
            siblings=self._siblings(seen),
            children=tuple(
                Child(key=key, health=self.judge(key, at).health)
                for key, other in self.observations.items()
                if any(reference == (Relation.PARENT, seen.key) for reference in other.references)
            ),
        )

    def _siblings(self, seen: Observation) -> tuple[MountFacts, ...]:
        if not isinstance(seen.facts, MountFacts):
            return ()
        return tuple(
            other.facts
            for key, other in self.observations.items()
            if isinstance(other.facts, MountFacts)
            and (key.namespace, other.facts.class_name) == (seen.key.namespace, seen.facts.class_name)
        )


def read_world(folder: Path, now: datetime, before: World | None) -> World:
    items = _items(folder / "objects.json")
    keys = [{**item, "kind": "SealingKey"} for item in _items(folder / "secrets.json")]
    seen = [
        observation
        for item in [*items, *keys]
        if item["kind"] in BY_NAME and (observation := BY_NAME[item["kind"]].observe(json.dumps(item).encode()))
    ]
    certificates = folder / "certs.json"
    served = [c for c in json.loads(certificates.read_text()) if c["served"]] if certificates.exists() else []
    seen += [observe_certificate(certificate["pem"].encode(), CONTROLLER) for certificate in served]
    observations = {observation.key: _with_history(observation, before) for observation in seen}
    events = [note(json.dumps(item).encode()) for item in _items(folder / "events.json")]
    return World(now, observations, [event for event in events if event])


def _items(path: Path) -> list[dict[str, Any]]:
    return (json.loads(path.read_text())["items"] or []) if path.exists() else []


def _with_history(seen: Observation, before: World | None) -> Observation:
    if not isinstance(seen.facts, MountFacts):
        return seen
    known = before.observations.get(seen.key) if before else None
    previous = known.facts if known and known.uid == seen.uid and isinstance(known.facts, MountFacts) else None
    facts = with_change_times(previous, seen.facts, seen.created_at)
    return Observation(
        key=seen.key,
        uid=seen.uid,
        fingerprint=seen.fingerprint,
        created_at=seen.created_at,
        facts=facts,
        references=seen.references,
    )


def world_of(expectation: Expectation) -> World:
    return replayed((*expectation.before, (expectation.folder, expectation.now)))


@cache
def replayed(captures: tuple[tuple[Path, datetime], ...]) -> World:
    """The world at the last of `captures`, with the history of those before."""
    *earlier, (folder, now) = captures
    return read_world(folder, now, replayed(tuple(earlier)) if earlier else None)


def test_all_cases_are_there() -> None:
    assert len(list(CASES.glob("*/*/case.yaml"))) == 91
    assert len(JUDGED) > 200


def test_what_comes_later_is_listed_once_and_still_there() -> None:
    assert {id(found) for _, found in LATER} == {id(found) for found in LATER_CASES.values()}
    assert not set(WORDS) & set(LATER_WORDS)
    assert {rule for says in WORDS.values() for rule in says.ids} <= set(RULES)


@pytest.mark.parametrize(("expectation", "found"), LATER, ids=str)
def test_what_comes_later_is_silence_or_unknown_until_then(expectation: Expectation, found: Later) -> None:
    world = world_of(expectation)
    if found.meanwhile is None:
        assert expectation.subject not in world.observations
        return
    assert world.judge(expectation.subject, expectation.at).health is found.meanwhile


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_health(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    assert verdict.health in healths(expectation.wanted), verdict


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_because(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    for word in expectation.wanted.get("because") or ():
        assert_says(verdict, word)
    unwanted = {rule for word in expectation.wanted.get("must_not") or () for rule in ids_of(word)}
    assert not unwanted & {finding.rule for finding in verdict.findings}


def assert_says(verdict: Verdict, word: str) -> None:
    name, _, detail = word.partition(":")
    if name == "synced":
        assert not [finding for finding in verdict.findings if finding.health is not Health.HEALTHY]
    elif name in WORDS:
        ids, text = WORDS[name]
        found = [f for f in verdict.findings if f.rule in ids]
        assert found, (word, verdict)
        assert any(text in f"{f.summary} {f.hint}" and detail in f.summary for f in found), (word, found)
    else:
        assert name in LATER_WORDS, word


@pytest.mark.parametrize("expectation", [e for e in JUDGED if e.wanted.get("cause_contains")], ids=str)
def test_cause(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    causes = [finding.cause for finding in verdict.findings]
    assert any(expectation.wanted["cause_contains"] in cause for cause in causes), causes


@pytest.mark.parametrize("expectation", [e for e in JUDGED if e.wanted.get("since")], ids=str)
def test_since(expectation: Expectation) -> None:
    assert world_of(expectation).judge(expectation.subject, expectation.at).since == expectation.wanted["since"]


@pytest.mark.parametrize(
    "expectation", [e for e in ALL if any(k.startswith("cluster_findings") for k in e.wanted)], ids=str
)
def test_cluster_findings(expectation: Expectation) -> None:
    verdict = judge_cluster(world_of(expectation).cluster, expectation.now + expectation.at)
    for word in expectation.wanted.get("cluster_findings") or ():
        assert_says(verdict, word)
    unwanted = {rule for word in expectation.wanted.get("cluster_findings_not") or () for rule in ids_of(word)}
    assert not unwanted & {finding.rule for finding in verdict.findings}


def ids_of(word: str) -> tuple[str, ...]:
    assert word in WORDS or word in LATER_WORDS, word
    return WORDS[word].ids if word in WORDS else ()


@pytest.mark.parametrize("expectation", JUDGED, ids=str)
def test_no_canary_and_no_endless_text(expectation: Expectation) -> None:
    verdict = world_of(expectation).judge(expectation.subject, expectation.at)
    text = "\n".join(f"{f.summary}\n{f.cause}\n{f.hint}" for f in verdict.findings)
    assert "CANARY" not in text
    assert max((len(line) for line in text.split("\n")), default=0) <= 1000
