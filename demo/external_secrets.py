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
    """One ExternalSecret with its target. `partly` lists a provider key that does not exist (deletionPolicy Merge)."""

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

    def signature(self, t: int) -> Hashable:
        failure = self._failure(t)
        rotated = self._rotation(t)
        refreshed = self._refreshed(t)
        return (
            refreshed,
            failure and (failure[0], retries(failure[0], t)),
            rotated,
            t - refreshed < HOUR,
            rotated is not None and t - rotated[0] < HOUR,
        )

    def _born(self) -> int:
        return self.world.born("ExternalSecret", self.namespace, self.name)

    def _refreshed(self, t: int) -> int:
        return self._born() if self.policy else self.refreshes.refreshed_at(t)

    def _failure(self, t: int) -> tuple[int, str] | None:
        failure = None if self.policy else self.refreshes.failure(t)
        return None if failure is None else (failure.since, failure.trouble.cause)

    def _rotation(self, t: int) -> tuple[int, int] | None:
        """When the last rotation arrived in the target, and which one it was."""
        for window in self.rotations.recent(t, 3):
            if not self.policy and (changed := self.refreshes.changed_at(window.start)) <= t:
                return changed, window.number
        return None

    def _labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/part-of": self.namespace, "argocd.argoproj.io/instance": f"{self.namespace}-secrets"}

    def _spec(self) -> Object:
        data = [{"secretKey": name, "remoteRef": {"key": self.key, "property": name}} for name in self.properties]
        if self.partly:
            data.append({"secretKey": self.partly, "remoteRef": {"key": self.key, "property": self.partly}})
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
        return shapes.condition(
            self.world, "Ready", "True", self._born() if good is None else good, "SecretSynced", "secret synced"
        )

    def build(self, t: int) -> list[Object]:
        refreshed, failure = self._refreshed(t), self._failure(t)
        owners = (
            []
            if not self.owner
            else [
                {
                    "apiVersion": f"{GROUP}/v1",
                    "kind": "ClusterExternalSecret",
                    "name": self.owner,
                    "controller": True,
                    "blockOwnerDeletion": True,
                    "uid": self.world.uid("ClusterExternalSecret", "", self.owner, ""),
                }
            ]
        )
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ExternalSecret",
            "metadata": shapes.metadata(
                self.world,
                "ExternalSecret",
                self.namespace,
                self.name,
                generation=1,
                labels=self._labels(),
                finalizers=["externalsecrets.external-secrets.io/externalsecret-cleanup"],
                ownerReferences=owners,
            ),
            "spec": self._spec(),
            "status": {
                "binding": {"name": self.name},
                "conditions": [self._condition(t)],
                "refreshTime": self.world.stamp(refreshed),
                "syncedResourceVersion": synced_resource_version(1, {}, self._labels()),
            },
        }
        wrote = failure[0] if failure else refreshed
        obj = shapes.managed(self.world, obj, (GITOPS, self._born(), ""), (CONTROLLER, wrote, "status"))
        return [obj, self._target(obj, t), *self._events(obj, t)]

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
            annotations={"reconcile.external-secrets.io/data-hash": shapes.hexadecimal(56, self.key, version)},
        )

    def _events(self, obj: Object, t: int) -> list[Object]:
        events, rotated, failure, refreshed = [], self._rotation(t), self._failure(t), self._refreshed(t)
        if rotated is not None and t - rotated[0] < HOUR:
            events.append(self._event(obj, "Updated", "secret updated", rotated[0], rotated[0]))
        if failure is not None:
            count, last = retries(failure[0], t)
            message = f"error processing spec.data[0] (key: {self.key}), err: {failure[1]}"
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
                "externalSecretSpec": self.child._spec(),
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
