"""What the tests of the collector share: targets for simulated clusters, and objects to fill them with."""

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from clusters.collector import Reader
from clusters.observations import KindResult, Outcome, ReadCursor, Snapshot, Target
from demo.apiserver import Cluster
from demo.apiserver.tls import make_identity, server_context

TESTDATA = Path(__file__).parent.parent / "testdata"
LOOPBACK = ("127.0.0.0/8",)
_ids = count(1)


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


class Answering(NamedTuple):
    """A TLS server that is no API server."""

    url: str
    ca_pem: str
    token: str


@contextmanager
def answering(answer: bytes) -> Iterator[Answering]:
    """A server that answers every request with exactly these bytes and then closes the connection."""
    identity = make_identity("odd")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    connections: list[asyncio.StreamWriter] = []

    async def answer_one(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        connections.append(outgoing)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await incoming.readuntil(b"\r\n\r\n")
            outgoing.write(answer)
            await outgoing.drain()
        outgoing.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(answer_one, "127.0.0.1", 0, ssl=server_context(identity))

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for connection in connections:
            connection.transport.abort()
        await server.wait_closed()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield Answering(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", identity.ca_pem, "token")
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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
