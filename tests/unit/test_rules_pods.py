"""Pods and classes of the CSI driver: each rule where it speaks, and right beside it where it must not."""

import pytest

from clusters.facts import (
    ClassFacts,
    DriverPodFacts,
    MountedObject,
    MountFacts,
    NodeFacts,
    PodFacts,
    PodMount,
    ResourceKey,
    SecretFacts,
)
from clusters.observations import Observation
from monitoring.health import Health
from monitoring.rules import judge
from monitoring.rules.base import Context, Newest
from tests.unit.rule_subjects import (
    CLASS,
    T0,
    Case,
    at,
    context,
    driver,
    event,
    finding,
    said,
    verdict,
    with_,
    workload,
)

POD, MOUNT, PROVIDER_CLASS = "Pod", "SecretProviderClassPodStatus", "SecretProviderClass"
READABLE = frozenset({MOUNT, PROVIDER_CLASS, "CSINode", "Pod", "DriverPod", "Secret"})
NODE = ResourceKey("CSINode", "", "n1")
POD_KEY = ResourceKey("Pod", "shop", "web")

WAITS = PodFacts(phase="Pending", node="n1", scheduled_at=T0, mounts=(PodMount(class_name="app"),))
MOUNTED = MountFacts(
    generation=1,
    pod="web",
    node="n1",
    class_name="app",
    objects=(MountedObject(id="db", version="1", changed_at=T0),),
    written_at=T0,
)
SERVED = {
    CLASS: ClassFacts(provider="azure", secret_names=("db",)),
    NODE: NodeFacts(drivers=("secrets-store.csi.k8s.io",)),
}
RUNNING = with_(WAITS, phase="Running")
NOT_MOUNTED = {"csi-not-mounted": Health.FAILING}
MISSING = {"csi-synced-secret-missing": Health.FAILING}


def beside(**parts: object) -> Context:
    return context(**{"readable": READABLE, "related": SERVED, **parts})


def pods_of_driver(*, driver_ready: bool = True, provider_ready: bool = True) -> tuple[object, ...]:
    return (
        workload("DriverPod", "d", DriverPodFacts(role="csi-driver", node="n1", ready=driver_ready)),
        workload(
            "DriverPod", "p", DriverPodFacts(role="csi-provider", node="n1", ready=provider_ready, provider="azure")
        ),
    )


def rotating(**ready: bool) -> Context:
    running = {**driver(enable_secret_rotation="true"), "DriverPod": pods_of_driver(**ready)}
    return beside(supporting=running, related={**SERVED, POD_KEY: RUNNING}, siblings=(MOUNTED,))


def with_pod(pod: PodFacts) -> Context:
    return beside(related={**SERVED, POD_KEY: pod}, siblings=(MOUNTED,))


def newest(version: str, hours: float, *, here: bool = False, provider: str = "azure") -> Context:
    seen = Newest(version=version, changed_at=at(hours), cluster="prod-us", here=here)
    running = driver(enable_secret_rotation="true")
    related = {**SERVED, CLASS: ClassFacts(provider=provider), POD_KEY: RUNNING}
    return beside(supporting=running, related=related, siblings=(MOUNTED,), newest={"db": seen})


CLASS_FACTS = ClassFacts(provider="azure", secret_names=("db",))
REFUSED = event("FailedToCreateSecret", at(1), "file matching objectName db not found in the pod")
T0_ONLY = READABLE - {"Secret", "Pod", "DriverPod"}

