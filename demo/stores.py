"""Secret stores of the story and the operator that validates them, as External Secrets 2.9.0 leaves them."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from demo import shapes
from demo.shapes import Object, World
from demo.timeline import HOUR, MINUTE, Trouble, retries

GROUP = "external-secrets.io"
CONTROLLER = "external-secrets"
GITOPS = "argocd-controller"
VALIDATION = 5 * MINUTE


def _specs(provider: str, cluster: str) -> Object:
    region = "us-east-1" if "us" in cluster else "eu-central-1"
    specs: dict[str, Object] = {
        "vault": {
            "vault": {
                "server": "https://vault.example.com",
                "path": "kv",
                "version": "v2",
                "auth": {"kubernetes": {"mountPath": f"kubernetes/{cluster}", "role": "external-secrets"}},
            }
        },
        "aws": {
            "aws": {
                "service": "SecretsManager",
                "region": region,
                "auth": {"jwt": {"serviceAccountRef": {"name": "external-secrets"}}},
            }
        },
        "gcp": {"gcpsm": {"projectID": "example-staging"}},
        "azure": {"azurekv": {"vaultUrl": "https://kv-example-prod.vault.azure.net", "authType": "WorkloadIdentity"}},
    }
    return specs[provider]


@dataclass(frozen=True)
class Store:
    """A SecretStore, or a ClusterSecretStore when it has no namespace."""

    world: World
    namespace: str
    name: str
    provider: str
    broken: Trouble = field(default_factory=Trouble)
    stopped: Trouble = field(default_factory=Trouble)

    @property
    def kind(self) -> str:
        return "SecretStore" if self.namespace else "ClusterSecretStore"

    def _validated(self, t: int) -> int:
        """The last validation; a stopped controller validates nothing."""
        stop = self.stopped.at(t)
        t = stop.start if stop else t
        return t - (t - shapes.number(self.world.cluster, self.name)) % VALIDATION

    def signature(self, t: int) -> Hashable:
        window = self.broken.at(t)
        if window is None:
            return (self.broken.latest(t), self._validated(t))
        return (window, retries(window.start, t), t - self._validated(window.start) < HOUR)

    def build(self, t: int) -> list[Object]:
        window, last = self.broken.at(t), self.broken.latest(t)
        born = self.world.born(self.kind, self.namespace, self.name)
        since = window.start if window else last.end if last else born
        ready = shapes.condition(
            self.world,
            "Ready",
            "False" if window else "True",
            since,
            "InvalidProviderConfig" if window else "Valid",
            "unable to validate store" if window else "store validated",
        )
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": self.kind,
            "metadata": shapes.metadata(self.world, self.kind, self.namespace, self.name, generation=1),
            "spec": {"provider": _specs(self.provider, self.world.cluster)},
            "status": {"capabilities": "ReadWrite", "conditions": [ready]},
        }
        obj = shapes.managed(self.world, obj, (GITOPS, born, ""), (CONTROLLER, since, "status"))
        return [obj, *self._events(obj, t)]

    def _events(self, obj: Object, t: int) -> list[Object]:
        component = "secret-store" if self.namespace else "cluster-secret-store"
        window, events = self.broken.at(t), []
        valid = self._validated(window.start if window else t)
        if t - valid < HOUR:
            first = valid - valid % (12 * HOUR)
            events.append(
                shapes.event(
                    self.world,
                    obj,
                    "Valid",
                    "store validated",
                    component=component,
                    first=first,
                    last=valid,
                    count=1 + (valid - first) // VALIDATION,
                )
            )
        if window:
            count, last = retries(window.start, t)
            events.append(
                shapes.event(
                    self.world,
                    obj,
                    "InvalidProviderConfig",
                    self.broken.cause,
                    component=component,
                    first=window.start,
                    last=last,
                    count=count,
                    warning=True,
                )
            )
        return events


@dataclass(frozen=True)
class Operator:
    """The controller's Deployment; while `stopped` nothing refreshes and nothing is validated."""

    world: World
    stopped: Trouble

    def signature(self, t: int) -> Hashable:
        return (self.stopped.at(t), self.stopped.latest(t))

    def build(self, t: int) -> list[Object]:
        window, last = self.stopped.at(t), self.stopped.latest(t)
        since = window.start if window else last.end if last else self.world.born("external-secrets")
        labels = {
            "app.kubernetes.io/name": "external-secrets",
            "app.kubernetes.io/instance": "external-secrets",
            "app.kubernetes.io/version": "v2.9.0",
            "helm.sh/chart": "external-secrets-2.9.0",
        }
        return [
            shapes.deployment(
                self.world,
                "external-secrets",
                "external-secrets",
                "ghcr.io/external-secrets/external-secrets:v2.9.0",
                labels=labels,
                args=["--concurrent=4", "--loglevel=info"],
                ready=window is None,
                since=since,
            )
        ]
