"""Reads `estate.yaml` and makes the inhabitants of a cluster, each with the troubles that the story has for it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from demo import shapes
from demo.external_secrets import ClusterExternalSecret, ExternalSecret, Poison, PushSecret
from demo.sealed_secrets import SealedSecret, SealingKeys
from demo.secrets_store_csi import Driver, Mounts
from demo.shapes import Object, World
from demo.stores import Operator, Store
from demo.timeline import DAY, HOUR, MINUTE, Refreshes, Trouble

_UNITS = {"m": MINUTE, "h": HOUR}
QUIET = Trouble()


class Inhabitant(Protocol):
    """Something that owns objects. Equal signatures mean equal objects, so most ticks build nothing."""

    def signature(self, t: int) -> Hashable: ...

    def build(self, t: int) -> list[Object]: ...


@dataclass(frozen=True)
class Plot:
    """What happens in one cluster. Keys are `namespace/name`, `@name` for a ClusterSecretStore.

    `missing` are provider failures of one ExternalSecret, `silent` stops its refreshes, `rotated` changes its value.
    `versions` are image tags of the operator other than the usual one, and when they run.
    While `poison` lasts, an object whose interval cannot be parsed stops all refreshes; `edited` are Secrets that
    somebody changed by hand. `opened` are resources that we may read beyond the smallest tier.
    """

    stores: Mapping[str, Trouble] = field(default_factory=dict)
    missing: Mapping[str, Trouble] = field(default_factory=dict)
    silent: Mapping[str, Trouble] = field(default_factory=dict)
    rotated: Mapping[str, Trouble] = field(default_factory=dict)
    pushes: Mapping[str, Trouble] = field(default_factory=dict)
    sealed: Mapping[str, Trouble] = field(default_factory=dict)
    resealed: Mapping[str, Trouble] = field(default_factory=dict)
    mounts: Mapping[str, Trouble] = field(default_factory=dict)
    node: Trouble = QUIET
    operator: Trouble = QUIET
    versions: Mapping[str, Trouble] = field(default_factory=dict)
    poison: Trouble = QUIET
    edited: Mapping[str, Trouble] = field(default_factory=dict)
    opened: tuple[str, ...] = ()
    renewals: Trouble = QUIET
    first_key: int = -40 * DAY
    renew_period: str = "720h"
    away: Trouble = QUIET


@cache
def read_estate() -> dict[str, Any]:
    estate: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("estate.yaml").read_text())
    return estate


def _seconds(interval: str) -> int:
    return int(interval[:-1]) * _UNITS[interval[-1]]


def _split(name: str) -> tuple[str, str]:
    namespace, _, short = name.rpartition("/")
    return namespace, short.removeprefix("@")


class Settlers:
    """Makes all inhabitants of one cluster."""

    def __init__(self, world: World, plot: Plot):
        self.world = world
        self.plot = plot
        self.entry = read_estate()[world.cluster]
        self.stores = {
            name: Store(world, *_split(name), provider, plot.stores.get(name, QUIET), plot.operator)
            for name, provider in self.entry["stores"].items()
        }

    def _store(self, namespace: str, name: str) -> tuple[Store, Trouble]:
        key = name if name.startswith("@") else f"{namespace}/{name}"
        return self.stores[key], self.plot.stores.get(key, QUIET)

    def _refreshes(self, name: str, interval: int, phase: int | None, failing: tuple[Trouble, ...]) -> Refreshes:
        chance = shapes.number(self.world.cluster, name)
        silent = self.plot.silent.get(name, QUIET)
        return Refreshes(
            interval,
            chance % interval if phase is None else phase,
            5 + chance % 60,
            failing,
            (silent, self.plot.operator, self.plot.poison),
        )

    def _external_secret(self, line: str) -> ExternalSecret:
        full, store_name, interval, key, properties, *given = line.split()
        namespace, name = _split(full)
        options = dict(option.split("=", 1) for option in given)
        store, broken = self._store(namespace, store_name)
        outage = Trouble(
            broken.back, broken.live, broken.every, broken.first, f'{store.kind} "{store.name}" is not ready'
        )
        missing = self.plot.missing.get(full, QUIET)
        phase = int(options["phase"]) if "phase" in options else None
        refreshes = self._refreshes(full, _seconds(interval), phase, (outage, missing))
        return ExternalSecret(
            self.world,
            namespace,
            name,
            store,
            interval,
            key,
            tuple(properties.split(",")),
            refreshes,
            self.plot.rotated.get(full, QUIET),
            options.get("policy", ""),
            options.get("partly", ""),
            options.get("owner", ""),
            missing if missing.by else QUIET,
            options.get("value", ""),
            -int(options["age"]) * HOUR if "age" in options else None,
            options.get("rotate", ""),
        )

    def external_secrets(self) -> list[Inhabitant]:
        secrets = [self._external_secret(line) for line in self.entry["secrets"].strip().splitlines()]
        operator = Operator(self.world, self.plot.operator, self.plot.versions)
        made: list[Inhabitant] = [operator, *self.stores.values(), *secrets]
        for full, (store, key) in self.entry["push"].items():
            refreshes = self._refreshes(full, 5 * MINUTE, None, (self.plot.pushes.get(full, QUIET),))
            made.append(PushSecret(self.world, *_split(full), self.stores[f"@{store}"], key, refreshes))
        for parent, namespaces in self.entry["parents"].items():
            child = next(secret for secret in secrets if secret.owner == parent)
            made.append(ClusterExternalSecret(self.world, parent, child, tuple(namespaces)))
        if self.plot.poison is not QUIET:
            made.append(Poison(self.world, "qa", "nightly-report", next(iter(self.stores.values())), self.plot.poison))
        return made

    def sealed_secrets(self) -> list[Inhabitant]:
        sealed: list[Inhabitant] = [
            SealedSecret(
                self.world,
                *_split(full),
                tuple(items),
                self.plot.sealed.get(full, QUIET),
                self.plot.resealed.get(full, QUIET),
                "namespace-wide" if full == "web/basic-auth" else "",
                self.plot.edited.get(full, QUIET),
            )
            for full, items in self.entry["sealed"].items()
        ]
        return [self.keys(), *sealed] if sealed else []

    def keys(self) -> SealingKeys:
        return SealingKeys(self.world, self.plot.first_key, self.plot.renewals, self.plot.renew_period)

    def secrets_store_csi(self) -> list[Inhabitant]:
        nodes = tuple(self.entry["nodes"])
        mounts = [
            Mounts(self.world, *_split(full), provider, tuple(objects), pods, nodes, self.plot.mounts.get(full, QUIET))
            for full, (provider, objects, pods) in self.entry["mounts"].items()
        ]
        return [Driver(self.world, nodes, mounts[0].provider, mounts[-1], self.plot.node), *mounts] if mounts else []

    def all(self) -> list[Inhabitant]:
        settled = [*self.external_secrets(), *self.sealed_secrets(), *self.secrets_store_csi()]
        return [*settled, _Namespaces(self.world, tuple(self._namespaces()))]

    def _namespaces(self) -> list[str]:
        named = [line.split("/")[0] for line in self.entry["secrets"].strip().splitlines()]
        named += [name.split("/")[0] for group in ("sealed", "mounts", "push") for name in self.entry[group]]
        return sorted({"default", "kube-system", "external-secrets", *named})


@dataclass(frozen=True)
class _Namespaces:
    world: World
    names: tuple[str, ...]

    def signature(self, t: int) -> Hashable:
        return None

    def build(self, t: int) -> list[Object]:
        return [shapes.namespace(self.world, name) for name in self.names]
