"""Clusters and the fleet they run in; `running` gives tests the fleet in a thread of its own."""

import asyncio
import base64
import json
import os
import secrets
import socket
import ssl
import threading
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from demo.apiserver import kinds
from demo.apiserver.access import Access
from demo.apiserver.faults import Fault, Faults
from demo.apiserver.http import LARGEST_BODY, Server
from demo.apiserver.kinds import Kind
from demo.apiserver.store import Object, Store
from demo.apiserver.tls import Identity, make_identity, server_context

Clock = Callable[[], datetime]
T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a call from another thread waits for the loop."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Cluster:
    """One simulated API server. Every method may be called from any thread while the fleet runs."""

    def __init__(
        self, fleet: "Fleet", name: str, identity: Identity, token: str, port: int, clock: Clock, revision: int
    ):
        self._fleet = fleet
        self._identity = identity
        self._listener: asyncio.Server | None = None
        self._connections: web.Server | None = None
        self._context: ssl.SSLContext | None = None
        self.name = name
        self.ca_pem = identity.ca_pem
        self.token = token
        self.port = port
        self.clock = clock
        self.requests: deque[tuple[str, str]] = deque(maxlen=10_000)
        self.certificates: dict[str, str] = {}
        self.store = Store(lambda: self.clock(), revision)
        self.access = Access(token)
        self.faults = Faults(lambda fault: fleet.run(self._apply(fault)))
        for kind in kinds.ALL:
            self.store.install(kind)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def load(self, objects: Iterable[Object] | Object) -> None:
        """Put many objects, or the items of a v1 List, in their order."""
        if isinstance(objects, dict):
            objects = objects.get("items") or []
        items = list(objects)
        self._fleet.call(lambda: self._put_all(items))

    def _put_all(self, items: list[Object]) -> None:
        for obj in items:
            self._put(obj)

    def put(self, obj: Object) -> None:
        """Create or replace one object as it stands, status and given metadata included."""
        self._fleet.call(lambda: self._put(obj))

    def _put(self, obj: Object) -> None:
        group = obj["apiVersion"].rpartition("/")[0]
        table = self.store.table_of(obj["kind"], group)
        now = f"{self.store.now():%Y-%m-%dT%H:%M:%SZ}"
        defaults: Object = {"uid": str(uuid.uuid4()), "creationTimestamp": now}
        if table.kind.generation:
            defaults["generation"] = 1
        known = table.objects.get((obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        if known is not None:
            defaults |= {name: value for name, value in known.obj["metadata"].items() if name in defaults}
        self.store.write(table, obj | {"metadata": defaults | obj["metadata"]})

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete one object at once, finalizers or not. Cluster-scoped kinds have the namespace ""."""
        self._fleet.call(lambda: self.store.delete(self.store.table_of(kind), (namespace, name)))

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        stored = self.store.table_of(kind).objects.get((namespace, name))
        return None if stored is None else stored.obj

    def install(self, what: str | Kind, versions: Sequence[str] = ()) -> None:
        """Serve a family, a kind by name or a `Kind`; `versions` other than upstream's, best first."""
        for kind in _kinds(what):
            chosen = replace(kind, versions=tuple(versions)) if versions else kind
            self._fleet.call(lambda chosen=chosen: self.store.install(chosen))  # type: ignore[misc]

    def uninstall(self, what: str | Kind) -> None:
        """Stop serving it; its objects are gone, as with a deleted CustomResourceDefinition."""
        for kind in _kinds(what):
            self._fleet.call(lambda kind=kind: self.store.uninstall(kind))  # type: ignore[misc]

    def deny(self, resource: str = "*", verb: str = "*") -> None:
        """403 for this plural (`services/proxy` for the proxy) and verb from now on."""
        self._fleet.call(lambda: self.access.denied.add((resource, verb)))

    def allow(self, resource: str = "*", verb: str = "*") -> None:
        """Take back the same `deny`."""
        self._fleet.call(lambda: self.access.denied.discard((resource, verb)))

    def compact(self) -> None:
        """Forget history: older versions and continue tokens answer 410."""
        self._fleet.call(self.store.compact)

    async def start(self) -> None:
        self._context = server_context(self._identity)
        server = Server(self.store, self.access, self.faults, self.certificates, self.requests)
        self._connections = web.Server(
            server.handle,
            request_factory=_request,
            access_log=None,
            keepalive_timeout=3600,
            handler_cancellation=True,
        )
        if self.faults.current is None or self.faults.current.name != "refuse":
            await self._listen()

    async def stop(self) -> None:
        self.faults.replace(None)
        self._close()
        if self._connections is not None:
            await self._connections.shutdown(0)
            while self._connections.connections:
                await asyncio.sleep(0)  # an aborted connection is gone one turn of the loop later

    async def _listen(self) -> None:
        assert self._connections is not None
        if self._listener is not None:
            return
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", self.port))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"port {self.port} of cluster {self.name} is taken") from error
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connections, sock=sock, ssl=self._context, backlog=512)

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections.connections) if self._connections else []:
            transport = connection.transport
            connection.force_close()
            if transport is not None:
                transport.abort()  # a polite TLS shutdown would wait for the client's answer

    async def _apply(self, fault: Fault | None) -> None:
        self.faults.replace(fault)
        if self._connections is None:
            return
        if fault is not None and fault.name == "refuse":
            self._close()
        else:
            await self._listen()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """aiohttp's own limit of 1 MiB is below what an API server takes."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=2 * LARGEST_BODY)


def _kinds(what: str | Kind) -> Sequence[Kind]:
    if isinstance(what, Kind):
        return [what]
    if what in kinds.FAMILIES:
        return kinds.FAMILIES[what]
    found = [kind for kind in kinds.ALL if what in (kind.kind, kind.plural)]
    if not found:
        raise ValueError(f"neither a family nor a kind: {what}")
    return found


class Fleet:
    """Clusters in one process. With a `directory`, CAs, tokens and ports are the same at the next start."""

    def __init__(self, directory: Path | str | None = None):
        self.directory = Path(directory) if directory is not None else None
        self.clusters: dict[str, Cluster] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, *, port: int = 0, clock: Clock = utc_now, revision: int = 1) -> Cluster:
        """A new cluster with all families installed. `port` 0: the port of last time, or a free one.

        `revision` is where its resource versions begin. To be called before the fleet starts.
        """
        known = self._known(name)
        identity = Identity(**known["identity"]) if known else make_identity(name)
        token = known["token"] if known else secrets.token_urlsafe(32)
        cluster = Cluster(self, name, identity, token, port or known.get("port", 0), clock, revision)
        self.clusters[name] = cluster
        return cluster

    def _known(self, name: str) -> dict[str, Any]:
        if self.directory is None or not (file := self.directory / f"{name}.json").exists():
            return {}
        known: dict[str, Any] = json.loads(file.read_text())
        return known

    def _remember(self, cluster: Cluster) -> None:
        if self.directory is None:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = cluster._identity
        known = {
            "port": cluster.port,
            "token": cluster.token,
            "identity": {
                "ca_pem": identity.ca_pem,
                "certificate_pem": identity.certificate_pem,
                "key_pem": identity.key_pem,
            },
        }
        write_private(self.directory / f"{cluster.name}.json", json.dumps(known))

    async def start(self) -> None:
        """Listen with every cluster, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        for cluster in self.clusters.values():
            await cluster.start()
            self._remember(cluster)

    async def stop(self) -> None:
        for cluster in self.clusters.values():
            await cluster.stop()
        self._loop = None

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` where the clusters live: in the loop's thread, or here when the fleet does not run."""
        if self._loop is None or threading.get_ident() == self._thread:
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end in the loop. Called inside the loop's thread it is only begun."""
        if self._loop is None:
            asyncio.run(work)
        elif threading.get_ident() != self._thread:
            asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
        else:
            task = self._loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig with one context per cluster; CA data and tokens are inline."""
        names = list(self.clusters)
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "current-context": names[0] if names else "",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": cluster.url,
                        "certificate-authority-data": base64.b64encode(cluster.ca_pem.encode()).decode(),
                    },
                }
                for name, cluster in self.clusters.items()
            ],
            "users": [{"name": name, "user": {"token": cluster.token}} for name, cluster in self.clusters.items()],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        }


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read (mode 600), from its first byte on; replaces it whole."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


@contextmanager
def running(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet in a thread with its own loop, until the block ends."""
    loop = asyncio.new_event_loop()
    ready: Future[None] = Future()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(ready.set_result, None)
        loop.run_forever()

    thread = threading.Thread(target=serve, name="demo-fleet", daemon=True)
    thread.start()
    ready.result(PATIENCE)
    try:
        asyncio.run_coroutine_threadsafe(fleet.start(), loop).result(PATIENCE)
        yield fleet
    finally:
        asyncio.run_coroutine_threadsafe(_finish(fleet), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


async def _finish(fleet: Fleet) -> None:
    """Stop, then cancel what still streams, so that no task outlives its loop."""
    await fleet.stop()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
