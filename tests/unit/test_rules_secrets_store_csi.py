"""Mounts: each rule where it speaks, and right beside it where it must not."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.facts import ClassFacts, MountedObject, MountFacts, NodeFacts, ResourceKey
from monitoring.health import Health
from monitoring.rules.base import Context
from tests.unit.rule_subjects import CLASS, T0, WELL, Case, at, context, driver, event, said, verdict, with_

KIND = "SecretProviderClassPodStatus"
NODE = ResourceKey("CSINode", "", "node-1")
ON = driver(enable_secret_rotation="true")
GRACE = timedelta(minutes=2, seconds=90 + 60)
OUTDATED = {"csi-outdated-version": Health.STALE}
FAILED_ROTATION = (event("MountRotationFailed", at(minutes=30)),)


def mount(version: str, changed_at: datetime, name: str = "db") -> MountFacts:
    return MountFacts(
        generation=1,
        pod="app-1",
        pod_uid="p",
        node="node-1",
        class_name="app",
        objects=(MountedObject(id=name, version=version, changed_at=changed_at),),
        written_at=changed_at,
    )


def among(*mounts: MountFacts, **parts: Any) -> Context:
    return context(**{"related": WELL.related, "siblings": mounts, "supporting": ON, **parts})


def of_class(**facts: Any) -> Context:
    return among(related={CLASS: ClassFacts(**facts)})


def on_node(*drivers: str) -> Context:
    return among(related={**WELL.related, NODE: NodeFacts(drivers=drivers)})


OLD, NEW, BACK = mount("1", T0), mount("2", at(1)), mount("1", at(2))

MOUNTS = [
    Case("alone", KIND, OLD, at(900), {}, among(OLD)),
    Case("all equal", KIND, OLD, at(900), {}, among(OLD, OLD)),
    Case("others moved on, within grace", KIND, OLD, at(1) + GRACE - timedelta(seconds=1), {}, among(OLD, NEW)),
    Case("outdated", KIND, OLD, at(1) + GRACE, OUTDATED, among(OLD, NEW)),
    Case("grace from the first that moved", KIND, OLD, at(1) + GRACE, OUTDATED, among(OLD, NEW, mount("2", at(3)))),
    Case("the one that moved", KIND, NEW, at(900), {}, among(OLD, NEW)),
    Case("rolled back: followed twice", KIND, BACK, at(900), {}, among(BACK, NEW)),
    Case("rolled back: did not follow", KIND, NEW, at(900), OUTDATED, among(BACK, NEW)),
    Case("rolled back: never moved", KIND, OLD, at(900), {}, among(OLD, BACK, NEW)),
    Case("both in one second: no order is known", KIND, OLD, at(900), {}, among(mount("2", T0), OLD)),
    Case("another object", KIND, OLD, at(900), {}, among(OLD, mount("2", at(1), "mail"))),
    Case("each pod has its own", KIND, OLD, at(900), {}, among(OLD, NEW, mount("3", at(2)))),
    Case(
        "long poll interval",
        KIND,
        OLD,
        at(1, minutes=30),
        {},
        among(OLD, NEW, supporting=driver(enable_secret_rotation="true", rotation_poll_interval="1h")),
    ),
    Case(
        "rotation off needs no grace",
        KIND,
        OLD,
        at(1),
        {**OUTDATED, "csi-rotation-off": Health.HEALTHY},
        among(OLD, NEW, supporting=driver()),
    ),
    Case("driver unknown", KIND, OLD, at(1) + GRACE, OUTDATED, among(OLD, NEW, supporting={})),
    Case(
        "1.6 without republish",
        KIND,
        OLD,
        T0,
        {"csi-rotation-misconfigured": Health.AT_RISK},
        among(OLD, supporting=driver(republish=None, enable_secret_rotation="true")),
    ),
    Case(
        "1.5 needs no republish",
        KIND,
        OLD,
        T0,
        {},
        among(OLD, supporting=driver("v1.5.6", None, enable_secret_rotation="true")),
    ),
    Case(
        "changes all the time",
        KIND,
        with_(OLD, generation=6, written_at=at(1)),
        at(900),
        {"csi-unstable-version": Health.HEALTHY},
        among(OLD, NEW),
    ),
    Case("changes once a day", KIND, with_(OLD, generation=6, written_at=at(120)), at(900), OUTDATED, among(OLD, NEW)),
    Case("failed", KIND, OLD, at(1), {"csi-rotation-failed": Health.FAILING}, among(OLD, events=FAILED_ROTATION)),
    Case("failed an hour ago", KIND, OLD, at(1, minutes=30), {}, among(OLD, events=FAILED_ROTATION)),
    Case("rotated since", KIND, NEW, at(1), {}, among(NEW, events=FAILED_ROTATION)),
    Case("class gone", KIND, OLD, T0, {"csi-class-missing": Health.AT_RISK}, among(OLD, related={})),
    Case("classes not readable", KIND, OLD, T0, {}, among(OLD, related={}, readable=frozenset())),
    Case(
        "class asks for more",
        KIND,
        OLD,
        at(2),
        {"csi-class-newer": Health.STALE},
        of_class(objects=("db", "mail"), spec_written_at=at(1)),
    ),
    Case("it asked before", KIND, NEW, at(2), {}, of_class(objects=("db", "mail"), spec_written_at=at(1))),
    Case(
        "AWS mounts aliases",
        KIND,
        OLD,
        at(2),
        {},
        of_class(provider="aws", objects=("arn:of:db",), spec_written_at=at(1)),
    ),
    Case(
        "AWS mounts too few",
        KIND,
        OLD,
        at(2),
        {"csi-class-newer": Health.STALE},
        of_class(provider="aws", objects=("arn:of:db", "mail"), spec_written_at=at(1)),
    ),
    Case("driver gone", KIND, OLD, T0, {"csi-driver-missing": Health.AT_RISK}, on_node("ebs.csi.aws.com")),
    Case("driver there", KIND, OLD, T0, {}, on_node("secrets-store.csi.k8s.io")),
]


@pytest.mark.parametrize("case", MOUNTS, ids=lambda case: case.title)
def test_rule(case: Case) -> None:
    assert said(verdict(case.kind, case.facts, case.now, case.beside)) == case.expected


@pytest.mark.parametrize(
    ("mounted", "declared"),
    [
        ("secret/db-password", "db-password"),
        ("secret/api-token/2", "api-token"),
        ("prod_shop_db", "prod/shop/db"),
        ("projects/p/secrets/db/versions/latest", "projects/p/secrets/db/versions/latest"),
    ],
)
def test_ids_are_matched_with_the_names_that_the_class_asks_for(mounted: str, declared: str) -> None:
    facts = mount("1", T0, mounted)
    assert said(verdict(KIND, facts, at(5), of_class(objects=(declared,), spec_written_at=at(1)))) == {}


def test_where_rotation_is_off_all_outdated_mounts_of_a_cluster_are_one_cause() -> None:
    mail = mount("1", T0, "mail")
    both = (OLD, NEW, mail, mount("2", at(1), "mail"))

    def signatures(rotation: str) -> set[str]:
        seen = among(*both, supporting=driver(enable_secret_rotation=rotation))
        return {verdict(KIND, facts, at(900), seen).signature for facts in (OLD, mail)}

    assert len(signatures("false")) == 1
    assert len(signatures("true")) == 2
