"""The recorded cases through the whole way, step by step: exactly the rotations that each lists, no more and no less.

Times are as recorded. Every case is read at tier T2 and at T0, with each capture read twice, and with captures missing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.models import Cluster
from demo.apiserver import Fleet, running
from demo.apiserver.fleet import Cluster as SimulatedCluster
from monitoring.models import Resource, Rotation
from monitoring.queries.rotations import reached
from tests.integration.test_recorded_cases import hold
from tests.integration.whole_way import collect, register
from tests.recorded import CASES, FAMILIES

pytestmark = pytest.mark.django_db

NEAR = timedelta(seconds=2)
TIERS = ("with_secret_metadata", "with_events_alone")
SECRETS = {"Secret", "SealingKey"}
Told = list[tuple[datetime, str]]


@dataclass(frozen=True)
class Step:
    """One capture, in the order in which a poller sees it; `ledger` is what must be told once it was read."""

    cluster: str
    folder: Path
    captured_at: datetime
    ledger: dict[str, Any]


@dataclass(frozen=True)
class Case:
    name: str
    steps: tuple[Step, ...]
    ledger: dict[str, Any]
    accepted: dict[str, Any]

    def __str__(self) -> str:
        return self.name

    def told(self, tier: str, steps: tuple[Step, ...]) -> list[Told]:
        """What may be told of these steps: rotations after the first of them and before the last.

        One that another followed before the next reading leaves its Event alone.
        """
        lists = [self.ledger] + ([self.accepted] if self.accepted and tier == "with_events_alone" else [])
        return [
            [
                (row["at"], self._confidence(row, tier, steps, rows["rotations"][number + 1 :]))
                for number, row in enumerate(rows["rotations"])
                if steps[0].captured_at < row["at"] <= steps[-1].captured_at
            ]
            for rows in lists
        ]

    def _confidence(self, row: dict[str, Any], tier: str, steps: tuple[Step, ...], later: list[dict[str, Any]]) -> str:
        if isinstance(row["confidence"], str):
            return row["confidence"]
        is_read = any(row["at"] <= s.captured_at and all(s.captured_at < other["at"] for other in later) for s in steps)
        return str(row["confidence"][tier if is_read else "with_events_alone"])


def case_of(path: Path) -> Case:
    case = yaml.safe_load(path.read_text())
    captures = case.get("captures") or [{**case, "folder": "."}]
    steps = tuple(
        Step(
            cluster=capture.get("cluster") or next((p for p in capture["folder"].split("/") if "cluster" in p), "one"),
            folder=path.parent / capture["folder"],
            captured_at=capture["captured_at"],
            ledger=capture.get("ledger") or {},
        )
        for capture in captures
    )
    return Case(
        name=str(path.parent.relative_to(CASES)),
        steps=steps,
        ledger=case.get("ledger", {}),
        accepted=case.get("accept_with_events_alone", {}),
    )


ALL = [case_of(path) for family in FAMILIES for path in sorted((CASES / family).glob("*/case.yaml"))]
LISTED = [case for case in ALL if case.ledger]
BY_STEP = [case for case in ALL if any(step.ledger for step in case.steps)]
# What no case says, from what its facts tell: a key was renewed, two SealedSecrets were sealed anew.
RENEWED = next(case for case in ALL if case.name == "sealed_secrets/key-renewed-then-resealed")
REBUILT = "sealed_secrets/rebuilt-cluster"  # its old keys are gone, and the new one is told as a renewal
NOTHING = [case for case in ALL if case not in (*LISTED, *BY_STEP, RENEWED) and case.name != REBUILT]


@pytest.fixture(scope="module")
def fleet() -> Iterator[dict[str, SimulatedCluster]]:
    fleet = Fleet()
    clusters = {name: fleet.add(name) for name in sorted({step.cluster for case in ALL for step in case.steps})}
    with running(fleet):
        yield clusters


class Poller:
    """Reads captures as a worker does, one after the other, each of them some times."""

    def __init__(self, fleet: dict[str, SimulatedCluster], settings: Any) -> None:
        settings.TAG_KEY = b"0123456789abcdef" * 2
        self._fleet = fleet
        self._clusters: dict[str, Cluster] = {}

    def begin(self) -> None:
        Cluster.objects.all().delete()
        self._clusters = {}

    def read(self, step: Step, tier: str, times: int = 1) -> None:
        simulated = self._fleet[step.cluster]
        if step.cluster not in self._clusters:
            self._clusters[step.cluster] = register(
                step.cluster, url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token
            )
        (simulated.deny if tier == "with_events_alone" else simulated.allow)("secrets")
        hold(simulated, step.folder, timedelta(0))
        for number in range(times):
            at = step.captured_at + timedelta(seconds=number)
            simulated.clock = lambda at=at: at  # type: ignore[misc]
            (collection,) = collect(self._clusters[step.cluster], now=at)
            assert not collection.message
            assert set(collection.kinds) <= {"SealingCertificate", *SECRETS}


@pytest.fixture
def poller(fleet: dict[str, SimulatedCluster], settings: Any) -> Poller:
    return Poller(fleet, settings)


def told() -> Told:
    rows = Rotation.objects.order_by("at", "id")
    return [(row.at, Rotation.Confidence(row.confidence).name.lower()) for row in rows]


def hashes(case: Case) -> set[str]:
    """The beginnings of External Secrets' own hashes, which must not be told."""
    lists = [json.loads((step.folder / "secrets.json").read_text()) for step in case.steps]
    annotations = [secret["metadata"].get("annotations") or {} for found in lists for secret in found["items"] or []]
    found = {text["reconcile.external-secrets.io/data-hash"][:8] for text in annotations if len(text)}
    assert found
    return found


