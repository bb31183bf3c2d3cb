"""What the tests of the collector share: a reader, simulated clusters as its targets, objects to fill them with."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from clusters.collector import Reader
from clusters.observations import KindResult, Outcome, ReadCursor, Snapshot, Target
from demo.apiserver import Cluster, Fleet, running

TESTDATA = Path(__file__).parent.parent / "testdata"
LOOPBACK = ("127.0.0.0/8",)
_ids = count(1)


@contextmanager
def local_reader() -> Iterator[Reader]:
    """A reader that may dial this machine."""
    with closing(Reader(LOOPBACK)) as reader:
        yield reader


@contextmanager
def simulated_cluster() -> Iterator[Cluster]:
    """An empty cluster that listens."""
    fleet = Fleet()
    cluster = fleet.add("one")
    with running(fleet):
        yield cluster


def target_of(cluster: Any, cursors: Mapping[str, ReadCursor] | None = None, **changes: Any) -> Target:
    """A target with an id of its own, so that no test finds what another taught the reader."""
    values: dict[str, Any] = {
        "cluster_id": next(_ids),
        "name": "test",
        "api_url": cluster.url,
        "ca_pem": cluster.ca_pem,
        "token": cluster.token,
        "cursors": cursors or {},
        "deadline": 60.0,
    }
    return Target(**{**values, **changes})


def read(reader: Reader, target: Target) -> Snapshot:
    (snapshot,) = reader.read([target])
    return snapshot


def case_objects(case: str) -> list[dict[str, Any]]:
    """What was recorded in `family/case`, without Events and Secrets."""
    return _items(TESTDATA / case / "objects.json")


def load_case(cluster: Cluster, case: str) -> None:
    """Fill a simulated cluster with what was recorded in `family/case`."""
    folder = TESTDATA / case
    cluster.load(json.loads((folder / "objects.json").read_text()))
    cluster.load([_typed(item, "Event") for item in _items(folder / "events.json")])
    cluster.load([_typed(item, "Secret") for item in _items(folder / "secrets.json")])
    certificates = folder / "certs.json"
    if certificates.exists():
        served = next(entry for entry in json.loads(certificates.read_text()) if entry["served"])
        cluster.certificates["kube-system/sealed-secrets-controller"] = served["pem"]


def _items(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text())["items"] or []


def _typed(item: dict[str, Any], kind: str) -> dict[str, Any]:
    return {**item, "kind": kind, "apiVersion": "v1"}


def external_secret(name: str, namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"refreshInterval": "1h", "secretStoreRef": {"name": "vault"}, "data": []},
    }


def cursors_of(snapshot: Snapshot) -> dict[str, ReadCursor]:
    """What a recorder would know after `snapshot`."""
    return {kind: ReadCursor(known=_known(result)) for kind, result in snapshot.kinds.items()}


def _known(result: KindResult) -> frozenset[int]:
    observed = {observation.fingerprint for observation in result.observations}
    return result.unchanged | observed | {event.fingerprint for event in result.events}


def outcomes(snapshot: Snapshot) -> dict[str, Outcome]:
    return {kind: result.outcome for kind, result in snapshot.kinds.items()}


def names(result: KindResult) -> list[str]:
    return sorted(observation.key.name for observation in result.observations)


def kinds_with(snapshot: Snapshot, wanted: Outcome) -> set[str]:
    return {kind for kind, outcome in outcomes(snapshot).items() if outcome == wanted}


def requests(cluster: Cluster, part: str) -> list[str]:
    """Paths asked for that contain `part`, in their order."""
    asked: Iterable[tuple[str, str]] = list(cluster.requests)
    return [path for _, path in asked if part in path]
