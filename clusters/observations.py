"""What one reading of a cluster brought: observations, Events and, per kind, how it ended. Immutable, in memory."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from clusters.facts import Facts, Reference, ResourceKey
from clusters.tagging import Tag, no_tag


class Observation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One resource as seen in one snapshot.

    `fingerprint` is a signed 64-bit hash of (uid, resourceVersion): equal means the same stored object.
    """

    key: ResourceKey
    uid: str
    fingerprint: int
    created_at: datetime | None
    facts: Facts
    references: tuple[Reference, ...] = ()


class EventNote(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One Kubernetes Event of a watched resource (or of a pod that mounts one). `message` is scrubbed and clipped."""

    uid: str
    fingerprint: int
    involved: ResourceKey
    involved_uid: str
    type: str
    reason: str
    message: str
    component: str
    first_at: datetime | None
    last_at: datetime | None
    count: int = 1


class Outcome(StrEnum):
    """How the reading of one kind, or of a whole cluster, ended."""

    COMPLETE = "complete"  # everything there is was seen: absence counts
    DELTA = "delta"  # everything since the cursor was seen
    NOT_INSTALLED = "not installed"  # the API server does not serve this kind: a fact, not an error
    FORBIDDEN = "forbidden"  # our credential may not read this kind
    FAILED = "failed"  # see Failure


class Failure(StrEnum):
    """Why a read failed: what a person has to look at. Shown instead of raw bodies."""

    DIAL_REFUSED = "not allowed to connect"  # our own dial policy
    UNREACHABLE = "unreachable"  # DNS, refused, reset before an answer
    TLS = "certificate not trusted"
    TIMEOUT = "timeout"
    UNAUTHORIZED = "credential rejected"  # 401
    RATE_LIMITED = "throttled"  # 429
    SERVER_ERROR = "server error"  # 5xx, incl. conversion webhooks
    INTERRUPTED = "interrupted"  # the answer broke off, a list was not read to its end
    BAD_ANSWER = "not understood"  # not JSON, wrong kind, too large
    CREDENTIAL = "credential missing"  # nothing stored, or it cannot be opened


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Category and one clipped sentence; `retry_after` in seconds where the server named one."""

    failure: Failure
    message: str
    retry_after: int | None = None


class KindResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection brought for one kind.

    `observations` holds new and changed resources only, `unchanged` the known fingerprints seen again. With COMPLETE
    every known fingerprint in neither belongs to a resource that changed or is gone. With DELTA `removed` names the
    deleted ones. For the kind "Event" `events` is filled instead of `observations`. `resource_version` is where the
    next delta may start. `namespaces` are those that the list was limited to (empty: all). Any other outcome carries no
    content and removes nothing.
    """

    kind: str
    outcome: Outcome
    problem: Problem | None = None
    served_version: str = ""
    resource_version: str = ""
    namespaces: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    events: tuple[EventNote, ...] = ()
    unchanged: frozenset[int] = frozenset()
    removed: tuple[ResourceKey, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one collection of one cluster brought, in memory.

    `problem` is set when the cluster as a whole could not be read (then `kinds` is empty). `server_time` is the API
    server's clock from the Date header of its last answer, which began `server_time_after` into the reading.
    """

    cluster_id: int
    kinds: Mapping[str, KindResult] = {}
    problem: Problem | None = None
    server_time: datetime | None = None
    server_time_after: timedelta = timedelta(0)
    server_version: str = ""
    requests: int = 0
    bytes_read: int = 0
    duration: timedelta = timedelta(0)


class ReadCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What we know of one kind before reading it: where a delta may start, and the fingerprints of known resources."""

    resource_version: str = ""
    known: frozenset[int] = frozenset()


class Target:
    """A cluster to read, with its opened credential. Never logged, pickled or compared; repr hides the secrets."""

    __slots__ = (
        "api_url",
        "ca_pem",
        "client_certificate",
        "client_key",
        "cluster_id",
        "cursors",
        "deadline",
        "name",
        "secret_namespaces",
        "tag",
        "token",
    )

    def __init__(
        self,
        *,
        cluster_id: int,
        name: str,
        api_url: str,
        ca_pem: str,
        token: str = "",
        client_certificate: str = "",
        client_key: str = "",
        cursors: Mapping[str, ReadCursor],
        deadline: float,
        secret_namespaces: Sequence[str] = (),
        tag: Tag = no_tag,
    ) -> None:
        self.cluster_id = cluster_id
        self.name = name
        self.api_url = api_url  # https://host[:port][/prefix], no trailing slash
        self.ca_pem = ca_pem  # "" = the system's trust store
        self.token = token  # either a bearer token, or a client certificate with its key (both PEM)
        self.client_certificate = client_certificate
        self.client_key = client_key
        self.cursors = cursors
        self.secret_namespaces = tuple(secret_namespaces)  # where Secrets may be listed; empty: in all
        self.tag = tag  # for what must not be stored as it is
        self.deadline = deadline  # seconds for the whole collection

    def __repr__(self) -> str:
        return f"Target({self.name})"
