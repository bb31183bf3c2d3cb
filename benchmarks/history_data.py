"""A year of one estate, made up from a seed: what changed minute by minute, and what is there at its end.

Rows are made in the order in which collections would have written them, so that the changes of one resource lie as far
apart on disk as they would. A few resources flap, most hardly ever change; about 1 % are unhealthy at any time.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any, NamedTuple

from benchmarks.history_objects import (
    ADVICE,
    EXTERNAL,
    KINDS,
    MOUNT,
    SEALED,
    STORE,
    Key,
    facts,
    finding,
    names,
    references,
    tag,
)
from benchmarks.loading import NULL, big, jsonb, microseconds, row, small, text
from monitoring.health import Health

CLUSTERS = 200
DAYS = 365
MINUTES = DAYS * 1440
MINUTE = 60_000_000  # in the microseconds of Postgres
TURNOVER = 0.02  # of the resources were added within the year, and as many removed
ABSENT = 255
# Resources by how often they fall ill, and the share of each: together as often as the number of transitions asks.
RESTLESSNESS = ((0.80, 0.4), (0.98, 2.0), (1.0, 16.0))
ROWS_PER_ILLNESS = 1.94  # measured: it begins, it ends, and sometimes it changes in between, less the time that takes
CHANGES = 0.1
FALLS = ((0.55, Health.FAILING), (0.85, Health.STALE), (0.95, Health.AT_RISK), (1.0, Health.PROGRESSING))
CAUSES, SHARING = 8, 40  # causes per kind and health, and how many groups of clusters have their own
ADVISED = 0.05

TRANSITION_COLUMNS = (
    "id, at, began_at, collection_id, cluster_id, resource_id, kind, namespace, name, uid, from_health, to_health,"
    " turned, since, unwell_since, first_seen_at, controller_at, findings, signature, lints"
)
RESOURCE_COLUMNS = (
    "id, cluster_id, kind, namespace, name, uid, fingerprint, created_at, first_seen_at, recorded_at, since,"
    " unwell_since, rotated_at, refreshed_at, due_at, recheck_at, drift_digest, health, findings, signature, lints,"
    " facts"
)
ROTATION_COLUMNS = (
    "at, seen_at, cluster_id, kind, namespace, name, object, confidence, source, before, after, collection_id"
)
REFERENCE_COLUMNS = "cluster_id, resource_id, relation, target_kind, target_namespace, target_name"
REVISION_COLUMNS = "at, seen_at, cluster_id, kind, namespace, name, what, before, after, by"

HEALTHY_STATE = jsonb([]) + text("")
UNADVISED = jsonb([])


class Size(NamedTuple):
    resources: int
    transitions: int
    rotations: int


SMALL, FULL = Size(20_000, 1_000_000, 60_000), Size(1_000_000, 50_000_000, 3_000_000)


@dataclass
class Estate:
    """The resources and, after `transitions` and `rotations` were read to their ends, the states that last.

    A resource's number is its id minus 1. Moments are microseconds as Postgres counts them.
    """

    size: Size
    end: datetime
    random: Random = field(default_factory=lambda: Random(7))

    def __post_init__(self) -> None:
        self.per_cluster = math.ceil(self.size.resources * (1 + TURNOVER) / CLUSTERS)
        self.number = self.per_cluster * CLUSTERS
        self.start = microseconds(self.end - timedelta(minutes=MINUTES))
        old = round(self.per_cluster / (1 + TURNOVER))
        self.health = bytearray(0 if number % self.per_cluster < old else ABSENT for number in range(self.number))
        self.recorded = array("q", (self.start - int(self.random.random() * MINUTES * MINUTE) for _ in self.health))
        self.first_seen = array("q", self.recorded)
        self.since = array("q", self.recorded)
        self.unwell = array("q", bytes(8 * self.number))  # 0: it is not
        self.rotated = array("q", bytes(8 * self.number))  # 0: never seen
        self.state = [HEALTHY_STATE] * self.number
        self.ends = array("l", (self._end_of(number, old) for number in range(self.number)))
        self._identities: dict[int, bytes] = {}
        self._states: dict[tuple[str, int, int, int], bytes] = {}

    def _end_of(self, number: int, old: int) -> int:
        """The minute in which the resource is removed; MINUTES: never."""
        removed = number % self.per_cluster < old and self.random.random() < TURNOVER
        return int(self.random.random() * MINUTES) if removed else MINUTES

    def key(self, number: int) -> Key:
        cluster, place = divmod(number, self.per_cluster)
        kind = KINDS[place % len(KINDS)]
        return Key(cluster + 1, place, kind, *names(place))

    def living(self) -> Iterator[int]:
        return (number for number, health in enumerate(self.health) if health != ABSENT)

    def removed(self, number: int) -> bool:
        return self.ends[number] < MINUTES

    # --- what changed ---

    def transitions(self) -> Iterator[bytes]:
        """Rows for TRANSITION_COLUMNS, oldest first. Reading them moves the estate from its start to its end."""
        due = self._first_changes()
        written = 0
        for minute in range(MINUTES):
            for number in sorted(due.pop(minute, ())):
                written += 1
                yield self._change(number, minute, written, due)

    def _first_changes(self) -> defaultdict[int, list[int]]:
        """By minute: whose state changes in it."""
        due: defaultdict[int, list[int]] = defaultdict(list)
        for number, health in enumerate(self.health):
            wait = self.random.random() * MINUTES if health == ABSENT else self._wellness(number)
            self._schedule(number, int(wait), due)
        return due

    def _schedule(self, number: int, minute: int, due: defaultdict[int, list[int]]) -> None:
        minute = min(minute, self.ends[number])
        if minute < MINUTES:
            due[minute].append(number)

    def _change(self, number: int, minute: int, written: int, due: defaultdict[int, list[int]]) -> bytes:
        before, recorded, unwell, said = (
            self.health[number],
            self.recorded[number],
            self.unwell[number],
            self.state[number],
        )
        since, lints = big(self.since[number]), self._lints(number)
        at = self.start + minute * MINUTE + number // self.per_cluster * MINUTE // (CLUSTERS + 1)
        if minute == self.ends[number]:
            after = self.health[number] = ABSENT
        else:
            after = self._fall(number, before, at)
            wait = self._illness() if after else self._wellness(number)
            self._schedule(number, minute + 1 + int(wait), due)
        if before == ABSENT:
            recorded, told, since, lints = at, NULL + small(after), NULL, UNADVISED
            self.first_seen[number] = at
        else:
            told = small(before) + small(None if after == ABSENT else after)
        return b"".join(
            (
                b"\0\x14", big(written), big(at), big(recorded), big(minute * CLUSTERS + number // self.per_cluster),
                self._identity(number), told, b"\0\0\0\1\0" if before == after else b"\0\0\0\1\1",
                since, big(unwell or None), big(self.first_seen[number] if after == ABSENT else None), big(at), said,
                lints,
            )
        )  # fmt: skip

    def _fall(self, number: int, before: int, at: int) -> int:
        """Give the resource its next state; return the health."""
        draw = self.random.random()
        if before == ABSENT or (before and draw >= CHANGES):
            after = 0
        else:
            draw = self.random.random()
            after = int(next(health for most, health in FALLS if draw <= most))
        self.health[number], self.recorded[number] = after, at
        if after != before:
            self.since[number] = at
        self.unwell[number] = (self.unwell[number] or at) if after >= Health.AT_RISK else 0
        self.state[number] = self._state(number, after) if after else HEALTHY_STATE
        return after

    def _illness(self) -> float:
        """Minutes that an unhealthy state lasts: up to six hours, 2 % of them days."""
        if self.random.random() < 0.02:
            return self.random.uniform(1440, 14400)
        return 2 * math.pow(180, self.random.random())

    def _wellness(self, number: int) -> float:
        """Minutes until it falls ill again."""
        draw = number * 2654435761 % 2**32 / 2**32  # spread over the resources, and the same every time
        restless = next(times for share, times in RESTLESSNESS if draw < share)
        return self.random.expovariate(restless) * self._mean_wellness

    @cached_property
    def _mean_wellness(self) -> float:
        return MINUTES * ROWS_PER_ILLNESS * self.number / self.size.transitions

    def _identity(self, number: int) -> bytes:
        """cluster_id, resource_id, kind, namespace, name, uid."""
        found = self._identities.get(number)
        if found is None:
            key = self.key(number)
            found = self._identities[number] = b"".join(
                (big(key.cluster), big(number + 1), *map(text, key[2:]), text(self._uid(number)))
            )
        return found

    @staticmethod
    def _uid(number: int) -> str:
        return f"{number * 2654435761 % 2**32:08x}-5b1e-4c1d-9c3f-{number:012x}"

    def _state(self, number: int, health: int) -> bytes:
        """Findings and signature of an unhealthy state: one of the causes that some clusters have in common."""
        cluster, place = divmod(number, self.per_cluster)
        which = (KINDS[place % len(KINDS)], health, cluster % SHARING, int(self.random.random() * CAUSES))
        found = self._states.get(which)
        if found is None:
            told = finding(*which)
            found = self._states[which] = jsonb([told]) + text(told.signature)
        return found

    @staticmethod
    def _lints(number: int) -> bytes:
        return ADVICE if number * 40503 % 65536 < ADVISED * 65536 else UNADVISED

    # --- what is there at the end ---

    def resources(self) -> Iterator[bytes]:
        """Rows for RESOURCE_COLUMNS."""
        moment, hour = microseconds(self.end), 60 * MINUTE
        for number in self.living():
            key, health = self.key(number), self.health[number]
            refreshed = moment - number % 3600 * 1_000_000
            yield row(
                big(number + 1), big(key.cluster), *map(text, key[2:]), text(self._uid(number)),
                big(number * 0x9E3779B97F4A7C15 % 2**63), big(self.first_seen[number]), big(self.first_seen[number]),
                big(self.recorded[number]), big(self.since[number]), big(self.unwell[number] or None),
                big(self.rotated[number] or None), big(refreshed), big(refreshed + hour), big(refreshed + 2 * hour),
                big(self._digest(key)), small(health), *_two(self.state[number]), self._lints(number),
                jsonb(facts(key, self.end)),
            )  # fmt: skip

    @staticmethod
    def _digest(key: Key) -> int:
        """One object in 40 is not the same in one cluster of ten."""
        return 1 + (key.place % 40 == 0 and key.cluster % 10 == 0)

    def references(self) -> Iterator[bytes]:
        """Rows for REFERENCE_COLUMNS: stores, targets, provider keys, classes and pods."""
        for number in self.living():
            key = self.key(number)
            mine = big(key.cluster) + big(number + 1)
            for relation, target in references(key):
                yield row(mine[:12], mine[12:], text(relation), *map(text, target))

    # --- what rotated, and what was revised ---

    def rotations(self) -> Iterator[bytes]:
        """Rows for ROTATION_COLUMNS, oldest first. One name rotates in all its clusters within some hours."""
        waves = range(self.size.rotations // CLUSTERS)
        arrivals = [arrival for _ in waves for arrival in self._wave()]
        turns = bytearray(self.number)
        for arrival in sorted(arrivals):
            minute, number = divmod(arrival, self.number)
            key, turn = self.key(number), turns[number]
            turns[number] = (turn + 1) % 256
            at = self.start + minute * MINUTE + number * 997 % MINUTE + turn  # two waves may arrive in one minute
            self.rotated[number] = at
            source, confidence = ("resealed", 2) if key.kind == SEALED else ("target", 3)
            yield row(
                big(at), big(at + 41_000_000), big(key.cluster), *map(text, key[2:]), text(""), small(confidence),
                text(source), text(tag(key, turn)), text(tag(key, turn + 1)), big(minute * CLUSTERS),
            )  # fmt: skip

        yield from self._renewals()

    def _renewals(self) -> Iterator[bytes]:
        """A new sealing key every 30 days in each cluster."""
        for at in range(self.start, microseconds(self.end), 30 * 1440 * MINUTE):
            for cluster in range(1, CLUSTERS + 1):
                yield row(
                    big(at), big(at), big(cluster), text("SealingKey"), text("kube-system"),
                    text(f"sealed-secrets-key{at // MINUTE}"), text(""), small(3), text("renewed"), text(""), text(""),
                    big(0),
                )  # fmt: skip

    def _wave(self) -> Iterator[int]:
        """Minute of each arrival, and number of what it arrived at, as one integer that sorts by the minute."""
        place = self._rotating_place()
        begun = self.random.random() * MINUTES
        for cluster in range(CLUSTERS):
            minute = min(begun + self.random.expovariate(1 / 60), MINUTES - 1)
            yield int(minute) * self.number + cluster * self.per_cluster + place

    def _rotating_place(self) -> int:
        while True:
            place = self.random.randrange(self.per_cluster)
            if KINDS[place % len(KINDS)] in (EXTERNAL, SEALED):
                return place

    def revisions(self) -> Iterator[bytes]:
        """Rows for REVISION_COLUMNS: each resource's spec changed once within the year."""
        numbers = list(self.living())
        for order, number in enumerate(self.random.sample(numbers, len(numbers))):
            key, at = self.key(number), self.start + order * MINUTES * MINUTE // len(numbers)
            yield row(
                big(at), big(at), big(key.cluster), *map(text, key[2:]), text("spec"), text("generation 1"),
                text("generation 2"), text("argocd-controller"),
            )  # fmt: skip


def _two(state: bytes) -> tuple[bytes, bytes]:
    """Findings and signature apart, for `row` counts its fields."""
    length = 4 + int.from_bytes(state[:4])
    return state[:length], state[length:]


def sample(per_cluster: int, clusters: int, random: Random) -> dict[str, dict[str, int]]:
    """What a health sample shows of some clusters: about 1 % unhealthy."""
    shown: dict[str, dict[str, Any]] = {}
    for kind in (EXTERNAL, SEALED, MOUNT, STORE):
        number = per_cluster * clusters * KINDS.count(kind) // len(KINDS)
        failing, stale = int(number * random.uniform(0, 0.012)), int(number * random.uniform(0, 0.008))
        shown[kind] = {"0": number - failing - stale, "5": failing, "4": stale}
    return shown
