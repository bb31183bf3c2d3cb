"""Secret stores of the story and the operator that validates them, as External Secrets 2.9.0 leaves them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from demo import shapes
from demo.shapes import Object, World
from demo.timeline import FOREVER, HOUR, MINUTE, Trouble, retries

GROUP = "external-secrets.io"
CONTROLLER = "external-secrets"
GITOPS = "argocd-controller"
VALIDATION = 5 * MINUTE
VERSION = "v2.9.0"


def _specs(provider: str, cluster: str, role: str) -> Object:
    region = "us-east-1" if "us" in cluster else "eu-central-1"
    specs: dict[str, Object] = {
        "vault": {
            "vault": {
                "server": "https://vault.example.com",
                "path": "kv",
                "version": "v2",
                "auth": {"kubernetes": {"mountPath": f"kubernetes/{cluster}", "role": role}},
            }
        },
        "aws": {
            "aws": {
                "service": "SecretsManager",
                "region": region,
                "role": f"arn:aws:iam::000000000000:role/{role}",
                "auth": {"jwt": {"serviceAccountRef": {"name": "external-secrets"}}},
            }
        },
        "gcp": {"gcpsm": {"projectID": "example-staging"}},
        "azure": {"azurekv": {"vaultUrl": "https://kv-example-prod.vault.azure.net", "authType": "WorkloadIdentity"}},
    }
    return specs[provider]


@dataclass(frozen=True)
class Store:
    """A SecretStore, or a ClusterSecretStore when it has no namespace.

    Where somebody brings about that it is `broken`, it was given a role that does not exist.
    """

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
        by_hand = self.broken.by if window else ""
        generation = 1 + self.broken.changes(t) if self.broken.by else 1
        role = "external-secrets-new" if by_hand else "external-secrets"
        obj: Object = {
            "apiVersion": f"{GROUP}/v1",
            "kind": self.kind,
            "metadata": shapes.metadata(self.world, self.kind, self.namespace, self.name, generation=generation),
            "spec": {"provider": _specs(self.provider, self.world.cluster, role)},
            "status": {"capabilities": "ReadWrite", "conditions": [ready]},
        }
        wrote = since if self.broken.by else born
        obj = shapes.managed(self.world, obj, (by_hand or GITOPS, wrote, ""), (CONTROLLER, since, "status"))
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
    """The controller's Deployment; while `stopped` nothing refreshes and nothing is validated.

    `versions` are image tags other than VERSION, and when they run.
    """

    world: World
    stopped: Trouble
    versions: Mapping[str, Trouble] = field(default_factory=dict)

    def signature(self, t: int) -> Hashable:
        return (self.stopped.at(t), self.stopped.latest(t), self._version(t), self._generation(t))

    def _version(self, t: int) -> str:
        return next((version for version, runs in self.versions.items() if runs.at(t)), VERSION)

    def _generation(self, t: int) -> int:
        return 1 + sum(runs.changes(t) for runs in self.versions.values())

    def build(self, t: int) -> list[Object]:
        window, last = self.stopped.at(t), self.stopped.latest(t)
        since = window.start if window else last.end if last else self.world.born("external-secrets")
        version = self._version(t)
        labels = {
            "app.kubernetes.io/name": "external-secrets",
            "app.kubernetes.io/instance": "external-secrets",
            "app.kubernetes.io/version": version,
            "helm.sh/chart": f"external-secrets-{version.removeprefix('v').partition('-')[0]}",
        }
        installed = (changed for runs in self.versions.values() if (changed := runs.changed_at(t)) is not None)
        return [
            shapes.deployment(
                self.world,
                "external-secrets",
                "external-secrets",
                f"ghcr.io/external-secrets/external-secrets:{version}",
                labels=labels,
                args=["--concurrent=4", "--loglevel=info"],
                ready=window is None,
                since=since,
                generation=self._generation(t),
                installed=max(installed, default=-FOREVER),
            )
        ]
