"""What all kinds share: the shape of metadata and conditions, and the way from JSON bytes to an Observation.

A kind's document is a narrow msgspec Struct: what it does not name is skipped unseen (3 us an object against 68 us for
`json`). Everything here is hostile input: any JSON whatever gives an Observation or None, never an exception.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, TypeGuard, TypeVar

import msgspec

from clusters.facts import FACTS_TYPES, Facts, Reference, Relation, ResourceKey
from clusters.observations import Observation
from clusters.scrubbing import CONDITION_LIMIT, clean, scrub
from clusters.tagging import Tag

EXTERNAL_SECRETS, SEALED_SECRETS, SECRETS_STORE_CSI = "External Secrets", "Sealed Secrets", "Secrets Store CSI"

JSON = "application/json"
# Exactly this and no second choice: with a fallback an API server that does not know `as` sends whole Secrets.
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

NAME_LIMIT = 253
UID_LIMIT = 80
SHORT = 100
# etcd holds no object above 1.5 MB, a hostile server may send more: nothing of one object grows past this.
LIST_LIMIT = 1_000
MAX_GENERATION = 2**53
# Our own annotation: after how many days somebody wants another value.
ROTATE_AFTER = "secretsdash.io/rotate-after-days"
MAX_ROTATE_DAYS = 3650

NULL = msgspec.Raw(b"null")

Item = bytes | msgspec.Raw
Observe = Callable[[Item], Observation | None]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True, kw_only=True)
class WatchedKind:
    """A type of object that we read, and how.

    `versions` are those we can decode, preferred first. `selectors` are the query parameters of one list request
    each. `judged` kinds are resources with a health, the others support judging. `observe` takes the JSON of one item
    and returns None for what is no resource of ours (`filtered` kinds) or has no name; it makes no tags, for which
    there is `observing`. `listed` is False where there is no list to read (the certificate). `api_kind` is the
    cluster's word where `kind` is ours. A kind with `needs` is read only where one of those kinds is installed.
    `by_namespace`: read in Target.secret_namespaces only, if any.
    `tier` is the manifest in deploy/rbac that gives the right to read it; only T0 is expected of every cluster.
    """

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    family: str
    judged: bool
    observe: Observe
    tagging: Callable[[Tag], Observe] | None = None
    selectors: tuple[Mapping[str, str], ...] = ({},)
    accept: str = JSON
    filtered: bool = False
    listed: bool = True
    api_kind: str = ""
    needs: tuple[str, ...] = ()
    by_namespace: bool = False
    tier: str = "T0"

    @property
    def list_kind(self) -> str:
        """The `kind` that an answer to a list request must have."""
        return "PartialObjectMetadataList" if self.accept == METADATA_ONLY else f"{self.api_kind or self.kind}List"

    def observing(self, tag: Tag) -> Observe:
        """`observe`, with what must not be stored replaced by its `tag` instead of being left out."""
        return self.observe if self.tagging is None else self.tagging(tag)


class Document(msgspec.Struct, gc=False, rename="camel"):
    """Base of everything decoded. Go leaves out what is empty or writes null, hence the many `| None`."""


class Present(Document):
    """Some object whose content is none of our business."""


class Owner(Document):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None


class Metadata(Document):
    name: str
    uid: str = ""
    namespace: str | None = None
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None


class _ManagedHead(Document):
    labels: Present | None = msgspec.field(default=None, name="f:labels")
    annotations: Present | None = msgspec.field(default=None, name="f:annotations")


class ManagedContent(Document):
    spec: Present | None = msgspec.field(default=None, name="f:spec")
    metadata: _ManagedHead | None = msgspec.field(default=None, name="f:metadata")


class ManagedFields(Document):
    """Who wrote which fields when. Of the fields only what the two questions below ask is decoded."""

    manager: str = ""
    api_version: str = ""
    subresource: str = ""
    time: Time | None = None
    fields_v1: ManagedContent | None = None

    def hold_spec(self) -> bool:
        return self.fields_v1 is not None and self.fields_v1.spec is not None

    def hold_labels(self) -> bool:
        """Whether labels or annotations are among them."""
        head = self.fields_v1.metadata if self.fields_v1 else None
        return head is not None and (head.labels is not None or head.annotations is not None)


class ManagedMetadata(Metadata):
    """For the kinds whose times of writing are nowhere else."""

    managed_fields: list[ManagedFields] | None = None

    def spec_written(self) -> dict[str, Any]:
        """`written` by the managers that own part of the spec."""
        return written(entry for entry in self.managed_fields or () if entry.hold_spec())


class Condition(Document):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: Time | None = None
    last_update_time: Time | None = None


class Resource(Document):
    metadata: Metadata


R = TypeVar("R", bound=Resource)
Described = tuple[Facts, Iterable[Reference]] | None


def observer(kind: str, document: type[R], describe: Callable[[R], Described]) -> Observe:
    """The `observe` of a kind: decode, describe, and turn what cannot be decoded into an Observation that says so."""
    decoder = msgspec.json.Decoder(document)

    def observe(item: Item) -> Observation | None:
        try:
            resource = decoder.decode(item)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _unreadable(kind, item, error)
        metadata = resource.metadata
        if not is_name(metadata.name) or len(metadata.namespace or "") > NAME_LIMIT:
            return None
        described = describe(resource)
        if described is None:
            return None
        facts, references = described
        return Observation(
            key=ResourceKey(kind, clean(metadata.namespace or "", NAME_LIMIT), metadata.name),
            uid=clean(metadata.uid, UID_LIMIT),
            fingerprint=fingerprint(metadata.uid, metadata.resource_version),
            created_at=moment(metadata.creation_timestamp),
            facts=facts,
            references=_usable(references),
        )

    return observe


class _Identity(Document):
    name: str
    namespace: str | None = None
    uid: Any = ""
    resource_version: Any = ""


class _Unreadable(Document):
    metadata: _Identity


_unreadable_decoder = msgspec.json.Decoder(_Unreadable)


def _unreadable(kind: str, item: Item, error: Exception) -> Observation | None:
    """What can be had of an object that does not have the shape its kind promises: its name and one sentence."""
    try:
        identity = _unreadable_decoder.decode(item).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not is_name(identity.name) or len(identity.namespace or "") > NAME_LIMIT:
        return None
    named = isinstance(identity.uid, str) and isinstance(identity.resource_version, str)
    state = (identity.uid, identity.resource_version) if named else (bytes(item).hex(), "")
    return Observation(
        key=ResourceKey(kind, clean(identity.namespace or "", NAME_LIMIT), identity.name),
        uid=clean(identity.uid, UID_LIMIT) if named else "",
        fingerprint=fingerprint(*state),
        created_at=None,
        facts=FACTS_TYPES[kind](problem=_problem(error)),
    )


_PATH = re.compile(r" - at `\$\.?([^`]{0,200})`$")


def _problem(error: Exception) -> str:
    """One sentence that names the field and never its content; msgspec's paths hold names of our own fields only."""
    path = _PATH.search(str(error))
    if path is None or not path.group(1):
        return "This object could not be decoded."
    return f"The field {path.group(1)} does not have the type that its kind promises."


