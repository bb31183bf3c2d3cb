"""Read one kind of one cluster completely: page by page, and of each page only what we do not know yet.

An unchanged object costs 1.5 us: of every item first only uid and resourceVersion are decoded, and a page is decoded a
second time only if it holds something new. A delta (WATCH from `ReadCursor.resource_version`, answered as
Outcome.DELTA) would be a second way to make the same KindResult; `read_kind` is where the two would part.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from clusters.connection import Connection, ReadFailed
from clusters.kinds import WatchedKind, events
from clusters.kinds.base import JSON, Item, Observe, fingerprint
from clusters.observations import EventNote, Failure, KindResult, Observation, Outcome, Problem, ReadCursor
from clusters.tagging import Tag, no_tag

PAGE_SIZE = 500
# A million objects. A server that never stops paging is stopped by the deadline before; this bounds our memory.
MAX_PAGES = 2_000
_EXPIRED = 410
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Entry = Observation | EventNote


@dataclass(frozen=True)
class ListRequest:
    """What to ask for, what must come, and what to make of one item (None: no resource of ours)."""

    path: str
    selector: Mapping[str, str]
    accept: str
    list_kind: str
    observe: Callable[[Item], Entry | None]


class _ListMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class _ItemVersion(msgspec.Struct, gc=False, rename="camel"):
    uid: str = ""
    resource_version: str = ""


class _ItemHead(msgspec.Struct, gc=False):
    metadata: _ItemVersion


class _Heads(msgspec.Struct, gc=False):
    kind: str
    metadata: _ListMetadata
    items: list[_ItemHead] | None = None


class _Raws(msgspec.Struct, gc=False):
    kind: str
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


_heads_decoder = msgspec.json.Decoder(_Heads)
_raws_decoder = msgspec.json.Decoder(_Raws)


class Content:
    """What one list, or several of one kind, brought."""

    def __init__(self, known: frozenset[int]) -> None:
        self.known = known
        self.unchanged: set[int] = set()
        self.new: list[Entry] = []
        self.resource_version = ""

    def add(self, other: "Content") -> None:
        self.unchanged |= other.unchanged
        self.new += other.new
        self.resource_version = self.resource_version or other.resource_version


async def read_kind(
    connection: Connection,
    watched: WatchedKind,
    version: str,
    cursor: ReadCursor,
    namespaces: Sequence[str] = (),
    tag: Tag = no_tag,
) -> KindResult:
    """Everything of one kind, or what there is of it in `namespaces`, if any. Raises ReadFailed."""
    content, observe = Content(cursor.known), _strict(watched, watched.observing(tag))
    for namespace in namespaces or ("",):
        path = _path(watched, version, namespace)
        for selector in watched.selectors:
            request = ListRequest(path, selector, watched.accept, watched.list_kind, observe)
            try:
                await _read_list(connection, request, content)
            except ReadFailed as failed:
                raise _in_namespace(failed, watched, namespace) from failed
    observations = {entry.key: entry for entry in content.new if isinstance(entry, Observation)}
    return KindResult(
        kind=watched.kind,
        outcome=Outcome.COMPLETE,
        served_version=version,
        resource_version=content.resource_version,
        namespaces=tuple(namespaces),
        observations=tuple(observations.values()),
        unchanged=frozenset(content.unchanged),
    )


def _path(watched: WatchedKind, version: str, namespace: str) -> str:
    group = f"/apis/{watched.group}/{version}" if watched.group else f"/api/{version}"
    return f"{group}/namespaces/{namespace}/{watched.plural}" if namespace else f"{group}/{watched.plural}"


def _in_namespace(failed: ReadFailed, watched: WatchedKind, namespace: str) -> ReadFailed:
    """`failed`, and in which of the namespaces: one that may not be listed makes the whole kind unknown."""
    if not namespace or failed.status != 403:
        return failed
    return ReadFailed(
        failed.problem.failure,
        f"The credential may not list {watched.plural} in the namespace {namespace}.",
        status=failed.status,
    )


async def read_events(connection: Connection, kinds: list[str], cursor: ReadCursor) -> KindResult:
    """The Events of all `kinds` as one result, complete only if every request was. Raises ReadFailed."""
    content = Content(cursor.known)
    for selector in events.selectors(kinds):
        request = ListRequest(events.PATH, selector, JSON, events.LIST_KIND, events.keeper(kinds))
        await _read_list(connection, request, content)
    notes = {entry.uid: entry for entry in content.new if isinstance(entry, EventNote)}
    return KindResult(
        kind=events.EVENT,
        outcome=Outcome.COMPLETE,
        served_version="v1",
        resource_version=content.resource_version,
        events=tuple(notes.values()),
        unchanged=frozenset(content.unchanged),
    )


def without_known(result: KindResult, cursor: ReadCursor) -> KindResult:
    """`result` as if it had been read with `cursor`."""
    new = tuple(entry for entry in result.observations if entry.fingerprint not in cursor.known)
    unchanged = frozenset(entry.fingerprint for entry in result.observations) & cursor.known
    return msgspec.structs.replace(result, observations=new, unchanged=unchanged)


def not_read(kind: str, failed: ReadFailed) -> KindResult:
    """The result of a kind whose reading failed."""
    if failed.status == 404:
        return KindResult(kind=kind, outcome=Outcome.NOT_INSTALLED)
    outcome = Outcome.FORBIDDEN if failed.status == 403 else Outcome.FAILED
    return KindResult(kind=kind, outcome=outcome, problem=failed.problem)


def _strict(watched: WatchedKind, observe: Observe) -> Observe:
    """`observe`, but an item without a usable name spoils the list unless the kind skips items by design.

    Leaving such an item out would make its resource look deleted.
    """
    if watched.filtered:
        return observe

    def observe_each(item: Item) -> Observation:
        observation = observe(item)
        if observation is None:
            raise ReadFailed(Failure.BAD_ANSWER, f"The list of {watched.plural} holds an item without a usable name.")
        return observation

    return observe_each


async def _read_list(connection: Connection, request: ListRequest, content: Content) -> None:
    """All pages of one list into `content`. A list that expired on the way (410) is begun again, once."""
    try:
        content.add(await _read_pages(connection, request, content.known))
    except ReadFailed as failed:
        if failed.status != _EXPIRED:
            raise
        content.add(await _read_again(connection, request, content.known))


async def _read_again(connection: Connection, request: ListRequest, known: frozenset[int]) -> Content:
    try:
        return await _read_pages(connection, request, known)
    except ReadFailed as failed:
        if failed.status != _EXPIRED:
            raise
        raise ReadFailed(Failure.INTERRUPTED, "The list expired twice before its end was read.") from failed


async def _read_pages(connection: Connection, request: ListRequest, known: frozenset[int]) -> Content:
    content = Content(known)
    params = {**request.selector, "limit": str(PAGE_SIZE)}
    for _ in range(MAX_PAGES):
        answer = await connection.get(request.path, params, request.accept)
        metadata = take_page(answer.body, request, content)
        content.resource_version = content.resource_version or metadata.resource_version[:60]
        if not metadata.continue_:
            return content
        if metadata.continue_ == params.get("continue"):
            break
        params["continue"] = metadata.continue_
    raise ReadFailed(Failure.INTERRUPTED, "The list does not come to an end.")


def take_page(body: bytes, request: ListRequest, content: Content) -> _ListMetadata:
    """Sort the items of one page into known and new. Raises ReadFailed if the page is not the wanted list."""
    try:
        heads = _heads_decoder.decode(body)
    except _MALFORMED:
        return _take_odd_page(body, request, content)
    _check_kind(heads.kind, request.list_kind)
    states = [fingerprint(item.metadata.uid, item.metadata.resource_version) for item in heads.items or ()]
    fresh = [index for index, state in enumerate(states) if state not in content.known]
    content.unchanged.update(state for state in states if state in content.known)
    if fresh:
        items = _raws_decoder.decode(body).items or []
        content.new += _observed((items[index] for index in fresh), request)
    return heads.metadata


def _take_odd_page(body: bytes, request: ListRequest, content: Content) -> _ListMetadata:
    """A page on which some item has not even proper metadata: each item for itself."""
    try:
        page = _raws_decoder.decode(body)
    except _MALFORMED:
        raise ReadFailed(Failure.BAD_ANSWER, "The list is not the JSON that was asked for.") from None
    _check_kind(page.kind, request.list_kind)
    for entry in _observed(page.items or (), request):
        if entry.fingerprint in content.known:
            content.unchanged.add(entry.fingerprint)
        else:
            content.new.append(entry)
    return page.metadata


def _observed(items: Iterable[msgspec.Raw], request: ListRequest) -> list[Entry]:
    return [entry for entry in map(request.observe, items) if entry is not None]


def _check_kind(kind: str, wanted: str) -> None:
    """With the wrong kind the content may be anything, whole Secrets included: nothing of it is looked at."""
    if kind != wanted:
        raise ReadFailed(Failure.BAD_ANSWER, f"A {wanted} was asked for and something else came.")


def unfinished(kind: str) -> KindResult:
    """The result of a kind that was not read before the deadline."""
    problem = Problem(failure=Failure.TIMEOUT, message="Not read before the deadline of the collection.")
    return KindResult(kind=kind, outcome=Outcome.FAILED, problem=problem)
