"""Create, update, patch and delete, with the fields that the server itself keeps."""

import uuid
from dataclasses import dataclass
from typing import Any

from demo.apiserver import managed_fields, status
from demo.apiserver.reads import find
from demo.apiserver.store import Object, Store, Stored, Table

_KEPT = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


@dataclass(frozen=True, slots=True)
class Writer:
    """One write request: who writes (`manager`), through which served version, and to which subresource."""

    store: Store
    table: Table
    version: str
    manager: str
    subresource: str = ""

    @property
    def _now(self) -> str:
        return f"{self.store.now():%Y-%m-%dT%H:%M:%SZ}"

    def _managed(self, before: Object | None, after: Object) -> list[Object]:
        return managed_fields.updated(
            before,
            after,
            manager=self.manager,
            now=self.store.now(),
            api_version=self.table.kind.api_version(self.version),
            subresource=self.subresource,
        )

    def create(self, namespace: str, body: Object) -> Stored:
        kind = self.table.kind
        self._check_type(body)
        obj = {name: value for name, value in body.items() if not (name == "status" and kind.status)}
        given = dict(body.get("metadata") or {})
        name = given.get("name") or (
            given.get("generateName", "") + uuid.uuid4().hex[:5] if given.get("generateName") else ""
        )
        if not name:
            raise status.invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
        if given.get("namespace", namespace) != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if (namespace, name) in self.table.objects:
            raise status.already_exists(kind, name)
        for field in ("resourceVersion", "managedFields", *_KEPT):
            given.pop(field, None)
        own = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": self._now}
        own |= {"namespace": namespace} if namespace else {}
        own |= {"generation": 1} if kind.generation else {}
        obj["metadata"] = given | own
        if kind.kind == "Secret" and "stringData" in obj:
            raise status.bad_request("stringData is not simulated: no secret values belong here")
        obj["metadata"]["managedFields"] = self._managed(None, obj)
        return self.store.write(self.table, obj)

    def _check_type(self, body: Object) -> None:
        kind = self.table.kind
        if body.get("kind", kind.kind) != kind.kind or body.get("apiVersion", "") not in (
            "",
            kind.api_version(self.version),
        ):
            raise status.bad_request(f"{kind.kind} in version {self.version!r} cannot be handled as this object")

    def replace(self, namespace: str, name: str, body: Object) -> Stored:
        """PUT. A resourceVersion that is not the present one is a conflict; custom resources must give one."""
        before = find(self.table, namespace, name)
        self._check_type(body)
        given = body.get("metadata") or {}
        version = given.get("resourceVersion")
        if given.get("name") != name:
            raise status.bad_request(
                f"the name of the object ({given.get('name', '')}) does not match the name on the URL ({name})"
            )
        if self.table.kind.custom and not version:
            raise status.invalid(
                self.table.kind, name, "metadata.resourceVersion", "Invalid value: 0: must be specified for an update"
            )
        if version and version != before.obj["metadata"]["resourceVersion"]:
            raise status.conflict(self.table.kind, name)
        return self._store(before, body)

    def patch(self, namespace: str, name: str, patch: Object) -> Stored:
        """JSON merge patch (RFC 7386)."""
        before = find(self.table, namespace, name)
        merged = _merge(before.obj, patch)
        if merged["metadata"].get("resourceVersion") != before.obj["metadata"]["resourceVersion"]:
            raise status.conflict(self.table.kind, name)
        return self._store(before, merged)

    def _store(self, before: Stored, body: Object) -> Stored:
        after = self._kept(before, body)
        if _content(after) == _content(before.obj):
            return before  # kube-apiserver writes nothing, not even a version
        if self.table.kind.generation and _spec(after, self.table) != _spec(before.obj, self.table):
            after["metadata"]["generation"] = before.obj["metadata"].get("generation", 1) + 1
        after["metadata"]["managedFields"] = self._managed(before.obj, after)
        stored = self.store.write(self.table, after)
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            return self.store.delete(self.table, stored.key)
        return stored

    def _kept(self, before: Stored, body: Object) -> Object:
        """The new state: what this endpoint may change from `body`, all else as before."""
        old = before.obj
        if self.subresource == "status":
            return old | {"status": body.get("status", {}), "metadata": dict(old["metadata"])}
        metadata = dict(body.get("metadata") or {})
        for field in ("name", "namespace", "managedFields", *_KEPT):
            metadata.pop(field, None)
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        after = body | {"metadata": metadata}
        if self.table.kind.status:
            after.pop("status", None)
            after |= {"status": old["status"]} if "status" in old else {}
        return after

    def delete(self, namespace: str, name: str, uid: str = "") -> tuple[Stored, bool]:
        """Remove, or mark as deleted while finalizers are left. True: it is gone."""
        before = find(self.table, namespace, name)
        if uid and uid != before.obj["metadata"].get("uid"):
            raise status.conflict(self.table.kind, name)
        if not before.obj["metadata"].get("finalizers"):
            return self.store.delete(self.table, before.key), True
        if "deletionTimestamp" in before.obj["metadata"]:
            return before, False
        marked = before.obj["metadata"] | {"deletionTimestamp": self._now, "deletionGracePeriodSeconds": 0}
        if self.table.kind.generation:
            marked["generation"] = marked.get("generation", 1) + 1
        return self.store.write(self.table, before.obj | {"metadata": marked}), False


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _content(obj: Object) -> Object:
    """What makes two states equal: everything but the fields of the server's own bookkeeping and the type."""
    metadata = {
        name: value
        for name, value in obj["metadata"].items()
        if name not in ("resourceVersion", "managedFields", "generation")
    }
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")} | {"metadata": metadata}


def _spec(obj: Object, table: Table) -> Object:
    """What `generation` counts: all but metadata, and all but status where that is a subresource."""
    hidden = {"apiVersion", "kind", "metadata"} | ({"status"} if table.kind.status else set())
    return {name: value for name, value in obj.items() if name not in hidden}
