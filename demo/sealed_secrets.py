"""Sealed Secrets in the story: SealedSecrets, sealing keys and their certificates, as controller 0.36.6 leaves them."""

import base64
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from demo import shapes
from demo.shapes import Object, World
from demo.timeline import DAY, HOUR, Trouble

API = "bitnami.com/v1alpha1"
CONTROLLER = "controller"
EDITOR = "kubectl-edit"
SERVICE = "kube-system/sealed-secrets-controller"
KEY_BITS = 2048
LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"


def sealed_item(length: int, *seed: object) -> str:
    """Something in the layout of a sealed item: two bytes of RSA length, RSA block, ciphertext of `length`, tag.

    Source: sealed-secrets 0.36.6, pkg/crypto/crypto.go. The bytes are a hash of the name; nothing is encrypted.
    """
    block = KEY_BITS // 8
    noise = hashlib.shake_256("/".join(map(str, seed)).encode()).digest(block + length + 16)
    return base64.b64encode(block.to_bytes(2, "big") + noise).decode()


@dataclass(frozen=True)
class SealedSecret:
    """One SealedSecret.

    In a `broken` window it carries items that no key of the cluster can open, in an `edited` one somebody has changed
    its Secret by hand.
    """

    world: World
    namespace: str
    name: str
    items: tuple[str, ...]
    broken: Trouble = field(default_factory=Trouble)
    resealed: Trouble = field(default_factory=Trouble)
    scope: str = ""
    edited: Trouble = field(default_factory=Trouble)

    def _edits(self, t: int) -> list[int]:
        """The last edit of the spec and how many there were: sealing anew, breaking and repairing all are edits."""
        window, last = self.broken.at(t), self.resealed.latest(t)
        broke = self.broken.latest(t)
        count = self.resealed.count(t) + 2 * self.broken.count(t) - (1 if window else 0)
        times = [self._born()] + ([last.start] if last else [])
        if broke:
            times.append(broke.start if window else broke.end)
        return [max(times), count]

    def _born(self) -> int:
        return self.world.born("SealedSecret", self.namespace, self.name)

    def signature(self, t: int) -> Hashable:
        edited, count = self._edits(t)
        return (edited, count, self.broken.at(t), self.edited.at(t), t - edited < HOUR)

    def _annotations(self) -> dict[str, str]:
        return {f"sealedsecrets.bitnami.com/{self.scope}": "true"} if self.scope else {}

    def _condition(self, t: int, edited: int) -> Object:
        window, last = self.broken.at(t), self.broken.latest(t)
        flipped = window.start if window else last.end if last else self._born()
        made: Object = {
            "type": "Synced",
            "status": "False" if window else "True",
            "lastUpdateTime": self.world.stamp(edited),
            "lastTransitionTime": self.world.stamp(flipped),
        }
        return made | ({"message": self._error()} if window else {})

    def _error(self) -> str:
        return f"no key could decrypt secret ({', '.join(self.items)})"

    def build(self, t: int) -> list[Object]:
        edited, count = self._edits(t)
        generation = 1 + count
        annotations = self._annotations()
        template = {
            "metadata": {"name": self.name, "namespace": self.namespace}
            | ({"annotations": annotations} if annotations else {}),
            "type": "Opaque",
        }
        sealed = {
            item: sealed_item(24, self.world.cluster, self.namespace, self.name, item, generation)
            for item in self.items
        }
        obj: Object = {
            "apiVersion": API,
            "kind": "SealedSecret",
            "metadata": shapes.metadata(
                self.world, "SealedSecret", self.namespace, self.name, generation=generation, annotations=annotations
            ),
            "spec": {"encryptedData": sealed, "template": template},
            "status": {"observedGeneration": generation, "conditions": [self._condition(t, edited)]},
        }
        obj = shapes.managed(self.world, obj, ("argocd-controller", edited, ""), (CONTROLLER, edited, "status"))
        return [obj, *self._target(obj, t), *self._events(obj, t, edited)]

    def _target(self, obj: Object, t: int) -> list[Object]:
        window = self.broken.at(t)
        at, _ = self._edits(window.start - 1 if window and window.start > self._born() else t)
        made = shapes.secret(
            self.world, self.namespace, self.name, list(self.items), owner=obj, manager=CONTROLLER, at=at
        )
        if by_hand := self.edited.at(t):
            made["metadata"]["managedFields"].append(self._edit(by_hand.start))
        return [made]

    def _edit(self, at: int) -> Object:
        return {
            "manager": EDITOR,
            "operation": "Update",
            "apiVersion": "v1",
            "time": self.world.stamp(at),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {f"f:{self.items[0]}": {}}},
        }

    def _events(self, obj: Object, t: int, edited: int) -> list[Object]:
        if t - edited >= HOUR:
            return []
        if self.broken.at(t):
            return [
                shapes.event(
                    self.world,
                    obj,
                    "ErrUnsealFailed",
                    f"Failed to unseal: {self._error()}",
                    component="sealed-secrets",
                    first=edited,
                    last=edited,
                    count=6,
                    warning=True,
                )
            ]
        return [
            shapes.event(
                self.world,
                obj,
                "Unsealed",
                "SealedSecret unsealed successfully",
                component="sealed-secrets",
                first=edited,
                last=edited,
            )
        ]


