"""Kubernetes objects of the story in the shape in which the API server returns them."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from demo.apiserver import managed_fields
from demo.timeline import FOREVER

Object = dict[str, Any]
Writer = tuple[str, int, str]
"""A field manager, when it wrote, and which subresource: "status" or ""."""

_NAMES = uuid.UUID("6f0f6f2e-7f0b-5d0a-9a55-7d5b8f9d4c11")


@lru_cache(maxsize=4096)
def number(*parts: object) -> int:
    """A stable number for a name: every run, every machine."""
    return int.from_bytes(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=6).digest(), "big")


@lru_cache(maxsize=4096)
def _uid(name: str) -> str:
    return str(uuid.uuid5(_NAMES, name))


def hexadecimal(length: int, *parts: object) -> str:
    return hashlib.shake_256("/".join(map(str, parts)).encode()).hexdigest((length + 1) // 2)[:length]


def pod_suffix(length: int, *parts: object) -> str:
    """Letters as Kubernetes picks them for generated names."""
    value, letters = number(*parts), "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[value // len(letters) ** place % len(letters)] for place in range(length))


@dataclass(frozen=True, slots=True)
class World:
    """Where and when: the cluster's name and the story's epoch."""

    cluster: str
    epoch: datetime

    def time(self, t: int) -> datetime:
        return self.epoch + timedelta(seconds=t)

    def stamp(self, t: int) -> str:
        return self.time(t).isoformat()[:19] + "Z"

    def uid(self, *parts: object) -> str:
        return _uid("/".join(map(str, (self.cluster, *parts))))

    def born(self, *parts: object) -> int:
        """When a thing of this name was created: 40 to 300 days before the epoch, before the back story begins."""
        return -(40 * 86_400 + number(self.cluster, *parts) % (260 * 86_400))


def metadata(
    world: World, kind: str, namespace: str, name: str, *, created: int | None = None, generation: int = 0, **more: Any
) -> Object:
    created = world.born(kind, namespace, name) if created is None else created
    made: Object = {
        "name": name,
        "uid": world.uid(kind, namespace, name, created if kind == "Pod" else ""),
        "creationTimestamp": world.stamp(created),
    }
    made |= {"namespace": namespace} if namespace else {}
    made |= {"generation": generation} if generation else {}
    return made | {field: value for field, value in more.items() if value}


def managed(world: World, obj: Object, *writers: Writer) -> Object:
    """`obj` with managedFields: each writer wrote its part of it, and one that is alone all of it."""
    subresources = tuple(subresource for _, _, subresource in writers)
    parts = _parts(frozenset(managed_fields.leaves(obj)), subresources)
    entries = [
        {"manager": manager, "operation": "Update", "apiVersion": obj["apiVersion"], "time": world.stamp(at)}
        | {"fieldsType": "FieldsV1", "fieldsV1": fields}
        | ({"subresource": subresource} if subresource else {})
        for (manager, at, subresource), fields in zip(writers, parts, strict=True)
    ]
    entries.sort(key=lambda entry: (entry["time"], entry["manager"]))
    return obj | {"metadata": obj["metadata"] | {"managedFields": entries}}


@lru_cache(maxsize=4096)
def _parts(paths: frozenset[tuple[str, ...]], subresources: tuple[str, ...]) -> tuple[Object, ...]:
    """fieldsV1 of each writer. Most objects keep their fields while their values change."""
    of_status = frozenset(path for path in paths if path[0] == "f:status")
    alone = not any(subresources)
    return tuple(
        managed_fields.tree(of_status if subresource else paths if alone else paths - of_status)
        for subresource in subresources
    )


def condition(world: World, kind: str, status: str, since: int, reason: str = "", message: str = "") -> Object:
    made = {"type": kind, "status": status, "lastTransitionTime": world.stamp(since)}
    made |= {"reason": reason} if reason else {}
    return made | ({"message": message} if message else {})


def event(
    world: World,
    involved: Object,
    reason: str,
    message: str,
    *,
    component: str,
    first: int,
    last: int,
    count: int = 1,
    warning: bool = False,
    host: str = "",
) -> Object:
    """A core/v1 Event about `involved`. Those of cluster-scoped objects lie in the namespace default."""
    about = involved["metadata"]
    namespace = about.get("namespace", "default")
    suffix = hexadecimal(16, world.cluster, involved["kind"], namespace, about["name"], reason, first)
    obj: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata(world, "Event", namespace, f"{about['name']}.{suffix}", created=first),
        "involvedObject": _reference_to(involved),
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": component} | ({"host": host} if host else {}),
        "firstTimestamp": world.stamp(first),
        "lastTimestamp": world.stamp(last),
        "count": count,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": host,
    }
    return managed(world, obj, (component, last, ""))


def _reference_to(obj: Object) -> Object:
    about = obj["metadata"]
    namespace = {"namespace": about["namespace"]} if "namespace" in about else {}
    return (
        {"kind": obj["kind"]}
        | namespace
        | {"name": about["name"], "uid": about["uid"], "apiVersion": obj["apiVersion"]}
    )


def deployment(
    world: World,
    namespace: str,
    name: str,
    image: str,
    *,
    labels: Mapping[str, str],
    args: list[str],
    ready: bool,
    since: int,
    generation: int = 1,
    installed: int = -FOREVER,
) -> Object:
    """One controller. Not `ready`: its only pod does not become available, since that time.

    `installed` is when helm wrote it last, if that was after it was made.
    """
    selector = {"app.kubernetes.io/name": labels.get("app.kubernetes.io/name", name)}
    container = {"name": name, "image": image, "args": args}
    template = {"metadata": {"labels": selector}, "spec": {"containers": [container], "serviceAccountName": name}}
    obj: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(world, "Deployment", namespace, name, generation=generation, labels=dict(labels)),
        "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": template},
        "status": _deployment_status(world, ready, since, generation),
    }
    wrote = max(world.born("Deployment", namespace, name), installed)
    return managed(world, obj, ("helm", wrote, ""), ("kube-controller-manager", since, "status"))


def _deployment_status(world: World, ready: bool, since: int, generation: int) -> Object:
    if ready:
        available = condition(world, "Available", "True", since, "MinimumReplicasAvailable")
        counts = {"readyReplicas": 1, "availableReplicas": 1}
    else:
        available = condition(world, "Available", "False", since, "MinimumReplicasUnavailable")
        counts = {"unavailableReplicas": 1}
    return {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "conditions": [available]} | counts


def namespace(world: World, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(world, "Namespace", "", name, labels={"kubernetes.io/metadata.name": name}),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def secret(
    world: World,
    namespace: str,
    name: str,
    keys: list[str],
    *,
    owner: Object | None,
    manager: str,
    at: int,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    created: int | None = None,
    kind: str = "Opaque",
) -> Object:
    """A target Secret. Its values are empty strings: there is nothing to leak."""
    obj: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "data": dict.fromkeys(keys, ""),
        "metadata": metadata(
            world,
            "Secret",
            namespace,
            name,
            created=created,
            labels=labels,
            annotations=annotations,
            ownerReferences=[_controlled_by(owner)] if owner else [],
        ),
    }
    return managed(world, obj, (manager, at, ""))


def _controlled_by(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
