"""The recorded clusters that hold one secret, through the whole way: values are told apart with T2, and not without."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml

from clusters.facts import ResourceKey
from demo.apiserver import Fleet, running
from demo.apiserver.fleet import Cluster as SimulatedCluster
from monitoring import queries
from monitoring.drift import Values
from monitoring.filters import DriftFilters
from monitoring.models import Resource
from tests.integration.test_recorded_cases import hold
from tests.integration.whole_way import collect, register
from tests.recorded import CASES

pytestmark = pytest.mark.django_db

NAMES = ("cluster-a", "cluster-b")
ALL = DriftFilters(only="all", kinds=("ExternalSecret",))


@pytest.fixture(scope="module")
def fleet() -> Iterator[dict[str, SimulatedCluster]]:
    fleet = Fleet()
    clusters = {name: fleet.add(name) for name in NAMES}
    with running(fleet):
        yield clusters


def compare(fleet: dict[str, SimulatedCluster], case: str, without_secrets: tuple[str, ...]) -> queries.DriftRow:
    """Read both clusters of a case; return its subject as it is compared."""
    told: dict[str, Any] = yaml.safe_load((CASES / "external_secrets" / case / "case.yaml").read_text())
    now = told["captured_at"]
    for name, simulated in fleet.items():
        hold(simulated, CASES / "external_secrets" / case / name, now - now)
        (simulated.deny if name in without_secrets else simulated.allow)("secrets")
        simulated.clock = lambda: now
        cluster = register(name, url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token, now=now)
        collect(cluster, now=now)
    (row,) = queries.drift(ALL, now).rows
    assert row.key == ResourceKey(**told["subject"])
    assert queries.drift_of(row.key, DriftFilters(), now) == row
    return row


@pytest.mark.parametrize(
    ("case", "without_secrets", "verdict"),
    [
        ("two-clusters-equal", (), Values.EQUAL),
        ("two-clusters-differ", (), Values.DIFFER),
        ("two-clusters-equal", NAMES, Values.UNKNOWN),
        ("two-clusters-differ", NAMES, Values.UNKNOWN),
        ("two-clusters-equal", NAMES[1:], Values.UNKNOWN),
        ("two-clusters-differ", NAMES[:1], Values.UNKNOWN),
    ],
)
def test_values_of_two_recorded_clusters(
    fleet: dict[str, SimulatedCluster], settings: Any, case: str, without_secrets: tuple[str, ...], verdict: Values
) -> None:
    settings.TAG_KEY = b"0123456789abcdef" * 2
    row = compare(fleet, case, without_secrets)
    assert row.values is not None
    assert row.values.verdict is verdict
    assert row.values.unknown == without_secrets
    assert not row.specs
    assert row.differs == (verdict is Values.DIFFER)


def test_without_a_key_for_tags_nothing_is_said_of_values(fleet: dict[str, SimulatedCluster], settings: Any) -> None:
    settings.TAG_KEY = b""
    row = compare(fleet, "two-clusters-equal", ())
    assert row.values is not None
    assert row.values.verdict is Values.UNKNOWN


NAMESPACE = "es-two-clusters-equal"


def moved(store: dict[str, Any], _: dict[str, Any], __: dict[str, Any]) -> None:
    store["spec"]["provider"]["vault"]["path"] = "elsewhere"


def rotated(_: dict[str, Any], secret: dict[str, Any], __: dict[str, Any]) -> None:
    secret["metadata"]["annotations"]["reconcile.external-secrets.io/data-hash"] = "0" * 56


def refreshed(_: dict[str, Any], __: dict[str, Any], resource: dict[str, Any]) -> None:
    resource["status"]["refreshTime"] = "2026-11-24T05:21:19Z"
    resource["status"]["conditions"][0]["message"] = "secret synced once more"


def failed(store: dict[str, Any], _: dict[str, Any], resource: dict[str, Any]) -> None:
    resource["status"]["conditions"][0] |= {"status": "False", "reason": "SecretSyncedError", "message": "denied"}
    store["status"]["conditions"][0] |= {"status": "False", "reason": "InvalidProviderConfig"}


def labelled(*objects: dict[str, Any]) -> None:
    for found in objects:
        found["metadata"]["labels"] = {**found["metadata"].get("labels", {}), "team": "shop"}


@pytest.mark.parametrize(
    ("change", "moves"), [(moved, True), (rotated, True), (refreshed, False), (failed, False), (labelled, False)]
)
def test_the_digest_moves_with_what_is_compared_and_with_nothing_else(
    fleet: dict[str, SimulatedCluster], settings: Any, change: Callable[..., None], moves: bool
) -> None:
    """The ExternalSecret itself does not change where its store or its Secret does."""
    settings.TAG_KEY = b"0123456789abcdef" * 2
    simulated = fleet["cluster-a"]
    simulated.allow("secrets")
    case = CASES / "external_secrets" / "two-clusters-equal"
    now: datetime = yaml.safe_load((case / "case.yaml").read_text())["captured_at"]
    hold(simulated, case / "cluster-a", now - now)
    store = held(simulated, "SecretStore", "store")
    store["spec"]["provider"] = {"vault": {"server": "https://vault.example", "path": "kv", "auth": {}}}
    simulated.put(store)
    cluster = register("cluster-a", url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token, now=now)

    def digest(at: datetime) -> int:
        simulated.clock = lambda: at
        collect(cluster, now=at)
        return Resource.objects.get(cluster=cluster, kind="ExternalSecret").drift_digest

    before = digest(now)
    objects = (store, held(simulated, "Secret", "db"), held(simulated, "ExternalSecret", "db"))
    as_they_were = deepcopy(objects)
    change(*objects)
    for found, was in zip(objects, as_they_were, strict=True):
        if found != was:
            simulated.put(found)
    assert before != 0
    assert (digest(now + timedelta(minutes=1)) != before) is moves


def held(simulated: SimulatedCluster, kind: str, name: str) -> dict[str, Any]:
    found = deepcopy(simulated.get(kind, NAMESPACE, name))
    assert found is not None
    found["metadata"].pop("resourceVersion", None)
    return found
