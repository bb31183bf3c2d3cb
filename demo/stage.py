"""Plays the story on a fleet: keeps the clusters as the story has them at the clock's present instant."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.apiserver import FAMILIES, Fleet
from demo.apiserver.fleet import Cluster, write_private
from demo.sealed_secrets import Certificates
from demo.shapes import Object
from demo.story import PLOTS, ClusterStory, Key
from demo.timeline import HISTORY

BEYOND_THE_READER = (
    "secrets",
    "pods",
    "services",
    "configmaps",
    "serviceaccounts",
    "nodes",
    "replicasets",
    "statefulsets",
)
WRITES = ("create", "update", "patch", "delete")
"""The fleet's tokens may do what the smallest shipped role (T0) allows: read, and no Secrets or Pods, but where the
plot opens them."""

TICK = 1.0
"""Seconds between two looks at the story while it is live; a look costs 3 ms."""


def _now() -> datetime:
    return datetime.now(UTC)


def _first_revision() -> int:
    """Resource versions grow by less than 100 a second, so a later start never begins below an earlier end."""
    return int((time.time() - 1_750_000_000) * 100)


class Stage:
    """The fleet, its stories and the clock. Belongs to the loop that serves the fleet.

    `directory` keeps what must be the same at the next start: addresses, credentials, the epoch, certificates.
    """

    def __init__(self, directory: Path, *, port_base: int = 0, real_now: Callable[[], datetime] = _now):
        self._directory = directory
        self._real_now = real_now
        self._known = self._read()
        self.epoch = datetime.fromisoformat(self._known["epoch"])
        self.held_at: datetime | None = None
        self.fleet = Fleet(directory)
        self._certificates = Certificates(self._known["certificates"])
        self._stories: dict[str, ClusterStory] = {}
        self._shown: dict[str, dict[Key, Object]] = {}
        self._faults: dict[str, str | None] = {}
        for number, name in enumerate(PLOTS):
            self._add(name, port_base + number if port_base else 0)

    def _add(self, name: str, port: int) -> None:
        story = ClusterStory(name, self.epoch)
        cluster = self.fleet.add(name, port=port, clock=self.now, revision=_first_revision())
        for family in FAMILIES.keys() - set(story.families):
            cluster.uninstall(family)
        for resource in BEYOND_THE_READER:
            if resource not in story.plot.opened:
                cluster.deny(resource)
        for verb in WRITES:
            cluster.deny(verb=verb)
        self._stories[name], self._shown[name], self._faults[name] = story, {}, None

    def _read(self) -> dict[str, Any]:
        file = self._directory / "story.json"
        if file.exists():
            known: dict[str, Any] = json.loads(file.read_text())
            return known
        return {
            "epoch": self._real_now().replace(second=0, microsecond=0).isoformat(),
            "certificates": {},
            "control": 0,
        }

    def remember(self, control_port: int) -> None:
        self._known["control"] = control_port
        write_private(self._directory / "story.json", json.dumps(self._known))

    @property
    def control_port(self) -> int:
        """The control port of the last run, 0 if there was none."""
        return int(self._known["control"])

    @property
    def history_from(self) -> datetime:
        return self.epoch - timedelta(seconds=HISTORY)

    def labels(self, name: str) -> dict[str, str]:
        """What the people who run the cluster `name` call it: its stage and its region."""
        return self._stories[name].labels

    def now(self) -> datetime:
        return self._real_now() if self.held_at is None else self.held_at

    def hold(self, at: datetime) -> None:
        """Move the story to `at` and keep it there."""
        self.held_at = at
        self.play()

    def follow(self) -> None:
        """Let the clock follow real time."""
        self.held_at = None
        self.play()

    def play(self) -> None:
        """Bring every cluster to the present instant; what did not change is not written."""
        at = self.now()
        for name, story in self._stories.items():
            cluster = self.fleet.clusters[name]
            self._show(cluster, story.objects(at))
            self._serve_certificate(cluster, story, at)
            if (fault := story.fault(at)) != self._faults[name]:
                self._faults[name] = fault
                cluster.faults.set(fault) if fault else cluster.faults.clear()

    def _show(self, cluster: Cluster, wanted: dict[Key, Object]) -> None:
        shown = self._shown[cluster.name]
        for key in shown.keys() - wanted.keys():
            cluster.remove(*key)
        for key, obj in wanted.items():
            if (before := shown.get(key)) is not obj and before != obj:
                cluster.put(obj)
        self._shown[cluster.name] = wanted

    def _serve_certificate(self, cluster: Cluster, story: ClusterStory, at: datetime) -> None:
        served = story.certificate(at)
        if served is None:
            return
        new = served.name not in self._certificates.known
        cluster.certificates[served.service] = self._certificates.pem(served.name, served.not_before)
        if new:
            self.remember(self.control_port)

    async def play_on(self) -> None:
        """Follow real time until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            if self.held_at is None:
                self.play()
