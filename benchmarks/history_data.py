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
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple

from benchmarks.loading import NULL, big, jsonb, microseconds, row, small, text
from clusters.facts import (
    Facts,
    MountedObject,
    MountFacts,
    RefreshedFacts,
    RemoteKey,
    ResourceKey,
    SealedSecretFacts,
    StoreFacts,
    key_digest,
)
from monitoring.health import Health, Severity
from monitoring.rules.base import Finding

CLUSTERS = 200
NAMESPACE = 50  # resources in one
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

EXTERNAL, SEALED, MOUNT, STORE = "ExternalSecret", "SealedSecret", "SecretProviderClassPodStatus", "SecretStore"
# Twenty neighbours: 70 % ExternalSecrets, 10 % SealedSecrets, 15 % mounts, 5 % stores.
KINDS = (STORE, *3 * (MOUNT,), *2 * (SEALED,), *14 * (EXTERNAL,))
RULES = {EXTERNAL: "es-not-ready", SEALED: "ss-not-synced", MOUNT: "csi-outdated-version", STORE: "store-not-ready"}
CLASSES = ("provider-timeout", "provider-forbidden", "provider-throttled", "provider-unreachable")
NAMES = ("billing-api", "checkout", "search-indexer", "mailer", "ledger-db", "gateway", "reports", "auth-proxy")

