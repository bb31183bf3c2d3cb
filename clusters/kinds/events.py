"""Kubernetes Events (core/v1) of watched resources, and of pods that cannot mount a SecretProviderClass.

The cause of a failure stands only here: an ExternalSecret's condition is a constant. The API server forgets an Event
after an hour.
"""

import re
from collections.abc import Callable, Collection, Mapping

import msgspec

from clusters.facts import ResourceKey
from clusters.kinds.base import NAME_LIMIT, UID_LIMIT, Document, Item, Time, count, fingerprint, is_name, moment, text
from clusters.observations import EventNote
from clusters.scrubbing import scrub

EVENT = "Event"
PATH = "/api/v1/events"
LIST_KIND = "EventList"
MOUNT_KIND = "SecretProviderClassPodStatus"

_POD_REASONS = frozenset({"FailedMount", "FailedToCreateSecret", "MountRotationFailed", "SecretRotationFailed"})
# FailedMount comes for every kind of volume. These are the driver's own words and names.
_OUR_MOUNT = re.compile(r"secrets-store|secrets store|secretproviderclass|\bspc\b", re.IGNORECASE)
_TYPE_LIMIT, _REASON_LIMIT, _COMPONENT_LIMIT = 20, 128, 128


# Kinds whose Events are many and never ours. The API server keeps no index over Events, so every request reads all of
# them from etcd: one that leaves out the many costs it less than one for each of our kinds.
_NEVER_OURS = (
    "CronJob",
    "DaemonSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Job",
    "Node",
    "PersistentVolumeClaim",
    "Pod",
    "ReplicaSet",
    "Service",
    "StatefulSet",
)


def selectors(kinds: Collection[str]) -> list[Mapping[str, str]]:
    """The list requests that bring the Events of `kinds`, and others; those of mounts are on their pods."""
    others = {"fieldSelector": ",".join(f"involvedObject.kind!={kind}" for kind in _NEVER_OURS)}
    pods = {"fieldSelector": "involvedObject.kind=Pod,type=Warning"}
    return [others, pods] if MOUNT_KIND in kinds else [others]


def keeper(kinds: Collection[str]) -> Callable[[Item], EventNote | None]:
    """`note` for Events of `kinds` and of pods only."""
    wanted = {*kinds, "Pod"}

    def keep(item: Item) -> EventNote | None:
        event = note(item)
        return event if event is not None and event.involved.kind in wanted else None

    return keep


class _Involved(Document):
    kind: str = ""
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Source(Document):
    component: str | None = None


class _Series(Document):
    count: int | None = None
    last_observed_time: Time | None = None


class _EventMetadata(Document):
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Time | None = None


class _Event(Document):
    metadata: _EventMetadata
    involved_object: _Involved
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    source: _Source | None = None
    reporting_component: str | None = None
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    event_time: Time | None = None
    count: int | None = None
    series: _Series | None = None


_decoder = msgspec.json.Decoder(_Event)


def note(item: Item) -> EventNote | None:
    """The Event in `item`; None if it cannot be decoded, names nothing, or is about a pod's other troubles."""
    try:
        event = _decoder.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    involved = event.involved_object
    if not is_name(involved.name) or not is_name(involved.kind) or not _is_ours(event):
        return None
    series = event.series or _Series()
    created_at = moment(event.metadata.creation_timestamp)
    return EventNote(
        uid=text(event.metadata.uid, UID_LIMIT),
        fingerprint=fingerprint(event.metadata.uid, event.metadata.resource_version),
        involved=ResourceKey(text(involved.kind, 40), text(involved.namespace, NAME_LIMIT), involved.name or ""),
        involved_uid=text(involved.uid, UID_LIMIT),
        type=text(event.type, _TYPE_LIMIT),
        reason=text(event.reason, _REASON_LIMIT),
        message=scrub(event.message or ""),
        component=text((event.source and event.source.component) or event.reporting_component, _COMPONENT_LIMIT),
        first_at=moment(event.first_timestamp) or moment(event.event_time) or created_at,
        last_at=moment(event.last_timestamp)
        or moment(series.last_observed_time)
        or moment(event.event_time)
        or created_at,
        count=max(count(event.count), count(series.count), 1),
    )


def _is_ours(event: _Event) -> bool:
    if event.involved_object.kind != "Pod":
        return True
    if event.reason not in _POD_REASONS:
        return False
    return event.reason != "FailedMount" or _OUR_MOUNT.search((event.message or "")[:8_000]) is not None
