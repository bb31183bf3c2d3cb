"""ExternalSecrets and PushSecrets of the story: refreshes, and what the controller (2.9.0) writes about them."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field

from demo import shapes
from demo.shapes import Object, World
from demo.stores import CONTROLLER, GITOPS, GROUP, Store
from demo.timeline import HOUR, MINUTE, Failure, Refreshes, Trouble, retries

_PUSHED = "PushSecret synced successfully"


def go_map(values: dict[str, str]) -> str:
    """A map as Go's %+v prints it, keys in byte order."""
    return "map[" + " ".join(f"{key}:{values[key]}" for key in sorted(values)) + "]"


def synced_resource_version(generation: int, annotations: dict[str, str], labels: dict[str, str]) -> str:
    """status.syncedResourceVersion since External Secrets 0.16.2 (pkg/controllers/util/util.go), with SHA3-224."""
    text = f"{{annotations:{go_map(annotations)} labels:{go_map(labels)}}}"
    return f"{generation}-{hashlib.sha3_224(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class ExternalSecret:
    """One ExternalSecret with its target. `partly` lists a provider key that does not exist (deletionPolicy Merge).

    In a `respecified` window it names another key than it should. `value` is what makes the value of its target: the
    key, unless somebody copied the value from another one. `since` is when it was made, if that is part of the story;
    `rotate_after` are the days after which its owner wants another value.
    """

    world: World
    namespace: str
    name: str
    store: Store
    interval: str
    key: str
    properties: tuple[str, ...]
    refreshes: Refreshes
    rotations: Trouble = field(default_factory=Trouble)
    policy: str = ""
    partly: str = ""
    owner: str = ""
    respecified: Trouble = field(default_factory=Trouble)
    value: str = ""
    since: int | None = None
    rotate_after: str = ""

    def signature(self, t: int) -> Hashable:
        failure = self._failure(t)
        rotated = self._rotation(t)
        refreshed = self._refreshed(t)
        return (
            t < self._born(),
            refreshed,
            self._generation(t),
            failure and (failure[0], retries(failure[0], t)),
            rotated,
            t - refreshed < HOUR,
            rotated is not None and t - rotated[0] < HOUR,
        )

    def _born(self) -> int:
        return self.world.born("ExternalSecret", self.namespace, self.name) if self.since is None else self.since

    def _generation(self, t: int) -> int:
        return 1 + self.respecified.changes(t)

    def _refreshed(self, t: int) -> int:
        return self._born() if self.policy else max(self._born(), self.refreshes.refreshed_at(t))

    def _failure(self, t: int) -> tuple[int, str] | None:
        failure = None if self.policy else self.refreshes.failure(t)
        return None if failure is None else (failure.since, failure.trouble.cause)

    def _rotation(self, t: int) -> tuple[int, int] | None:
        """When the last rotation arrived in the target, and which one it was."""
        for window in self.rotations.recent(t, 3):
            if not self.policy and (changed := self.refreshes.changed_at(window.start)) <= t:
                return max(changed, self._born()), window.number
        return None

    def _annotations(self) -> dict[str, str]:
        return {"secretsdash.io/rotate-after-days": self.rotate_after} if self.rotate_after else {}

    def _labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/part-of": self.namespace, "argocd.argoproj.io/instance": f"{self.namespace}-secrets"}

    def _key(self, t: int) -> str:
        return f"{self.key}-v2" if self.respecified.at(t) else self.key

    def spec(self, t: int) -> Object:
        key = self._key(t)
        data = [{"secretKey": name, "remoteRef": {"key": key, "property": name}} for name in self.properties]
        if self.partly:
            data.append({"secretKey": self.partly, "remoteRef": {"key": key, "property": self.partly}})
        spec: Object = {
            "refreshInterval": self.interval,
            "secretStoreRef": {"kind": self.store.kind, "name": self.store.name},
            "target": {
                "name": self.name,
                "creationPolicy": "Owner",
                "deletionPolicy": "Merge" if self.partly else "Retain",
            },
            "data": data,
        }
        return spec | ({"refreshPolicy": self.policy} if self.policy else {})

    def _condition(self, t: int) -> Object:
        failure = self._failure(t)
        if failure is not None:
            return shapes.condition(
                self.world, "Ready", "False", failure[0], "SecretSyncedError", "could not get secret data from provider"
            )
        good = None if self.policy else self.refreshes.good_since(t)
        since = self._born() if good is None else max(self._born(), good)
        return shapes.condition(self.world, "Ready", "True", since, "SecretSynced", "secret synced")

    def _owners(self) -> list[Object]:
        if not self.owner:
            return []
        uid = self.world.uid("ClusterExternalSecret", "", self.owner, "")
        owned = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterExternalSecret", "name": self.owner, "uid": uid}
        return [owned | {"controller": True, "blockOwnerDeletion": True}]

    def build(self, t: int) -> list[Object]:
        if t < self._born():
            return []
        refreshed, failure = self._refreshed(t), self._failure(t)
        metadata = shapes.metadata(
            self.world,
            "ExternalSecret",
            self.namespace,
            self.name,
            created=self._born(),
            generation=self._generation(t),
            labels=self._labels(),
            annotations=self._annotations(),
            finalizers=["externalsecrets.external-secrets.io/externalsecret-cleanup"],
            ownerReferences=self._owners(),
        )
        synced = synced_resource_version(self._generation(refreshed), self._annotations(), self._labels())
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ExternalSecret",
            "metadata": metadata,
            "spec": self.spec(t),
            "status": {
                "binding": {"name": self.name},
                "conditions": [self._condition(t)],
                "refreshTime": self.world.stamp(refreshed),
                "syncedResourceVersion": synced,
            },
        }
        wrote = failure[0] if failure else refreshed
        obj = shapes.managed(self.world, obj, *self._writers(t), (CONTROLLER, wrote, "status"))
        return [obj, self._target(obj, t), *self._events(obj, t)]

    def _writers(self, t: int) -> list[shapes.Writer]:
        """Who wrote the spec: the owner at first, then whoever changed it last."""
        changed = self.respecified.changed_at(t)
        if changed is None:
            return [(GITOPS, self._born(), "")]
        return [(self.respecified.by if self.respecified.at(t) else GITOPS, changed, "")]

    def _target(self, obj: Object, t: int) -> Object:
        changed, version = self._rotation(t) or (self._born(), "first")
        owner_hash = hashlib.sha3_224(f"{self.namespace}/{self.name}".encode()).hexdigest()
        return shapes.secret(
            self.world,
            self.namespace,
            self.name,
            list(self.properties),
            owner=obj,
            manager=f"externalsecrets.external-secrets.io/{self.name}",
            at=changed,
            labels=self._labels()
            | {"reconcile.external-secrets.io/managed": "true", "reconcile.external-secrets.io/created-by": owner_hash},
            annotations={"reconcile.external-secrets.io/data-hash": self._data_hash(version)},
            created=self._born(),
        )

    def _data_hash(self, version: int | str) -> str:
        """Equal wherever the same key is read in the same form, as with the controller's hash of the same data."""
        return shapes.hexadecimal(56, self.value or self.key, *self.properties, version)

    def _events(self, obj: Object, t: int) -> list[Object]:
        events, rotated, failure, refreshed = [], self._rotation(t), self._failure(t), self._refreshed(t)
        if rotated is not None and self._born() < rotated[0] and t - rotated[0] < HOUR:
            events.append(self._event(obj, "Updated", "secret updated", rotated[0], rotated[0]))
        if failure is not None:
            count, last = retries(failure[0], t)
            message = f"error processing spec.data[0] (key: {self._key(t)}), err: {failure[1]}"
            events.append(self._event(obj, "UpdateFailed", message, failure[0], last, count=count, warning=True))
        if self.partly and t - refreshed < HOUR:
            first = refreshed - refreshed % (12 * HOUR)
            count = 1 + (refreshed - first) // (15 * MINUTE)
            text = f"secret does not exist at provider using spec.dataFrom[{len(self.properties)}] (key={self.key})"
            events.append(self._event(obj, "MissingProviderSecret", text, first, refreshed, count=count))
        return events

    def _event(
        self, obj: Object, reason: str, message: str, first: int, last: int, *, count: int = 1, warning: bool = False
    ) -> Object:
        return shapes.event(
            self.world, obj, reason, message, component=CONTROLLER, first=first, last=last, count=count, warning=warning
        )