PODS_AND_CLASSES = [
    Case("just scheduled", POD, WAITS, at(minutes=1, seconds=59), {"csi-pending": Health.PROGRESSING}, beside()),
    Case("waits too long", POD, WAITS, at(minutes=2), NOT_MOUNTED, beside()),
    Case("runs without a mount", POD, RUNNING, at(1), NOT_MOUNTED, beside()),
    Case("mounted", POD, RUNNING, at(1), {}, beside(siblings=(MOUNTED,))),
    Case("not scheduled", POD, with_(WAITS, node="", scheduled_at=None), at(1), {}, beside()),
    Case("ended", POD, with_(WAITS, phase="Succeeded"), at(1), {}, beside()),
    Case("being deleted", POD, with_(WAITS, deleting_since=T0), at(1), {}, beside()),
    Case("mounts cannot be read", POD, WAITS, at(1), {}, beside(readable=READABLE - {MOUNT})),
    Case(
        "no class",
        POD,
        WAITS,
        at(1),
        {**NOT_MOUNTED, "csi-class-missing": Health.FAILING},
        beside(related={NODE: SERVED[NODE]}),
    ),
    Case(
        "no driver",
        POD,
        WAITS,
        at(1),
        {**NOT_MOUNTED, "csi-driver-missing": Health.FAILING},
        beside(related={**SERVED, NODE: NodeFacts()}),
    ),
    Case(
        "no provider by its words",
        POD,
        WAITS,
        at(1),
        {**NOT_MOUNTED, "csi-provider-missing": Health.FAILING},
        beside(events=(event("FailedMount", at(1), 'provider not found: provider "azure"'),)),
    ),
    Case(
        "no provider by its pod",
        POD,
        WAITS,
        at(1),
        {**NOT_MOUNTED, "csi-provider-missing": Health.FAILING},
        beside(supporting={"DriverPod": pods_of_driver(provider_ready=False)}),
    ),
    Case("pod is there", MOUNT, MOUNTED, at(1), {}, with_pod(RUNNING)),
    Case("pod is gone", MOUNT, MOUNTED, at(1), {"csi-orphaned-status": Health.HEALTHY}, beside(siblings=(MOUNTED,))),
    Case(
        "pod has ended",
        MOUNT,
        MOUNTED,
        at(1),
        {"csi-orphaned-status": Health.HEALTHY},
        with_pod(with_(RUNNING, phase="Failed")),
    ),
    Case("pods cannot be read", MOUNT, MOUNTED, at(1), {}, beside(readable=T0_ONLY, siblings=(MOUNTED,))),
    Case(
        "subPath",
        MOUNT,
        MOUNTED,
        at(1),
        {"csi-subpath": Health.AT_RISK},
        with_pod(with_(RUNNING, mounts=(PodMount(class_name="app", sub_path=True),))),
    ),
    Case(
        "subPath of another class",
        MOUNT,
        MOUNTED,
        at(1),
        {},
        with_pod(with_(RUNNING, mounts=(PodMount(class_name="app"), PodMount(class_name="other", sub_path=True)))),
    ),
    Case("driver and provider are up", MOUNT, MOUNTED, at(1), {}, rotating()),
    Case("driver is down", MOUNT, MOUNTED, at(1), {"csi-rotation-blind": Health.AT_RISK}, rotating(driver_ready=False)),
    Case(
        "provider is down",
        MOUNT,
        MOUNTED,
        at(1),
        {"csi-rotation-blind": Health.AT_RISK},
        rotating(provider_ready=False),
    ),
    Case("another cluster is ahead", MOUNT, MOUNTED, at(2), {"csi-outdated-version": Health.STALE}, newest("2", 1)),
    Case("within the grace", MOUNT, MOUNTED, at(1, minutes=4), {}, newest("2", 1)),
    Case("another cluster is behind", MOUNT, MOUNTED, at(2), {}, newest("0", -1)),
    Case(
        "the newer mount went away",
        MOUNT,
        MOUNTED,
        at(2),
        {"csi-outdated-version": Health.STALE},
        newest("2", 1, here=True),
    ),
    Case("Vault gave another pod its own", MOUNT, MOUNTED, at(2), {}, newest("2", 1, here=True, provider="vault")),
    Case("no mount, no Secret", PROVIDER_CLASS, CLASS_FACTS, at(1), {}, beside()),
    Case("Secret missing", PROVIDER_CLASS, CLASS_FACTS, at(1), MISSING, beside(siblings=(MOUNTED,))),
    Case("Secret missing, just mounted", PROVIDER_CLASS, CLASS_FACTS, at(minutes=1), {}, beside(siblings=(MOUNTED,))),
    Case(
        "Secret there",
        PROVIDER_CLASS,
        CLASS_FACTS,
        at(1),
        {},
        beside(siblings=(MOUNTED,), related={ResourceKey("Secret", "shop", "db"): SecretFacts()}),
    ),
    Case("Secrets not readable", PROVIDER_CLASS, CLASS_FACTS, at(1), {}, beside(siblings=(MOUNTED,), readable=T0_ONLY)),
    Case(
        "refused by an Event",
        PROVIDER_CLASS,
        CLASS_FACTS,
        at(2, seconds=-1),
        MISSING,
        beside(siblings=(MOUNTED,), readable=T0_ONLY, events=(REFUSED,)),
    ),
    Case(
        "refused long ago",
        PROVIDER_CLASS,
        CLASS_FACTS,
        at(2),
        {},
        beside(siblings=(MOUNTED,), readable=T0_ONLY, events=(REFUSED,)),
    ),
    Case(
        "two classes, one Secret",
        PROVIDER_CLASS,
        CLASS_FACTS,
        at(1),
        {"csi-synced-secret-conflict": Health.AT_RISK},
        beside(neighbours=(ResourceKey(PROVIDER_CLASS, "shop", "billing"),)),
    ),
]


@pytest.mark.parametrize("case", PODS_AND_CLASSES, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


def test_another_cluster_is_named() -> None:
    found = finding(verdict(MOUNT, MOUNTED, at(2), newest("2", 1)), "csi-outdated-version")
    assert "prod-us" in found.summary
    assert "rotation interval" in found.threshold


def test_pods_on_one_node_without_its_driver_are_one_cause() -> None:
    bare = beside(related={**SERVED, NODE: NodeFacts()}, siblings=(MOUNTED,), readable=T0_ONLY)
    other = with_(MOUNTED, pod="api", class_name="app")
    assert verdict(MOUNT, MOUNTED, at(1), bare).signature == verdict(MOUNT, other, at(1), bare).signature != ""


def test_a_pod_of_unknown_age_is_no_reason_to_wait() -> None:
    seen = Observation(key=POD_KEY, uid="u", fingerprint=1, created_at=None, facts=with_(WAITS, scheduled_at=None))
    found = judge(seen, beside(), T0)
    assert said(found) == NOT_MOUNTED
    assert found.recheck_at is None


def test_a_mount_of_unknown_age_is_compared_with_nothing() -> None:
    undated = with_(MOUNTED, written_at=None, objects=(MountedObject(id="db", version="1"),))
    changed = {**SERVED, CLASS: with_(CLASS_FACTS, objects=("other",), spec_written_at=at(1)), POD_KEY: RUNNING}
    assert said(verdict(MOUNT, undated, at(2), beside(related=changed, siblings=(undated, MOUNTED)))) == {}
