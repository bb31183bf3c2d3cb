"""Read many clusters at once: one event loop in a background thread, one deadline and one outcome per cluster.

Whatever goes wrong with one cluster, our own mistakes included, becomes its Snapshot's problem and never leaves here.
"""

import asyncio
import atexit
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from clusters import certificates, discovery, listing
from clusters.connection import Connection, ReadFailed, Transport
from clusters.dial import Allowed, Policy, policy
from clusters.kinds import BY_NAME, JUDGED_KINDS, WATCHED_KINDS, WatchedKind, events
from clusters.kinds.sealed_secrets import DEFAULT_CONTROLLER
from clusters.observations import Failure, KindResult, Observation, Outcome, Problem, ReadCursor, Snapshot, Target

logger = logging.getLogger(__name__)

# Requests to one cluster at a time. More would crowd out others at its API server, and 50 clusters times three pages
# of 1.5 MB are 225 MB of our memory at worst.
PARALLEL_REQUESTS = 3
# A name that does not resolve holds a thread for many seconds; it must not keep the other clusters waiting.
_RESOLVER_THREADS = 64
# API servers accept objects nested 10,000 deep, and msgspec needs a level of recursion for each: without this, one
# object that any tenant may write would hide all others of its kind.
_RECURSION_LIMIT, _STACK_BYTES = 12_000, 64 * 1024 * 1024
# Beyond the deadlines themselves: until then every snapshot has come, or the loop is broken.
_GRACE_SECONDS = 60

_OF_THE_CLUSTER = (Failure.DIAL_REFUSED, Failure.TLS, Failure.UNAUTHORIZED, Failure.CREDENTIAL)
_OPERATORS = BY_NAME["Deployment"]

T = TypeVar("T")


def read_shard(targets: Sequence[Target], allowed_networks: Allowed = ()) -> Iterator[Snapshot]:
    """Yield one Snapshot per target, each as soon as it is there: what hangs comes last.

    `allowed_networks` are exempt from the dial policy's floor (clusters.dial). The loop, its connections and what it
    remembers of clusters live as long as the process.
    """
    yield from _reader_of_this_process(policy(allowed_networks)).read(targets)


class Reader:
    """An event loop in a thread of its own that reads clusters. `read_shard` has one per process."""

    def __init__(self, allowed_networks: Allowed = ()) -> None:
        self._memory = discovery.Memory()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="cluster-resolver"))
        self._thread = _start_with_deep_stack(self._loop.run_forever, "cluster-reader")
        self._transport = self._run(_open(policy(allowed_networks)))

    def read(self, targets: Sequence[Target]) -> Generator[Snapshot, None, None]:
        """See `read_shard`. Closing the generator early cancels what is still being read."""
        arrived: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
        patience = max((target.deadline for target in targets), default=0) + _GRACE_SECONDS
        reading = asyncio.run_coroutine_threadsafe(self._read_all(targets, arrived.put), self._loop)
        try:
            for _ in targets:
                yield arrived.get(timeout=patience)
        finally:
            reading.cancel()

    def close(self) -> None:
        self._run(self._transport.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_GRACE_SECONDS)

    async def _read_all(self, targets: Sequence[Target], arrived: Callable[[Snapshot], None]) -> None:
        async def read_one(target: Target) -> None:
            try:
                snapshot = await self._read_cluster(target)
            except Exception as error:
                snapshot = Snapshot(cluster_id=target.cluster_id, problem=_mistake(error, target, ""))
            arrived(snapshot)

        await asyncio.gather(*map(read_one, targets))

    async def _read_cluster(self, target: Target) -> Snapshot:
        connection = Connection(self._transport, target)
        reading = Reading(connection, target, self._memory.of(target.cluster_id, target.api_url))
        began = time.monotonic()
        problem = await reading.run() or reading.whole_problem()
        return Snapshot(
            cluster_id=target.cluster_id,
            kinds={} if problem else reading.results,
            problem=problem,
            server_time=connection.server_time,
            server_time_after=timedelta(seconds=max(0.0, connection.server_time_at - began)),
            server_version=reading.server_version,
            requests=connection.requests,
            bytes_read=connection.bytes_read,
            duration=timedelta(seconds=time.monotonic() - began),
        )


