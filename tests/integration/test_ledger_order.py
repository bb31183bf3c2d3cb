"""The ledger when news of one rotation come in several collections, in any order, again and again, or not at all."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from clusters.facts import (
    DataWriter,
    MountedObject,
    MountFacts,
    Reference,
    RefreshedFacts,
    Relation,
    ResourceKey,
    SealedItem,
    SealedSecretFacts,
    SecretFacts,
)
from clusters.models import Cluster
from clusters.observations import EventNote, Failure, KindResult, Observation, Outcome, Problem, Snapshot
from monitoring.models import Collection, Event, Resource, Rotation
from monitoring.queries.rotations import reached
from tests.integration.snapshots import NOW, apply, complete, make_cluster

pytestmark = pytest.mark.django_db

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
CREATED = NOW - timedelta(days=30)
KINDS = ("ExternalSecret", "Secret", "SealedSecret", "SecretProviderClassPodStatus")
TAG = "sha3.0a1b2c3d.{:08x}ffff"
LIKELY, PROVED, INFERRED = 2, 3, 1


class World:
    """One ExternalSecret with its target and its Event through time: a list of states, oldest first."""

    def __init__(self, name: str = "db") -> None:
        self.name = name
        self.at = NOW
        self.rotations: list[datetime] = []
        self._label, self._value, self._count, self._written = 1, 1, 0, NOW
        self._first: datetime | None = None
        self.states: list[tuple[Observation, Observation, EventNote | None]] = []
        self._keep()

    def wait(self) -> None:
        """A refresh in turn that brings nothing."""
        self.at += HOUR
        self._keep()

    def rotate(self) -> None:
        self.at += HOUR
        self._value += 1
        self.rotations.append(self.at)
        self._write()

    def label(self) -> None:
        self.at += 20 * MINUTE
        self._label += 1
        self._write()

    def edit(self) -> None:
        """By hand; the controller puts the value back."""
        self.at += 20 * MINUTE
        self._write()

    def fail(self) -> None:
        self._keep(ready=False)

    def _write(self) -> None:
        self._count += 1
        self._written = self.at
        self._first = self._first or self.at
        self._keep()

    def _keep(self, *, ready: bool = True) -> None:
        key, target = (ResourceKey(kind, "shop", self.name) for kind in ("ExternalSecret", "Secret"))
        facts = RefreshedFacts(
            ready=ready,
            refreshed_at=self.at,
            condition_since=CREATED,
            interval="1h",
            target=self.name,
            synced_version=f"1-{self._label}",
            expected_version=f"1-{self._label}",
        )
        writer = DataWriter(manager=f"externalsecrets.external-secrets.io/{self.name}", at=self._written)
        secret = SecretFacts(data_tag=TAG.format(self._value), writers=(writer,))
        note = self._note(key) if self._count else None
        references = (Reference(Relation.TARGET, target),)
        self.states.append((self._seen(key, facts, references), self._seen(target, secret), note))

    def _seen(self, key: ResourceKey, facts: Any, references: tuple[Reference, ...] = ()) -> Observation:
        stored = hash((key, facts)) >> 1
        return Observation(
            key=key, uid=f"u-{key}", fingerprint=stored, created_at=CREATED, facts=facts, references=references
        )

    def _note(self, key: ResourceKey) -> EventNote:
        return EventNote(
            uid=f"event-{self.name}",
            fingerprint=self._count,
            involved=key,
            involved_uid="",
            type="Normal",
            reason="Updated",
            message="secret updated",
            component="external-secrets",
            first_at=self._first or self._written,
            last_at=self._written,
            count=self._count,
        )


def read(cluster: Cluster, world: World, external: int, secret: int | None, noted: int, at: datetime) -> None:
    """One collection that sees each of the three as it was in one of the world's states; None: Secrets are not read."""
    observations = [world.states[external][0]] + ([] if secret is None else [world.states[secret][1]])
    kinds = KINDS if secret is not None else [kind for kind in KINDS if kind != "Secret"]
    apply(cluster, complete(cluster, observations, kinds=kinds, events=news_of(cluster, world.states[noted][2])), at)


