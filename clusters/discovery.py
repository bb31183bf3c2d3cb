"""What an API server serves: which of our kinds, in which version. Asked rarely, kept in the worker."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from clusters.connection import Connection, ReadFailed
from clusters.kinds import WATCHED_KINDS, WatchedKind
from clusters.observations import Failure
from clusters.scrubbing import clean

KEPT_SECONDS = 600
_MAX_KEPT = 5_000

# Part of Kubernetes itself; the others are installed, or not.
_BUILT_IN = frozenset({"", "apps", "storage.k8s.io"})


@dataclass(frozen=True)
class Served:
    """`versions` by kind; a kind that is missing is not installed. `problems` by kind: we could not find out."""

    server_version: str
    versions: Mapping[str, str]
    problems: Mapping[str, ReadFailed]


@dataclass
class Knowledge:
    """What one worker remembers of one cluster between two collections. Losing it costs requests, nothing else."""

    api_url: str
    served: Served | None = None
    served_at: float = 0.0
    # The path at which the sealing certificate was read last.
    certificate_path: str = ""


class Memory:
    """Knowledge by cluster. An address that changed is another server."""

    def __init__(self) -> None:
        self._known: dict[int, Knowledge] = {}

    def of(self, cluster_id: int, api_url: str) -> Knowledge:
        known = self._known.get(cluster_id)
        if known is None or known.api_url != api_url:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            known = self._known[cluster_id] = Knowledge(api_url)
        return known


async def served_by(connection: Connection, known: Knowledge) -> Served:
    """What the cluster serves, from memory if that is younger than KEPT_SECONDS. Raises ReadFailed."""
    now = time.monotonic()
    if known.served is None or now - known.served_at > KEPT_SECONDS:
        known.served = await _ask(connection)
        known.served_at = now
        if known.served.problems:
            known.served_at = now - KEPT_SECONDS  # ask again next time
    return known.served


class _Version(msgspec.Struct, rename="camel"):
    git_version: str


class _GroupVersion(msgspec.Struct):
    version: str = ""


class _Group(msgspec.Struct):
    versions: list[_GroupVersion] = []


class _Resource(msgspec.Struct):
    name: str = ""


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


async def _ask(connection: Connection) -> Served:
    version = await _server_version(connection)
    versions = {watched.kind: watched.versions[0] for watched in WATCHED_KINDS if watched.group in _BUILT_IN}
    problems: dict[str, ReadFailed] = {}
    for group in dict.fromkeys(watched.group for watched in WATCHED_KINDS if watched.group not in _BUILT_IN):
        kinds = [watched for watched in WATCHED_KINDS if watched.group == group]
        try:
            versions.update(await _served_kinds(connection, group, kinds))
        except ReadFailed as failed:
            if failed.status not in (403, 500, 503):
                raise
            problems.update({watched.kind: failed for watched in kinds})
    for watched in WATCHED_KINDS:
        if watched.needs and not any(kind in versions for kind in watched.needs):
            del versions[watched.kind]
            if unknown := [kind for kind in watched.needs if kind in problems]:
                problems[watched.kind] = problems[unknown[0]]
    return Served(version, versions, problems)


async def _server_version(connection: Connection) -> str:
    """The first request: a cluster that does not answer or rejects the credential is found out here.

    So is an address behind which there is no API server: it would answer 404 to everything, and look empty.
    """
    try:
        answer = await connection.get("/version")
    except ReadFailed as failed:
        if failed.status == 403:
            return ""
        if failed.status == 404:
            raise ReadFailed(Failure.BAD_ANSWER, "There is no API server at this address.") from failed
        raise
    return clean(_decode(answer.body, _Version).git_version, 80)


async def _served_kinds(connection: Connection, group: str, kinds: list[WatchedKind]) -> dict[str, str]:
    """Per kind the most preferred version that is served."""
    try:
        answer = await connection.get(f"/apis/{group}")
    except ReadFailed as failed:
        if failed.status == 404:
            return {}
        raise
    served = {entry.version for entry in _decode(answer.body, _Group).versions}
    preferred = dict.fromkeys(version for watched in kinds for version in watched.versions)
    plurals = {version: await _plurals(connection, group, version) for version in preferred if version in served}
    found: dict[str, str] = {}
    for watched in kinds:
        for version in watched.versions:
            if watched.plural in plurals.get(version, ()):
                found.setdefault(watched.kind, version)
    return found


async def _plurals(connection: Connection, group: str, version: str) -> frozenset[str]:
    try:
        answer = await connection.get(f"/apis/{group}/{version}")
    except ReadFailed as failed:
        if failed.status == 404:  # uninstalled between two requests
            return frozenset()
        raise
    return frozenset(entry.name for entry in _decode(answer.body, _ResourceList).resources or ())


D = TypeVar("D")


def _decode(body: bytes, document: type[D]) -> D:
    try:
        return msgspec.json.decode(body, type=document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ReadFailed(Failure.BAD_ANSWER, "The answer is not what an API server sends.") from None