class Reading:
    """The reading of one cluster: which kinds there are, then all of them, as far as the deadline allows."""

    def __init__(self, connection: Connection, target: Target, known: discovery.Knowledge) -> None:
        self._connection = connection
        self._target = target
        self._known = known
        self._slots = asyncio.Semaphore(PARALLEL_REQUESTS)
        self.results: dict[str, KindResult] = {}
        self.server_version = ""

    async def run(self) -> Problem | None:
        """Fill `results`. Return the problem that concerns the cluster as a whole, if one came up on the way."""
        try:
            async with asyncio.timeout(self._target.deadline):
                await self._read()
        except ReadFailed as failed:
            return failed.problem
        except TimeoutError:
            if not self._connection.answers:
                return Problem(failure=Failure.TIMEOUT, message="The API server did not answer before the deadline.")
        return None

    def whole_problem(self) -> Problem | None:
        """The problem of the cluster as a whole, seen from its kinds: rejected everywhere, or nothing read at all."""
        for kind in (*(watched.kind for watched in WATCHED_KINDS), events.EVENT):
            self.results.setdefault(kind, listing.unfinished(kind))
        failed = [result.problem for result in self.results.values() if result.problem and _is_failed(result)]
        rejected = [problem for problem in failed if problem.failure in _OF_THE_CLUSTER]
        was_read = any(result.outcome in (Outcome.COMPLETE, Outcome.FORBIDDEN) for result in self.results.values())
        if rejected or (failed and not was_read):
            return (rejected or failed)[0]
        return None

    async def _read(self) -> None:
        served = await discovery.served_by(self._connection, self._known)
        self.server_version = served.server_version
        reads = [self._guard(_OPERATORS.kind, partial(self._read_operators, served))]
        for watched in WATCHED_KINDS:
            if watched.kind in served.problems:
                self.results[watched.kind] = listing.not_read(watched.kind, served.problems[watched.kind])
            elif watched.kind not in served.versions:
                self.results[watched.kind] = KindResult(kind=watched.kind, outcome=Outcome.NOT_INSTALLED)
            elif watched.listed and watched is not _OPERATORS:
                version = served.versions[watched.kind]
                reads.append(self._guard(watched.kind, partial(self._list, watched, version)))
        reads.append(self._guard(events.EVENT, partial(self._read_events, served)))
        await asyncio.gather(*reads)

    async def _guard(self, kind: str, read: Callable[[], Awaitable[KindResult]]) -> None:
        """Make any failure of one kind that kind's result."""
        try:
            async with self._slots:
                self.results[kind] = await read()
        except ReadFailed as failed:
            self.results[kind] = listing.not_read(kind, failed)
            if failed.status == 404:
                self._known.served = None  # uninstalled since we asked: ask again next time
        except Exception as error:
            problem = _mistake(error, self._target, kind)
            self.results[kind] = KindResult(kind=kind, outcome=Outcome.FAILED, problem=problem)

    async def _list(self, watched: WatchedKind, version: str) -> KindResult:
        namespaces = self._target.secret_namespaces if watched.by_namespace else ()
        cursor = self._cursor(watched.kind)
        return await listing.read_kind(self._connection, watched, version, cursor, namespaces, self._target.tag)

    async def _read_events(self, served: discovery.Served) -> KindResult:
        kinds = [kind for kind in JUDGED_KINDS if kind in served.versions]
        if not kinds:
            return KindResult(kind=events.EVENT, outcome=Outcome.NOT_INSTALLED)
        return await listing.read_events(self._connection, kinds, self._cursor(events.EVENT))

    async def _read_operators(self, served: discovery.Served) -> KindResult:
        """Deployments, and the certificate that the one of Sealed Secrets serves."""
        installed = "SealedSecret" in served.versions
        try:
            # Unchanged ones too: their names are needed.
            operators = await listing.read_kind(self._connection, _OPERATORS, "v1", ReadCursor())
        except ReadFailed as failed:
            await self._guard_certificate(partial(self._read_certificate_blindly, installed, failed))
            raise
        await self._guard_certificate(partial(self._read_certificates, installed, operators.observations))
        return listing.without_known(operators, self._cursor(_OPERATORS.kind))

    async def _guard_certificate(self, read: Callable[[], Awaitable[KindResult]]) -> None:
        try:
            self.results[certificates.KIND] = await read()
        except ReadFailed as failed:
            self.results[certificates.KIND] = listing.not_read(certificates.KIND, failed)

    async def _read_certificates(self, installed: bool, operators: Sequence[Observation]) -> KindResult:
        controllers = certificates.controllers_among(operators)
        if not controllers and not installed:
            return certificates.NONE
        cursor = self._cursor(certificates.KIND)
        if controllers:
            return await certificates.read(self._connection, self._known, controllers, cursor)
        try:
            return await certificates.read(self._connection, self._known, [DEFAULT_CONTROLLER], cursor)
        except ReadFailed as failed:
            if failed.status == certificates.NOT_SERVED:
                return certificates.NONE
            raise

    async def _read_certificate_blindly(self, installed: bool, reason: ReadFailed) -> KindResult:
        """Without a right to see Deployments the usual place is tried; what is not there may be elsewhere."""
        if reason.status != 403 or not installed:
            raise reason
        try:
            cursor = self._cursor(certificates.KIND)
            return await certificates.read(self._connection, self._known, [DEFAULT_CONTROLLER], cursor)
        except ReadFailed as failed:
            raise reason from failed

    def _cursor(self, kind: str) -> ReadCursor:
        return self._target.cursors.get(kind, ReadCursor())


def _is_failed(result: KindResult) -> bool:
    return result.outcome == Outcome.FAILED


def _mistake(error: Exception, target: Target, kind: str) -> Problem:
    """A mistake of ours. The exception's text may hold cluster content, so only its class is told."""
    where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]]
    logger.error("reading cluster %s %s failed: %s at %s", target.cluster_id, kind, type(error).__name__, where)
    return Problem(failure=Failure.BAD_ANSWER, message=f"Reading failed with an unexpected {type(error).__name__}.")


async def _open(rules: Policy) -> Transport:
    return Transport(rules)


def _start_with_deep_stack(work: Callable[[], None], name: str) -> threading.Thread:
    """The limit is the whole process's: 12,000 levels of C recursion fit into the usual 8 MiB of other threads too."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    usual = threading.stack_size(_STACK_BYTES)
    try:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
    finally:
        threading.stack_size(usual)
    return thread


_readers: dict[Policy, Reader] = {}
_readers_lock = threading.Lock()
# Readers of the process that we were forked from. They must never be destroyed here: that would end TLS connections
# which the parent still uses.
_inherited: list[Reader] = []


def _reader_of_this_process(rules: Policy) -> Reader:
    with _readers_lock:
        if rules not in _readers:
            _readers[rules] = Reader(rules)
        return _readers[rules]


def _forget_readers() -> None:
    """After a fork: the parent's thread does not exist here, its connections must not be used by two."""
    global _readers_lock
    _readers_lock = threading.Lock()
    _inherited.extend(_readers.values())
    _readers.clear()


def _close_readers() -> None:
    for reader in _readers.values():
        reader.close()
    _readers.clear()


os.register_at_fork(after_in_child=_forget_readers)
atexit.register(_close_readers)