def is_near(found: Told, right: Told) -> bool:
    return len(found) == len(right) and all(
        abs(at - right_at) <= NEAR and confidence == right_confidence
        for (at, confidence), (right_at, right_confidence) in zip(found, right, strict=True)
    )


def subsets(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """The steps, and what is left of them when some are missed."""
    return [kept for count in range(1, len(steps) + 1) for kept in combinations(steps, count)]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("case", LISTED, ids=str)
def test_a_case_tells_what_its_ledger_lists(case: Case, tier: str, times: int, poller: Poller) -> None:
    for steps in subsets(case.steps):
        poller.begin()
        for step in steps:
            poller.read(step, tier, times)
        assert not any(hashed in str(list(Rotation.objects.values())) for hashed in hashes(case))
        right = case.told(tier, steps)
        assert any(is_near(told(), rows) for rows in right), (told(), right, [step.folder.name for step in steps])


@pytest.mark.parametrize("tier", TIERS)
def test_a_worker_that_starts_anew_before_each_reading_tells_the_same(tier: str, poller: Poller, settings: Any) -> None:
    case = next(case for case in LISTED if case.name == "external_secrets/rotation")
    for number, step in enumerate(case.steps):
        # What a reader remembers of clusters belongs to one dial policy: with another it knows nothing.
        settings.DIAL_ALLOWED_NETWORKS = ["127.0.0.0/8", f"127.0.{number}.0/24"]
        poller.read(step, tier)
    (right,) = case.told(tier, case.steps)
    assert is_near(told(), right), told()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("case", BY_STEP, ids=str)
def test_mounts_tell_of_one_rotation_and_arrive(case: Case, times: int, poller: Poller) -> None:
    for step in case.steps:
        poller.read(step, "with_secret_metadata", times)
        rows = list(Rotation.objects.order_by("at"))
        if "rotations_at_most" in step.ledger:
            assert len(rows) <= step.ledger["rotations_at_most"]
        elif step.ledger:
            assert len(rows) == step.ledger["rotations"]
            assert {Rotation.Confidence(row.confidence).name.lower() for row in rows} == {step.ledger["certainty"]}
            (so_far,) = reached([row.pk for row in rows], step.captured_at).values()
            assert f"{so_far.mounts} of {so_far.of}" == step.ledger["reached"]
        else:
            assert rows == []


def test_a_rotation_that_we_missed_is_told_once_by_the_mounts_that_have_it(poller: Poller) -> None:
    case = next(case for case in BY_STEP if case.name.endswith("rotation-reached-all"))
    for step in (case.steps[0], case.steps[2]):
        poller.read(step, "with_secret_metadata")
    row = Rotation.objects.get()
    assert (row.kind, row.name, row.object) == ("SecretProviderClass", "shop", "secret/db-password")
    assert f"{row.at:%H:%M:%S}" == "04:25:52"
    assert (row.before, row.after) == ("cbc66753b9c4a2aa8a3d12b3f2fe3d19", "61681fc3ec558e6822877596f66f5ec9")
    assert Resource.objects.get(kind="SecretProviderClass", name="shop").rotated_at == row.at


@pytest.mark.parametrize("tier", TIERS)
def test_a_renewed_key_and_what_was_sealed_anew_are_told(tier: str, poller: Poller) -> None:
    for steps in subsets(RENEWED.steps):
        poller.begin()
        for step in steps:
            poller.read(step, tier, times=2)
        numbers = [RENEWED.steps.index(step) for step in steps]
        is_renewed = 0 in numbers and len(numbers) > 1
        is_resealed = numbers[-1] == 2 and len(numbers) > 1
        rows = list(Rotation.objects.order_by("kind", "name"))
        names = [(row.kind, row.name, row.confidence) for row in rows]
        key = "sealed-secrets-key6nhkp" if tier == "with_secret_metadata" else ""
        right = [("SealedSecret", name, 1) for name in ("db", "web")] if is_resealed else []
        assert names == right + ([("SealingKey", key, 3)] if is_renewed else [])
        assert all(row.after == "d6079c97" for row in rows if row.kind == "SealingKey")
        assert all(row.before and row.before != row.after for row in rows if row.kind == "SealedSecret")


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("case", NOTHING, ids=str)
def test_other_cases_tell_of_nothing(case: Case, tier: str, poller: Poller) -> None:
    for step in case.steps:
        poller.read(step, tier, times=2)
    assert told() == []