def news_of(cluster: Cluster, event: EventNote | None) -> list[EventNote]:
    """What a collector brings of this Event: nothing if it is known as it is."""
    if event is None or Event.objects.filter(cluster=cluster, fingerprint=event.fingerprint).exists():
        return []
    return [event]


def told(**filters: Any) -> list[tuple[datetime, int]]:
    return list(Rotation.objects.filter(**filters).order_by("at").values_list("at", "confidence"))


steps = st.lists(st.sampled_from(["wait", "rotate", "rotate", "label", "edit"]), max_size=6)
# How the news of one step come: how far behind each of the three is seen at first, and how often; then all is seen.
news = st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1), st.integers(0, 2))


@pytest.mark.parametrize("tier", ["T2", "T0"])
@given(steps=steps, lags=st.lists(news, min_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_whatever_comes_first_the_same_is_told_in_the_end(tier: str, steps: list[str], lags: list[Any]) -> None:
    Cluster.objects.all().delete()
    world, cluster = World(), make_cluster()

    def see(external: int, secret: int, noted: int) -> None:
        read(cluster, world, external, secret if tier == "T2" else None, noted, world.at + SECOND)

    see(0, 0, 0)
    for number, step in enumerate(steps, 1):
        getattr(world, step)()
        external, secret, noted, times = lags[number - 1]
        for _ in range(times):
            see(number - external, number - secret, number - noted)
        see(number, number, number)
    assert told() == [(moment, PROVED if tier == "T2" else LIKELY) for moment in world.rotations]
    if world.rotations:
        assert Resource.objects.get(kind="ExternalSecret").rotated_at == world.rotations[-1]


@pytest.mark.parametrize("order", [(1, 2, 2), (2, 1, 2), (2, 2, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1)])
@pytest.mark.parametrize("tier", ["T2", "T0"])
def test_a_rotation_that_ends_a_failure_is_told_whatever_comes_first(tier: str, order: tuple[int, int, int]) -> None:
    world, cluster = World(), make_cluster()
    world.fail()
    world.rotate()
    secret = (lambda state: state) if tier == "T2" else (lambda state: None)
    for states in ((0, 0, 0), (1, 1, 1), order, (2, 2, 2), (2, 2, 2)):
        read(cluster, world, states[0], secret(states[1]), states[2], NOW + 2 * HOUR)
    assert told() == [(world.rotations[0], PROVED if tier == "T2" else LIKELY)]


def test_an_event_comes_first_and_the_tag_proves_it_later() -> None:
    world, cluster = World(), make_cluster()
    world.rotate()
    read(cluster, world, 0, None, 0, NOW)
    read(cluster, world, 1, None, 1, NOW + HOUR)
    assert told() == [(world.rotations[0], LIKELY)]
    read(cluster, world, 1, 0, 1, NOW + HOUR)
    read(cluster, world, 1, 1, 1, NOW + HOUR)
    row = Rotation.objects.get()
    assert (row.confidence, row.source, row.before, row.after) == (PROVED, "target", "00000001", "00000002")


def with_secrets(cluster: Cluster, outcome: Outcome, *, at: datetime, world: World) -> None:
    """One collection of everything new in which Secrets could not be read."""
    observation, _, event = world.states[-1]
    snapshot = complete(cluster, [observation], kinds=["ExternalSecret"], events=[event] if event else [])
    problem = Problem(failure=Failure.SERVER_ERROR, message="503")
    secrets = KindResult(kind="Secret", outcome=outcome, problem=problem)
    apply(cluster, Snapshot(cluster_id=cluster.pk, kinds={**snapshot.kinds, "Secret": secrets}), at)


def test_while_secrets_fail_to_be_read_an_event_waits_for_them() -> None:
    world, cluster = World(), make_cluster()
    read(cluster, world, 0, 0, 0, NOW)
    world.rotate()
    with_secrets(cluster, Outcome.FAILED, at=NOW + HOUR, world=world)
    assert told() == []
    read(cluster, world, 1, 1, 1, NOW + HOUR)
    assert told() == [(NOW + HOUR, PROVED)]


def test_when_secrets_may_not_be_read_any_more_events_count_again() -> None:
    world, cluster = World(), make_cluster()
    read(cluster, world, 0, 0, 0, NOW)
    world.rotate()
    with_secrets(cluster, Outcome.FORBIDDEN, at=NOW + HOUR, world=world)
    assert told() == [(NOW + HOUR, LIKELY)]


def test_a_recreated_external_secret_begins_anew() -> None:
    world, cluster = World(), make_cluster()
    read(cluster, world, 0, None, 0, NOW)
    world.rotate()
    observation, _, event = world.states[-1]
    again = Observation(key=observation.key, uid="another", fingerprint=7, created_at=CREATED, facts=observation.facts)
    assert event is not None
    apply(cluster, complete(cluster, [again], kinds=KINDS, events=[event]), NOW + HOUR)
    assert told() == []


def test_another_target_begins_anew() -> None:
    world, other, cluster = World(), World("web"), make_cluster()
    before = [*world.states[0][:2], *other.states[0][:2]]
    apply(cluster, complete(cluster, before, kinds=KINDS), NOW)
    external, secret = world.states[0][0], other.states[0][1]
    synced = {"target": "web", "synced_version": "2-1", "expected_version": "2-1", "refreshed_at": NOW + HOUR}
    merged = structs.replace(external.facts, **synced)
    world.rotate()
    event = world.states[-1][2]
    assert event is not None
    writers = (*secret.facts.writers, DataWriter(manager="externalsecrets.external-secrets.io/db", at=NOW + HOUR))  # type: ignore[attr-defined]
    written = structs.replace(secret.facts, data_tag=TAG.format(9), writers=writers)
    after = [
        structs.replace(external, facts=merged, fingerprint=1),
        before[1],
        before[2],
        structs.replace(secret, facts=written, fingerprint=2),
    ]
    apply(cluster, complete(cluster, after, kinds=KINDS, events=[event]), NOW + HOUR)
    assert told() == []


def test_a_moment_in_the_future_is_not_believed() -> None:
    world, cluster = World(), make_cluster()
    world.rotate()
    read(cluster, world, 0, 0, 0, NOW)
    read(cluster, world, 1, 1, 1, NOW)
    assert told() == [(NOW, PROVED)]


def test_a_rotation_is_told_of_the_cluster_where_it_was_seen() -> None:
    world, here, there = World(), make_cluster("here"), make_cluster("there")
    world.rotate()
    for cluster in (here, there):
        read(cluster, world, 0, 0, 0, NOW)
    read(here, world, 1, 1, 1, NOW + HOUR)
    assert told(cluster=there) == []
    read(there, world, 1, 1, 1, NOW + HOUR)
    rows = Rotation.objects.values_list("cluster__name", "before", "after")
    assert sorted(rows) == [("here", "00000001", "00000002"), ("there", "00000001", "00000002")]


def sealed(generation: int, digest: str) -> Observation:
    facts = SealedSecretFacts(
        generation=generation,
        ready=True,
        observed_generation=1,
        updated_at=NOW + MINUTE,
        spec_written_at=NOW + generation * MINUTE,
        sealed=(SealedItem(name="password", digest=digest),),
        target="db",
    )
    key = ResourceKey("SealedSecret", "shop", "db")
    return Observation(key=key, uid="u", fingerprint=hash(facts) >> 1, created_at=CREATED, facts=facts)


def unsealed(at: datetime, count: int) -> EventNote:
    return EventNote(
        uid="unsealed",
        fingerprint=count,
        involved=ResourceKey("SealedSecret", "shop", "db"),
        involved_uid="u",
        type="Normal",
        reason="Unsealed",
        message="SealedSecret unsealed successfully",
        component="sealed-secrets",
        first_at=NOW + MINUTE,
        last_at=at,
        count=count,
    )


@pytest.mark.parametrize("late", ["event", "object", "nothing"])
def test_event_and_ciphertext_may_come_in_either_order(late: str) -> None:
    cluster, before, after = make_cluster(), sealed(1, "a"), sealed(2, "b")
    first, second = unsealed(NOW + MINUTE, 1), unsealed(NOW + 2 * MINUTE, 2)
    for seen, event in (
        (before, first),
        (before if late == "object" else after, first if late == "event" else second),
        (after, second),
        (after, second),
        (after, unsealed(NOW + HOUR, 3)),  # a restart of the controller
    ):
        apply(cluster, complete(cluster, [seen], kinds=KINDS, events=news_of(cluster, event)), NOW + HOUR)
    assert told() == [(NOW + 2 * MINUTE, INFERRED)]


def mount(pod: str, version: str, minute: int, generation: int, made: int = 0) -> Observation:
    facts = MountFacts(
        generation=generation,
        pod=pod,
        class_name="api",
        objects=(MountedObject(id="db", version=version),),
        written_at=NOW + minute * MINUTE,
    )
    return Observation(
        key=ResourceKey("SecretProviderClassPodStatus", "shop", pod),
        uid=pod,
        fingerprint=hash((pod, facts)) >> 1,
        created_at=NOW + made * MINUTE,
        facts=facts,
        references=(Reference(Relation.CLASS, ResourceKey("SecretProviderClass", "shop", "api")),),
    )


def test_mounts_that_did_not_change_are_looked_at_too() -> None:
    cluster = make_cluster()

    def collect(*pods: Observation) -> None:
        apply(cluster, complete(cluster, pods, kinds=KINDS), NOW + HOUR)

    collect(mount("p1", "1", 0, 1), mount("p2", "1", 0, 1))
    collect(mount("p1", "1", 0, 1), mount("p2", "1", 0, 1), mount("p3", "2", 5, 1, made=5))
    collect(mount("p1", "2", 9, 2), mount("p2", "1", 0, 1), mount("p3", "2", 5, 1, made=5))
    row = Rotation.objects.get()
    assert (row.at, row.before, row.after) == (NOW + 5 * MINUTE, "1", "2")
    assert reached([row.pk], NOW + HOUR) == {row.pk: (2, 3, 0)}
    collect(mount("p1", "2", 9, 2), mount("p2", "2", 20, 2), mount("p3", "2", 5, 1, made=5))
    assert reached([row.pk], NOW + HOUR) == {row.pk: (3, 3, 0)}


def test_a_late_mount_of_an_object_that_rotated_long_before_others_is_no_news() -> None:
    """Its rotation lies behind hundreds of others of the class; what is in the ledger already must break nothing."""
    cluster = make_cluster()
    old = [mount(pod, "1", 0, 1) for pod in ("p1", "p2", "p3")]
    new = [mount(pod, "2", 9, 2) for pod in ("p1", "p2", "p3")]
    apply(cluster, complete(cluster, old, kinds=KINDS), NOW + HOUR)
    apply(cluster, complete(cluster, [*new[:2], old[2]], kinds=KINDS), NOW + HOUR)
    row = Rotation.objects.get()
    others = [
        Rotation(
            at=NOW + HOUR + number * MINUTE,
            seen_at=NOW,
            cluster=cluster,
            kind=row.kind,
            namespace=row.namespace,
            name=row.name,
            object=f"other-{number % 2}",
            confidence=3,
            source=row.source,
        )
        for number in range(300)
    ]
    Rotation.objects.bulk_create(others)
    apply(cluster, complete(cluster, new, kinds=KINDS), NOW + 2 * HOUR)
    assert Collection.objects.latest("id").result == Collection.Result.COMPLETE
    assert Rotation.objects.filter(object="db").count() == 1


def statements(cluster: Cluster, worlds: Iterable[World], state: int) -> list[str]:
    states = [world.states[state] for world in worlds]
    observations = [o for external, secret, _ in states for o in (external, secret)]
    snapshot = complete(cluster, observations, kinds=KINDS, events=[event for *_, event in states if event])
    with CaptureQueriesContext(connection) as captured:
        apply(cluster, snapshot, NOW + (state + 1) * HOUR)
    return [query["sql"] for query in captured]


def test_the_number_of_statements_does_not_grow() -> None:
    counts = []
    for number in (1, 60):
        worlds, cluster = [World(f"db-{n}") for n in range(number)], make_cluster(f"with-{number}")
        for world in worlds:
            world.wait()
            world.rotate()
        first, quiet, rotated = (statements(cluster, worlds, state) for state in range(3))
        assert not [sql for sql in first + quiet if "monitoring_rotation" in sql]
        assert len([sql for sql in rotated if "monitoring_rotation" in sql]) == 2  # read and written
        counts.append(len(rotated))
    assert counts[0] == counts[1]
    assert Rotation.objects.count() == 61
