"""The Secrets Store CSI Driver in the story (1.6.0): classes, mounts of pods, the driver on the nodes."""

import json
from collections.abc import Hashable
from dataclasses import dataclass, field

from demo import shapes
from demo.shapes import Object, World
from demo.timeline import Trouble

GROUP = "secrets-store.csi.x-k8s.io"
DRIVER = "secrets-store.csi.k8s.io"
CONTROLLER = "csi-secrets-store"
SPREAD = (15, 90, 170, 200)
"""Seconds after a rotation at which the first, second ... pod follows: rotation interval and kubelet sync."""


@dataclass(frozen=True)
class Mounts:
    """One SecretProviderClass and the pods that mount it.

    `rotations` are changes at the provider: their windows end when the last pod, the laggard, has followed.
    """

    world: World
    namespace: str
    name: str
    provider: str
    objects: tuple[str, ...]
    pods: int
    nodes: tuple[str, ...]
    rotations: Trouble = field(default_factory=Trouble)

    def signature(self, t: int) -> Hashable:
        return tuple(self._version(t, pod) for pod in range(self.pods))

    def _version(self, t: int, pod: int) -> tuple[int, int]:
        """Which version a pod carries and since when."""
        for window in self.rotations.recent(t, 3):
            arrives = window.end if pod == self.pods - 1 else window.start + SPREAD[pod % len(SPREAD)]
            if arrives <= t:
                return window.number + len(self.rotations.back) + 1, arrives
        return 0, self._pod_born(pod)

    def _pod_born(self, pod: int) -> int:
        return -(40 * 86_400 + shapes.number(self.world.cluster, self.namespace, self.name, pod) % (9 * 86_400))

    def build(self, t: int) -> list[Object]:
        born = self.world.born("SecretProviderClass", self.namespace, self.name)
        provided: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "SecretProviderClass",
            "metadata": shapes.metadata(self.world, "SecretProviderClass", self.namespace, self.name, generation=1),
            "spec": {"provider": self.provider, "parameters": self._parameters()},
        }
        provided = shapes.managed(self.world, provided, ("argocd-controller", born, ""))
        return [provided, *(obj for pod in range(self.pods) for obj in self._pod(t, pod))]

    def _parameters(self) -> dict[str, str]:
        if self.provider == "aws":
            listed = [{"objectName": name, "objectType": "secretsmanager"} for name in self.objects]
            return {"region": "us-east-1", "objects": json.dumps(listed)}
        listed = [{"objectName": name, "objectType": "secret", "objectVersion": ""} for name in self.objects]
        return {
            "keyvaultName": "kv-example-prod",
            "cloudName": "",
            "usePodIdentity": "false",
            "clientID": "5f9a3f0e-0b0e-4d1c-9d52-3a8f3b1d7c20",
            "tenantId": "0b6c1e7a-2f4d-4f0b-8d0e-6a4c2b9e5f11",
            "objects": json.dumps({"array": [json.dumps(entry) for entry in listed]}),
        }

    def _object(self, name: str, version: int) -> Object:
        seed = (self.namespace, self.name, name, version)
        if self.provider == "aws":
            digits = shapes.hexadecimal(32, *seed)
            parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
            return {"id": name.replace("/", "_"), "version": "-".join(parts)}
        return {"id": f"secret/{name}", "version": shapes.hexadecimal(32, *seed)}

    def _pod(self, t: int, pod: int) -> list[Object]:
        version, since = self._version(t, pod)
        replica_set = f"{self.name}-{shapes.pod_suffix(10, self.world.cluster, self.namespace, self.name)}"
        name = f"{replica_set}-{shapes.pod_suffix(5, self.world.cluster, self.namespace, self.name, pod)}"
        node = self.nodes[pod % len(self.nodes)]
        running = pod_object(
            self.world,
            self.namespace,
            name,
            self.name,
            node,
            created=self._pod_born(pod),
            replica_set=replica_set,
            running=True,
        )
        uid = running["metadata"]["uid"]
        mounted: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "SecretProviderClassPodStatus",
            "metadata": shapes.metadata(
                self.world,
                "SecretProviderClassPodStatus",
                self.namespace,
                f"{name}-{self.namespace}-{self.name}",
                created=self._pod_born(pod),
                generation=version + 1,
                labels={"internal.secrets-store.csi.k8s.io/node-name": node},
                ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}],
            ),
            "status": {
                "mounted": True,
                "podName": name,
                "secretProviderClassName": self.name,
                "targetPath": f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/secrets/mount",
                "objects": [self._object(entry, version) for entry in self.objects],
            },
        }
        return [running, shapes.managed(self.world, mounted, (CONTROLLER, since, ""))]