def fingerprint(uid: str, resource_version: str) -> int:
    """Signed 64-bit hash of one stored state of one object."""
    # No `errors=`: it takes three times as long, and msgspec lets no surrogate through that would need it.
    state = f"{uid} {resource_version}".encode()
    return int.from_bytes(blake2b(state, digest_size=8).digest(), "big", signed=True)


def moment(value: datetime | None) -> datetime | None:
    """`value` in UTC; None for times that no controller can mean, so that no later arithmetic overflows."""
    if value is None or not 1970 <= value.year <= 2200:
        return None
    return value.astimezone(UTC)


def text(value: str | None, limit: int = NAME_LIMIT) -> str:
    return clean(value, limit) if value else ""


def message(value: str | None) -> str:
    """A condition's message: providers' words, so scrubbed like an Event."""
    return scrub(value, CONDITION_LIMIT) if value else ""


def is_name(value: str | None) -> TypeGuard[str]:
    """Whether `value` can be the name of a Kubernetes object, by the widest rule there is (path segment, 253)."""
    return value is not None and 0 < len(value) <= NAME_LIMIT and value.isprintable() and "/" not in value


def count(value: int | None, limit: int = 2**31 - 1) -> int:
    return min(max(value or 0, 0), limit)


def common(metadata: Metadata) -> dict[str, Any]:
    """The fields that all Facts have."""
    return {
        "generation": count(metadata.generation, MAX_GENERATION),
        "deleting_since": moment(metadata.deletion_timestamp),
    }


