"""List and get: paging, resource versions, forms."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from demo.apiserver import representation, selectors, status
from demo.apiserver.kinds import Kind
from demo.apiserver.representation import Form
from demo.apiserver.status import Refusal
from demo.apiserver.store import Key, Store, Stored, Table, encode

ANSWERS = 64
"""How many encoded list answers are kept for each kind; a full list of 10,000 in pages of 500 needs 20."""

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You must start a new list "
    "without the continue parameter."
)


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The query of a list or watch, read strictly."""

    namespace: str = ""
    name: str = ""
    labels: str = ""
    fields: str = ""
    limit: int = 0
    token: str = ""
    version: str = ""
    match: str = ""

    @classmethod
    def read(cls, namespace: str, query: Mapping[str, str]) -> "ListRequest":
        limit = query.get("limit", "") or "0"
        if not limit.lstrip("-").isdigit():
            raise status.bad_request(f'strconv.ParseInt: parsing "{limit}": invalid syntax')
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            raise status.bad_request(f'invalid resource version: resourceVersion: Invalid value: "{version}"')
        match = query.get("resourceVersionMatch", "")
        if match and not version:
            raise Refusal(
                422,
                "Invalid",
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            )
        return cls(
            namespace,
            "",
            query.get("labelSelector", ""),
            query.get("fieldSelector", ""),
            max(0, int(limit)),
            query.get("continue", ""),
            version,
            match,
        )


def item_prefix(kind: Kind, version: str, *, typed: bool) -> bytes:
    """What precedes the body of an object. Built-in kinds have no type inside lists (`typed` False)."""
    if not kind.custom and not typed:
        return b"{"
    return encode({"kind": kind.kind, "apiVersion": kind.api_version(version)})[:-1] + b","


def _token(revision: int, after: Key) -> str:
    token = _Token("meta.k8s.io/v1", revision, "/".join(after))
    return base64.urlsafe_b64encode(encode(token)).decode().rstrip("=")


def _read_token(text: str) -> _Token:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise status.bad_request(f"invalid continue token: continue key is not valid: {error}") from error


def _base(store: Store, table: Table, asked: ListRequest) -> tuple[list[Stored], int]:
    """The objects in order and the version they show, before selection and paging."""
    if asked.token:
        token = _read_token(asked.token)
        if token.rv not in table.snapshots:
            raise status.expired(_TOO_OLD)
        rest = [stored for stored in table.snapshots[token.rv] if "/".join(stored.key) > token.start]
        return rest, token.rv
    version = int(asked.version or 0)
    if version > store.revision:
        raise status.too_large(version, store.revision)
    if asked.match == "Exact" and version != store.revision:
        if version not in table.snapshots:
            raise status.expired(f"The resourceVersion for the provided list is too old: {version}")
        return table.snapshots[version], version
    return table.ordered(), store.revision


def _select(table: Table, items: list[Stored], asked: ListRequest) -> list[Stored]:
    match = selectors.parse(table.kind, asked.labels, asked.fields)
    if asked.namespace:
        items = [stored for stored in items if stored.key[0] == asked.namespace]
    return items if match is None else [stored for stored in items if match(stored)]


def _page(store: Store, table: Table, asked: ListRequest) -> tuple[list[Stored], dict[str, Any]]:
    items, revision = _base(store, table, asked)
    items = _select(table, items, asked)
    metadata: dict[str, Any] = {"continue": ""} if table.kind.custom else {}
    metadata["resourceVersion"] = str(revision)
    limited = asked.limit and asked.version != "0"  # resourceVersion=0 is answered from the cache, which knows no limit
    if limited and len(items) > asked.limit:
        if not asked.token:
            table.snapshot(revision)
        left = len(items) - asked.limit
        items = items[: asked.limit]
        metadata["continue"] = _token(revision, items[-1].key)
        if not (asked.labels or asked.fields):
            metadata["remainingItemCount"] = left
    return items, metadata


def list_body(store: Store, table: Table, version: str, asked: ListRequest, form: Form) -> bytes:
    """The complete answer of a list. Equal questions between two writes share one answer."""
    key = (store.revision, version, asked, form)
    cached = table.answers.get(key)
    if cached is not None and form.name != "Table":
        return cached
    body = _list_body(store, table, version, asked, form)
    table.answers[key] = body
    while len(table.answers) > ANSWERS:
        del table.answers[next(iter(table.answers))]
    return body


def _list_body(store: Store, table: Table, version: str, asked: ListRequest, form: Form) -> bytes:
    kind = table.kind
    items, metadata = _page(store, table, asked)
    if form.name == "Table":
        return representation.table(kind, items, metadata, form, store.now(), item_prefix(kind, version, typed=True))
    if form.name == "PartialObjectMetadataList":
        head = encode({"kind": form.name, "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
        joined = b",".join(stored.metadata for stored in items)
        return head[:-1] + b',"items":' + (b"[" + joined + b"]" if items else b"null") + b"}"
    prefix = item_prefix(kind, version, typed=False)
    joined = b",".join([stored.item(prefix) for stored in items])
    if kind.custom:
        tail = encode({"kind": f"{kind.kind}List", "metadata": metadata})
        return encode({"apiVersion": kind.api_version(version)})[:-1] + b',"items":[' + joined + b"]," + tail[1:]
    head = encode({"kind": f"{kind.kind}List", "apiVersion": kind.api_version(version), "metadata": metadata})
    return head[:-1] + b',"items":[' + joined + b"]}"


def find(table: Table, namespace: str, name: str) -> Stored:
    stored = table.objects.get((namespace, name))
    if stored is None:
        raise status.not_found(table.kind, name)
    return stored


def get_body(store: Store, table: Table, version: str, stored: Stored, form: Form) -> bytes:
    prefix = item_prefix(table.kind, version, typed=True)
    if form.name == "Table":
        metadata = {"resourceVersion": str(stored.revision)}
        return representation.table(table.kind, [stored], metadata, form, store.now(), prefix)
    return stored.metadata if form.name else stored.item(prefix)