TRANSITION_COLUMNS = (
    "id, at, began_at, collection_id, cluster_id, resource_id, kind, namespace, name, uid, from_health, to_health,"
    " turned, since, unwell_since, controller_at, findings, signature, lints"
)
RESOURCE_COLUMNS = (
    "id, cluster_id, kind, namespace, name, uid, fingerprint, created_at, first_seen_at, recorded_at, since,"
    " unwell_since, rotated_at, refreshed_at, due_at, recheck_at, health, findings, signature, lints, facts"
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


class Key(NamedTuple):
    """Of one resource. Every cluster has the same namespaces and names."""

    cluster: int  # 1 to CLUSTERS
    place: int  # in its cluster
    kind: str
    namespace: str
    name: str


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
        return Key(cluster + 1, place, kind, *_names(place))

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
                b"\0\x13", big(written), big(at), big(recorded), big(minute * CLUSTERS + number // self.per_cluster),
                self._identity(number), told, b"\0\0\0\1\0" if before == after else b"\0\0\0\1\1",
                since, big(unwell or None), big(at), said, lints,
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
            finding = _finding(*which)
            found = self._states[which] = jsonb([finding]) + text(finding.signature)
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
                small(health), *_two(self.state[number]), self._lints(number), jsonb(_facts(key, self.end)),
            )  # fmt: skip

    def references(self) -> Iterator[bytes]:
        """Rows for REFERENCE_COLUMNS: stores, targets, provider keys, classes and pods."""
        for number in self.living():
            key = self.key(number)
            mine = big(key.cluster) + big(number + 1)
            for relation, target in _references(key):
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
                text(source), text(_tag(key, turn)), text(_tag(key, turn + 1)), big(minute * CLUSTERS),
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


def _names(place: int) -> tuple[str, str]:
    """Namespace and name."""
    return f"team-{place // NAMESPACE:03d}", f"{NAMES[place % len(NAMES)]}-{place % NAMESPACE:02d}"


def _two(state: bytes) -> tuple[bytes, bytes]:
    """Findings and signature apart, for `row` counts its fields."""
    length = 4 + int.from_bytes(state[:4])
    return state[:length], state[length:]


def _finding(kind: str, health: int, group: int, cause: int) -> Finding:
    signature = blake2b(f"{kind} {health} {group} {cause}".encode(), digest_size=8).hexdigest()
    return Finding(
        rule=RULES[kind],
        severity=Severity.CRITICAL if health == Health.FAILING else Severity.WARNING,
        health=Health(health),
        summary=f"External Secrets cannot refresh it: the provider behind store vault-{group:02d} does not answer.",
        cause=f"could not get secret data from provider: Get https://vault-{group:02d}.example.com/v1/kv/data/{cause}:"
        " context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        hint="Look at the provider and at the way to it from the cluster; the store's page lists what shares it.",
        cause_class=CLASSES[cause % len(CLASSES)],
        signature=signature if health >= Health.AT_RISK else "",
    )


DEPRECATED = Finding(
    rule="lint-deprecated-api",
    severity=Severity.INFO,
    health=Health.HEALTHY,
    summary="It is still written as external-secrets.io/v1beta1.",
    hint="Write it as external-secrets.io/v1: the old version is not served by the next release.",
)
ADVICE = jsonb([DEPRECATED])


def _store(key: Key) -> ResourceKey:
    """Half of the ExternalSecrets read one store of their cluster, the others the one next to them."""
    return ResourceKey(STORE, *_names(0 if key.place % 2 else key.place - key.place % len(KINDS)))


def _references(key: Key) -> Iterator[tuple[str, ResourceKey]]:
    if key.kind == EXTERNAL:
        store = _store(key)
        yield "store", store
        yield "target", ResourceKey("Secret", key.namespace, key.name)
        digest = key_digest(f"{key.namespace}/{key.name}", "password")
        yield "key", ResourceKey(store.kind, store.namespace, f"{store.name}#{digest}")
    elif key.kind == SEALED:
        yield "target", ResourceKey("Secret", key.namespace, key.name)
    elif key.kind == MOUNT:
        yield "class", ResourceKey("SecretProviderClass", key.namespace, f"{key.namespace}-vault")
        yield "pod", ResourceKey("Pod", key.namespace, key.name)


def _facts(key: Key, end: datetime) -> Facts:
    since = end - timedelta(days=200)
    if key.kind == EXTERNAL:
        store = _store(key)
        return RefreshedFacts(
            generation=2, ready=True, reason="SecretSynced", message="secret synced", condition_since=since,
            refreshed_at=end, spec_written_at=since, spec_written_by="argocd-controller", interval="1h0m0s",
            policy="Periodic", store=f"{store.kind} {store.name}", stores=(store,), target=key.name,
            synced_version="2-" + "f" * 56, expected_version="2-" + "f" * 56, creation_policy="Owner",
            keys=(RemoteKey(store=store, key=f"{key.namespace}/{key.name}", property="password", secret_key="key"),),
        )  # fmt: skip
    if key.kind == SEALED:
        return SealedSecretFacts(generation=1, ready=True, condition_since=since, updated_at=since, target=key.name)
    if key.kind == MOUNT:
        mounted = MountedObject(id=f"{key.namespace}/password", version="4", changed_at=since)
        return MountFacts(
            pod=key.name, node="node-1", class_name=f"{key.namespace}-vault", objects=(mounted,), written_at=since
        )
    path = f"https://vault.example.com/{key.namespace}-{key.name}"  # one for each store, the same in all clusters
    source = blake2b(path.encode(), digest_size=16).hexdigest()
    return StoreFacts(
        ready=True, reason="Valid", condition_since=since, provider="vault", server="vault.example.com", path=path,
        source=source,
    )  # fmt: skip


def _tag(key: Key, turn: int) -> str:
    """Equal in all clusters for the same turn of the same name."""
    return blake2b(f"{key.namespace}/{key.name} {turn}".encode(), digest_size=4).hexdigest()


def sample(per_cluster: int, clusters: int, random: Random) -> dict[str, dict[str, int]]:
    """What a health sample shows of some clusters: about 1 % unhealthy."""
    shown: dict[str, dict[str, Any]] = {}
    for kind in (EXTERNAL, SEALED, MOUNT, STORE):
        number = per_cluster * clusters * KINDS.count(kind) // len(KINDS)
        failing, stale = int(number * random.uniform(0, 0.012)), int(number * random.uniform(0, 0.008))
        shown[kind] = {"0": number - failing - stale, "5": failing, "4": stale}
    return shown