@dataclass(frozen=True)
class Poison:
    """An ExternalSecret with an interval in days, which Go does not know: the controller is blind while it is there."""

    world: World
    namespace: str
    name: str
    store: Store
    there: Trouble

    def signature(self, t: int) -> Hashable:
        return self.there.at(t)

    def build(self, t: int) -> list[Object]:
        window = self.there.at(t)
        if window is None:
            return []
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ExternalSecret",
            "metadata": shapes.metadata(
                self.world, "ExternalSecret", self.namespace, self.name, generation=1, created=window.start
            ),
            "spec": {
                "refreshInterval": "1d",
                "secretStoreRef": {"kind": self.store.kind, "name": self.store.name},
                "target": {"name": self.name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
                "data": [{"secretKey": "token", "remoteRef": {"key": "qa-nightly", "property": "token"}}],
            },
        }
        return [shapes.managed(self.world, obj, ("kubectl-client-side-apply", window.start, ""))]


@dataclass(frozen=True)
class PushSecret:
    """A PushSecret that copies one Secret to a store every five minutes, unless the provider refuses."""

    world: World
    namespace: str
    name: str
    store: Store
    key: str
    refreshes: Refreshes

    def signature(self, t: int) -> Hashable:
        refreshed, failure = self.refreshes.refreshed_at(t), self.refreshes.failure(t)
        return (refreshed, t - refreshed < HOUR, failure and (failure.since, retries(failure.since, t)))

    def build(self, t: int) -> list[Object]:
        refreshed, failure = self.refreshes.refreshed_at(t), self.refreshes.failure(t)
        born = self.world.born("PushSecret", self.namespace, self.name)
        labels = {"app.kubernetes.io/part-of": self.namespace}
        entry = {"match": {"secretKey": "password", "remoteRef": {"remoteKey": self.key}}}
        obj: Object = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "PushSecret",
            "metadata": shapes.metadata(
                self.world, "PushSecret", self.namespace, self.name, generation=1, labels=labels
            ),
            "spec": self._spec(entry),
            "status": {
                "conditions": [self._condition(t, failure, born)],
                "refreshTime": self.world.stamp(refreshed),
                "syncedPushSecrets": {f"{self.store.kind}/{self.store.name}": {self.key: entry}},
                "syncedResourceVersion": synced_resource_version(1, {}, labels),
            },
        }
        wrote = failure.since if failure else refreshed
        obj = shapes.managed(self.world, obj, (GITOPS, born, ""), (CONTROLLER, wrote, "status"))
        return [obj] if failure is None and t - refreshed >= HOUR else [obj, self._event(obj, t, failure, refreshed)]

    def _spec(self, entry: Object) -> Object:
        return {
            "refreshInterval": "5m",
            "deletionPolicy": "None",
            "updatePolicy": "Replace",
            "secretStoreRefs": [{"kind": self.store.kind, "name": self.store.name}],
            "selector": {"secret": {"name": self.name}},
            "data": [entry],
        }

    def _error(self, failure: Failure) -> str:
        written = f"could not write remote ref {self.key} to target secretstore {self.store.name}"
        return f"set secret failed: {written}: {failure.trouble.cause}"

    def _condition(self, t: int, failure: Failure | None, born: int) -> Object:
        if failure:
            return shapes.condition(self.world, "Ready", "False", failure.since, "Errored", self._error(failure))
        good = self.refreshes.good_since(t)
        since = born if good is None else good
        return shapes.condition(self.world, "Ready", "True", since, "Synced", _PUSHED)

    def _event(self, obj: Object, t: int, failure: Failure | None, refreshed: int) -> Object:
        if failure is None:
            return shapes.event(
                self.world, obj, "Synced", _PUSHED, component="pushsecret", first=refreshed, last=refreshed
            )
        count, last = retries(failure.since, t)
        return shapes.event(
            self.world,
            obj,
            "Errored",
            self._error(failure),
            component="pushsecret",
            first=failure.since,
            last=last,
            count=count,
            warning=True,
        )


@dataclass(frozen=True)
class ClusterExternalSecret:
    """The parent of ExternalSecrets of one name in several namespaces."""

    world: World
    name: str
    child: ExternalSecret
    namespaces: tuple[str, ...]

    def signature(self, t: int) -> Hashable:
        return None

    def build(self, t: int) -> list[Object]:
        born = self.world.born("ClusterExternalSecret", "", self.name)
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterExternalSecret",
            "metadata": shapes.metadata(
                self.world,
                "ClusterExternalSecret",
                "",
                self.name,
                generation=1,
                finalizers=["externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"],
            ),
            "spec": {
                "externalSecretName": self.child.name,
                "externalSecretSpec": self.child.spec(t),
                "refreshTime": "1h",
                "namespaceSelectors": [{"matchLabels": {"registry": "pull"}}],
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "externalSecretName": self.child.name,
                "provisionedNamespaces": list(self.namespaces),
            },
        }
        return [shapes.managed(self.world, obj, (GITOPS, born, ""), (CONTROLLER, born, "status"))]