def pod_object(
    world: World,
    namespace: str,
    name: str,
    provider_class: str,
    node: str,
    *,
    created: int,
    replica_set: str,
    running: bool,
) -> Object:
    """A pod with one CSI volume; one that is not running waits for its mount."""
    ready = shapes.condition(
        world, "Ready", "True" if running else "False", created, "" if running else "ContainersNotReady"
    )
    owner = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": replica_set,
            "controller": True,
            "uid": world.uid("ReplicaSet", namespace, replica_set, ""),
        }
    ]
    obj: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": shapes.metadata(
            world, "Pod", namespace, name, created=created, labels={"app": provider_class}, ownerReferences=owner
        ),
        "spec": _pod_spec(namespace, provider_class, node),
        "status": {
            "phase": "Running" if running else "Pending",
            "conditions": [ready],
            "startTime": world.stamp(created),
        },
    }
    return shapes.managed(world, obj, ("kube-controller-manager", created, ""), ("kubelet", created, "status"))


def _pod_spec(namespace: str, provider_class: str, node: str) -> Object:
    volume = {"driver": DRIVER, "readOnly": True, "volumeAttributes": {"secretProviderClass": provider_class}}
    container = {
        "name": "app",
        "image": f"registry.example.com/{namespace}/{provider_class}:2.4.1",
        "volumeMounts": [{"name": "secrets", "readOnly": True, "mountPath": "/mnt/secrets"}],
    }
    return {
        "nodeName": node,
        "serviceAccountName": provider_class,
        "volumes": [{"name": "secrets", "csi": volume}],
        "containers": [container],
    }


@dataclass(frozen=True)
class Driver:
    """CSIDriver, CSINodes and DaemonSets. While `missing`, the last node has no driver and a new pod waits there."""

    world: World
    nodes: tuple[str, ...]
    provider: str
    pending: Mounts
    missing: Trouble = field(default_factory=Trouble)

    def signature(self, t: int) -> Hashable:
        window = self.missing.at(t)
        return (window, window is not None and (t - window.start) // 60)

    def build(self, t: int) -> list[Object]:
        window = self.missing.at(t)
        driver: Object = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": shapes.metadata(self.world, "CSIDriver", "", DRIVER),
            "spec": {
                "attachRequired": False,
                "podInfoOnMount": True,
                "volumeLifecycleModes": ["Ephemeral"],
                "storageCapacity": False,
                "fsGroupPolicy": "ReadWriteOnceWithFSType",
                "requiresRepublish": True,
                "tokenRequests": [{"audience": "api://AzureADTokenExchange"}],
                "seLinuxMount": False,
            },
        }
        nodes = [self._node(node, registered=window is None or node != self.nodes[-1]) for node in self.nodes]
        ready = len(self.nodes) - (1 if window else 0)
        sets = [
            self._daemon_set(
                "csi-secrets-store",
                "secrets-store",
                "registry.k8s.io/csi-secrets-store/driver:v1.6.0",
                ["--enable-secret-rotation=true", "--rotation-poll-interval=2m", f"--drivername={DRIVER}"],
                ready,
            ),
            self._daemon_set(
                f"csi-secrets-store-provider-{self.provider}",
                "provider",
                f"registry.example.com/csi-provider-{self.provider}:v1.8.2",
                [],
                len(self.nodes),
            ),
        ]
        return [driver, *nodes, *sets, *self._waiting(t)]

    def _node(self, node: str, *, registered: bool) -> Object:
        drivers = [{"name": DRIVER, "nodeID": node, "topologyKeys": None}] if registered else []
        owner = [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": self.world.uid("Node", "", node, "")}]
        return {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": shapes.metadata(self.world, "CSINode", "", node, ownerReferences=owner),
            "spec": {"drivers": drivers},
        }

    def _daemon_set(self, name: str, container: str, image: str, args: list[str], ready: int) -> Object:
        wanted = len(self.nodes)
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": container, "image": image, "args": args}]},
        }
        status = {
            "currentNumberScheduled": wanted,
            "desiredNumberScheduled": wanted,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "updatedNumberScheduled": wanted,
            "observedGeneration": 1,
        } | ({"numberUnavailable": wanted - ready} if ready < wanted else {})
        return {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": shapes.metadata(
                self.world, "DaemonSet", "kube-system", name, generation=1, labels={"app": name}
            ),
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
            "status": status,
        }

    def _waiting(self, t: int) -> list[Object]:
        """The pod that cannot start while its node has no driver, with kubelet's complaint."""
        window, mounts = self.missing.at(t), self.pending
        if window is None:
            return []
        started = window.start + 20
        if t < started:
            return []
        replica_set = f"{mounts.name}-{shapes.pod_suffix(10, self.world.cluster, window.number)}"
        name = f"{replica_set}-{shapes.pod_suffix(5, self.world.cluster, window.number, 'waiting')}"
        pod = pod_object(
            self.world,
            mounts.namespace,
            name,
            mounts.name,
            self.nodes[-1],
            created=started,
            replica_set=replica_set,
            running=False,
        )
        text = (
            'MountVolume.SetUp failed for volume "secrets" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI '
            f"client: driver name {DRIVER} not found in the list of registered CSI drivers"
        )
        last = max(started, window.start + (t - window.start) // 60 * 60)
        return [
            pod,
            shapes.event(
                self.world,
                pod,
                "FailedMount",
                text,
                component="kubelet",
                host=self.nodes[-1],
                first=started,
                last=last,
                count=1 + (last - started) // 60,
                warning=True,
            ),
        ]
