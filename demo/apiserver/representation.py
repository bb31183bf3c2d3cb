"""What the Accept header asks for: whole objects, their metadata, or a Table."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.apiserver.kinds import Column, Kind
from demo.apiserver.selectors import value_at
from demo.apiserver.status import Refusal, bad_request, not_acceptable
from demo.apiserver.store import Stored, encode

OFFERED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_FORMS = ("PartialObjectMetadata", "PartialObjectMetadataList", "Table")
_WHOLE = ("application/json", "application/*", "*/*")


@dataclass(frozen=True, slots=True)
class Form:
    """`name` is the `as` of the Accept header, "" for whole objects; `include` belongs to Tables."""

    name: str = ""
    include: str = "Metadata"


def negotiate(accept: str, verb: str, include: str = "") -> Form:
    """The first clause whose `as` the server knows decides, and only then it may turn out not to fit.

    kube-apiserver 1.36: the singular form on a list is 406 even with a fallback, the plural one on a get is 500, a
    fallback behind an unknown `as` silently gives whole objects. A plural form on a watch is accepted, and the stream
    stays empty (see `watch`).
    """
    if include not in ("", "None", "Metadata", "Object"):
        raise bad_request(f'unrecognized includeObject value: "{include}"')
    for clause in (accept or "*/*").split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        given = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media not in _WHOLE:
            continue
        if "as" not in given:
            return Form()
        if given["as"] in _FORMS and given.get("g") == "meta.k8s.io" and given.get("v") == "v1":
            return _fitting(Form(given["as"], include or "Metadata"), verb)
    raise not_acceptable(f"only the following media types are accepted: {OFFERED}")


def _fitting(form: Form, verb: str) -> Form:
    if verb == "list" and form.name == "PartialObjectMetadata":
        raise not_acceptable("you requested PartialObjectMetadata, but the requested object is a list")
    if verb == "get" and form.name == "PartialObjectMetadataList":
        raise Refusal(500, "", "content is not a list")
    return form


def age(since: str | None, now: datetime) -> str:
    """kubectl's short duration: 45s, 12m, 5h, 3d."""
    if not since:
        return "<unknown>"
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _columns(kind: Kind) -> list[Column]:
    name = Column("Name", "string", "metadata.name")
    if kind.kind == "Secret":
        return [
            name,
            Column("Type", "string", "type"),
            Column("Data", "integer", "data"),
            Column("Age", "string", "metadata.creationTimestamp"),
        ]
    return [name, *(kind.columns or (Column("Age", "date", "metadata.creationTimestamp"),))]


def _cell(column: Column, stored: Stored, now: datetime) -> Any:
    value = value_at(stored.obj, column.path)
    if column.name.lower() in ("age", "last sync"):
        return age(value, now)
    if column.kind == "integer":
        return len(value or {})
    return value


def _row(columns: list[Column], stored: Stored, include: str, now: datetime, prefix: bytes) -> bytes:
    shown = {"None": b"null", "Metadata": stored.metadata, "Object": stored.item(prefix)}[include]
    cells = encode([_cell(column, stored, now) for column in columns])
    return b'{"cells":' + cells + b',"object":' + shown + b"}"


def table(
    kind: Kind,
    items: list[Stored],
    metadata: dict[str, Any],
    form: Form,
    now: datetime,
    prefix: bytes,
    *,
    definitions: bool = True,
) -> bytes:
    """A meta.k8s.io/v1 Table; watches leave the column definitions out after the first event."""
    columns = _columns(kind)
    defined = (
        [
            {
                "name": column.name,
                "type": column.kind,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": 0,
            }
            for column in columns
        ]
        if definitions
        else None
    )
    head = encode({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": defined})
    rows = b",".join(_row(columns, stored, form.include, now, prefix) for stored in items)
    return head[:-1] + b',"rows":[' + rows + b"]}"
