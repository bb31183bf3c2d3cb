"""Deployments and DaemonSets of the operators: are they up, which version, with which of the settings that matter."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from clusters.facts import WorkloadFacts
from clusters.kinds.base import (
    SECRETS_STORE_CSI,
    SHORT,
    Described,
    Document,
    Metadata,
    Resource,
    WatchedKind,
    common,
    count,
    observer,
    text,
)

EXTERNAL_SECRETS_ROLE, SEALED_SECRETS_ROLE = "external-secrets", "sealed-secrets"
DRIVER_ROLE, PROVIDER_ROLE = "csi-driver", "csi-provider"

# Everything else on a command line or in an environment is dropped unseen: it may hold credentials.
OPTIONS = frozenset(
    {
        "key-renew-period",
        "key-ttl",
        "key-prefix",
        "update-status",
        "controller-class",
        "concurrent",
        "enable-secret-rotation",
        "rotation-poll-interval",
    }
)
_ALIASES = {"rotate-period": "key-renew-period"}
_ENVIRONMENT_PREFIX = "SEALED_SECRETS_"

# A provider's image or name holds the driver's too ("secrets-store-csi-driver-provider-aws"): look for it first.
_PROVIDER = re.compile(r"secrets-store[^@]{0,60}provider|vault-csi-provider")
_DRIVER = re.compile(r"secrets-store[^:@]{0,60}driver")


class _Variable(Document):
    name: str = ""
    value: str | None = None


class Container(Document):
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None

    def words(self) -> list[str]:
        return [*(self.command or ()), *(self.args or ())]


class _Container(Container):
    env: list[_Variable] | None = None


class _PodSpec(Document):
    containers: list[_Container] | None = None


class _PodTemplate(Document):
    spec: _PodSpec | None = None


class _Spec(Document):
    replicas: int | None = None
    template: _PodTemplate | None = None


class _Status(Document):
    ready_replicas: int | None = None
    desired_number_scheduled: int | None = None
    number_ready: int | None = None


class _Workload(Resource):
    spec: _Spec | None = None
    status: _Status | None = None

    def containers(self) -> list[_Container]:
        template = self.spec.template if self.spec else None
        return (template.spec.containers if template and template.spec else None) or []


def _describe_deployment(resource: _Workload) -> Described:
    spec, status = resource.spec or _Spec(), resource.status or _Status()
    for role in (EXTERNAL_SECRETS_ROLE, SEALED_SECRETS_ROLE):
        pattern = re.compile(rf"{role}(?:-controller)?(?=[:@]|$)")
        container = _container_of(resource.metadata, resource.containers(), pattern)
        if container is not None:
            replicas = 1 if spec.replicas is None else spec.replicas
            return _facts(resource, container, role, replicas, status.ready_replicas), ()
    return None


def _describe_daemon_set(resource: _Workload) -> Described:
    status = resource.status or _Status()
    role, container = csi_role(resource.metadata, resource.containers())
    if container is None:
        return None
    return _facts(resource, container, role, status.desired_number_scheduled, status.number_ready), ()


C = TypeVar("C", bound=Container)


def csi_role(metadata: Metadata, containers: Sequence[C]) -> tuple[str, C | None]:
    """Whether these containers, of a DaemonSet or of one of its pods, are the CSI driver's or one of its providers'.

    The container is the one that does it; without one they are neither.
    """
    for container in containers:
        if any(word.startswith("--provider-volume") for word in container.words()):
            return DRIVER_ROLE, container
    provider = _container_of(metadata, containers, _PROVIDER)
    if provider is not None:
        return PROVIDER_ROLE, provider
    return DRIVER_ROLE, _container_of(metadata, containers, _DRIVER)


def _container_of(metadata: Metadata, containers: Sequence[C], pattern: re.Pattern[str]) -> C | None:
    """The container whose image fits; failing that the first one, if the workload's name or `app` labels fit."""
    for container in containers:
        if pattern.search((container.image or "")[:500]):
            return container
    fits = any(pattern.search(title[:500]) for title in titles(metadata))
    return containers[0] if containers and fits else None


def titles(metadata: Metadata) -> tuple[str, str, str]:
    """What people and charts call a workload and its pods."""
    labels = metadata.labels or {}
    return metadata.name, labels.get("app", ""), labels.get("app.kubernetes.io/name", "")


def _facts(
    resource: _Workload, container: _Container, role: str, desired: int | None, ready: int | None
) -> WorkloadFacts:
    return WorkloadFacts(
        **common(resource.metadata),
        role=role,
        version=_version(resource, container.image or ""),
        desired=count(desired),
        ready=count(ready),
        options=_options(container),
    )


def _version(resource: _Workload, image: str) -> str:
    """The image's tag; installs by digest carry the version in a label."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return text(tag or (resource.metadata.labels or {}).get("app.kubernetes.io/version"), SHORT)


def _options(container: _Container) -> dict[str, str]:
    """Allowlisted settings by flag name; a flag wins over its environment variable, as in the controllers."""
    found = {
        variable.name.removeprefix(_ENVIRONMENT_PREFIX).lower().replace("_", "-"): variable.value or ""
        for variable in container.env or ()
        if variable.name.startswith(_ENVIRONMENT_PREFIX)
    }
    found.update(_flags(container.words()))
    named = {_ALIASES.get(name, name): value for name, value in found.items()}
    return {name: text(value, SHORT) for name, value in sorted(named.items()) if name in OPTIONS}


def _flags(words: list[str]) -> Iterable[tuple[str, str]]:
    """Go flags: `--name=value`, `--name value`, and `--name` alone, which means true."""
    for word, following in pairwise([*words, "-"]):
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            value = "true" if following.startswith("-") else following
        yield name, value


KINDS = (
    WatchedKind(
        kind="DaemonSet",
        group="apps",
        versions=("v1",),
        plural="daemonsets",
        family=SECRETS_STORE_CSI,
        judged=False,
        observe=observer("DaemonSet", _Workload, _describe_daemon_set),
        filtered=True,
    ),
    WatchedKind(
        kind="Deployment",
        group="apps",
        versions=("v1",),
        plural="deployments",
        family="",  # of two families: the operators of External Secrets and of Sealed Secrets
        judged=False,
        observe=observer("Deployment", _Workload, _describe_deployment),
        # A cluster has thousands of Deployments and two of ours. The charts set the first label, the plain manifest
        # of Sealed Secrets the second.
        selectors=(
            {"labelSelector": "app.kubernetes.io/name in (external-secrets,sealed-secrets)"},
            {"labelSelector": "name=sealed-secrets-controller"},
        ),
        filtered=True,
    ),
)