@dataclass(frozen=True)
class SealingKeys:
    """The controller with its keys: one first key, then one at each renewal. Old keys stay."""

    world: World
    first: int
    renewals: Trouble
    period: str

    def created(self, t: int) -> list[int]:
        """Creation times of all keys there are at `t`, newest last."""
        return sorted([self.first, *(window.start for window in self.renewals.recent(t, 24))])

    def newest(self, t: int) -> tuple[int, int]:
        """A stable number and the creation time of the key whose certificate is served."""
        window = self.renewals.latest(t)
        return (0, self.first) if window is None else (window.start, window.start)

    def signature(self, t: int) -> Hashable:
        return self.newest(t)

    def build(self, t: int) -> list[Object]:
        namespace, _, name = SERVICE.partition("/")
        born = self.world.born("Deployment", namespace, name)
        service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": shapes.metadata(self.world, "Service", namespace, name, labels={"name": name}),
            "spec": {
                "type": "ClusterIP",
                "selector": {"name": name},
                "clusterIP": "10.96.118.7",
                "ports": [{"protocol": "TCP", "port": 8080, "targetPort": 8080}],
            },
            "status": {"loadBalancer": {}},
        }
        controller = shapes.deployment(
            self.world,
            namespace,
            name,
            "docker.io/bitnami/sealed-secrets-controller:0.36.6",
            labels={"name": name, "app.kubernetes.io/name": "sealed-secrets"},
            args=["--update-status", f"--key-renew-period={self.period}", f"--key-size={KEY_BITS}"],
            ready=True,
            since=born,
        )
        return [service, controller, *(self._key(namespace, created) for created in self.created(t))]

    def _key(self, namespace: str, created: int) -> Object:
        name = f"sealed-secrets-key{shapes.pod_suffix(5, self.world.cluster, created)}"
        obj = shapes.secret(
            self.world,
            namespace,
            name,
            ["tls.crt", "tls.key"],
            owner=None,
            manager=CONTROLLER,
            at=created,
            created=created,
            labels={LABEL: "active"},
            kind="kubernetes.io/tls",
        )
        return obj | {"metadata": obj["metadata"] | {"generateName": "sealed-secrets-key"}}


class Certificates:
    """The served certificates: made when first asked for, kept in `known` (name -> PEM) so that they stay the same."""

    def __init__(self, known: dict[str, str]):
        self.known = known

    def pem(self, name: str, not_before: datetime) -> str:
        """A self-signed certificate as the controller makes it: no subject, ten years, CA."""
        if name not in self.known:
            key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
            made = (
                x509.CertificateBuilder()
                .subject_name(x509.Name([]))
                .issuer_name(x509.Name([]))
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(not_before)
                .not_valid_after(not_before + timedelta(seconds=3650 * DAY))
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(key, hashes.SHA256())
            )
            self.known[name] = made.public_bytes(Encoding.PEM).decode()
        return self.known[name]