def rotate_after_days(metadata: Metadata) -> int:
    """What the object's annotation asks for, 1 to MAX_ROTATE_DAYS; 0 without one, and for one that makes no sense."""
    written = (metadata.annotations or {}).get(ROTATE_AFTER, "").strip()
    days = int(written) if written.isascii() and written.isdigit() and len(written) < 5 else 0
    return days if days <= MAX_ROTATE_DAYS else 0


def reconciled(conditions: list[Condition] | None, wanted: str = "Ready") -> dict[str, Any]:
    """The fields of ReconciledFacts, from the condition of type `wanted`; empty where it is absent."""
    condition = find_condition(conditions, wanted)
    if condition is None:
        return {}
    return {
        "ready": {"True": True, "False": False}.get(condition.status),
        "reason": text(condition.reason, SHORT),
        "message": message(condition.message),
        "condition_since": moment(condition.last_transition_time),
    }


def find_condition(conditions: list[Condition] | None, wanted: str) -> Condition | None:
    return next((condition for condition in conditions or () if condition.type == wanted), None)


def parents(metadata: Metadata, group: str, kind: str) -> list[Reference]:
    """PARENT references to owners of `kind`. Owners may name an old version, so only the group is compared."""
    return [
        Reference(Relation.PARENT, ResourceKey(kind, "", owner.name))
        for owner in metadata.owner_references or ()
        if owner.kind == kind and owner.api_version.startswith(f"{group}/")
    ]


def newest(entries: Iterable[ManagedFields]) -> datetime | None:
    """The newest time of writing in `entries`."""
    times = (moment(entry.time) for entry in entries)
    return max((time for time in times if time is not None), default=None)


def written(entries: Iterable[ManagedFields]) -> dict[str, Any]:
    """The fields `spec_written_at` and `spec_written_by` of Facts: the newest time of writing in `entries`, and whose.

    Empty where nobody recorded a time. Of several managers at the same second, the last by name.
    """
    times = ((moment(entry.time), entry.manager) for entry in entries)
    at, by = max(((at, by) for at, by in times if at is not None), default=(None, ""))
    return {"spec_written_at": at, "spec_written_by": text(by)} if at else {}


def written_version(metadata: ManagedMetadata, read_as: str | None, versions: Sequence[str]) -> str:
    """The oldest API version in which a manager still writes part of the spec; "" where that is the one read.

    `versions` are newest first, `read_as` is the apiVersion of the object: who writes the newest that a cluster serves
    has nothing to change there.
    """
    present = [_age(read_as or "", versions)]
    written = [_age(entry.api_version, versions) for entry in metadata.managed_fields or () if entry.hold_spec()]
    oldest = max(present + written)
    return versions[oldest] if oldest > present[0] else ""


def _age(api_version: str, versions: Sequence[str]) -> int:
    version = api_version.rpartition("/")[2]
    return versions.index(version) if version in versions else 0


def names(values: Iterable[str | None]) -> tuple[str, ...]:
    """Distinct non-empty texts in their order, at most LIST_LIMIT of them."""
    distinct = dict.fromkeys(text(value) for value in values if value)
    return tuple(value for value in distinct if value)[:LIST_LIMIT]


def _usable(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """Distinct references whose target can exist: `reference_unique` and its columns hold no others."""
    distinct = dict.fromkeys(
        reference
        for reference in references
        if is_name(reference.target.name) and (not reference.target.namespace or is_name(reference.target.namespace))
    )
    return tuple(distinct)[:LIST_LIMIT]
