"""Rotations that mounts tell of: the first that changes makes one, others arrive, and some changes are none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from clusters.facts import MountedObject, MountFacts, ResourceKey
from monitoring.rotation.base import Confidence, Entry, Evidence, Source
from monitoring.rotation.mounts import Mounted, has_changed, of_class, with_change_times

KEY = ResourceKey("SecretProviderClass", "shop", "api")
START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
NOW = START + timedelta(days=1)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Pod:
    """A mount of the class through its readings: each is the versions that it has, and the minute since when."""

    def __init__(self, version: str, minute: float = 0) -> None:
        self.before: MountFacts | None = None
        self._generation = 1
        self.after = self._read(version, minute)

    def _read(self, version: str, minute: float) -> MountFacts:
        objects = (MountedObject(id="db", version=version), MountedObject(id="mail", version="same"))
        observed = MountFacts(generation=self._generation, objects=objects, written_at=at(minute), class_name="api")
        return with_change_times(self.before, observed, at(minute))

    def turn(self, version: str, minute: float) -> None:
        self.before = self.after
        self._generation += 1
        self.after = self._read(version, minute)

    def stay(self) -> None:
        self.before = self.after


class World:
    """Pods of one class, and what was told of them so far."""

    def __init__(self, provider: str, **pods: Pod) -> None:
        self.provider, self.pods = provider, pods
        self.told: list[Evidence] = []

    def read(self, **changes: tuple[str, float]) -> list[str]:
        """One collection after these changes; returns the versions that it tells of."""
        for name, pod in self.pods.items():
            pod.turn(*changes[name]) if name in changes else pod.stay()
        return self._tell()

    def start(self, name: str, pod: Pod) -> list[str]:
        for other in self.pods.values():
            other.stay()
        self.pods[name] = pod
        return self._tell()

    def _tell(self) -> list[str]:
        entries = [Entry(id=number + 1, evidence=evidence) for number, evidence in enumerate(self.told)]
        mounted = [Mounted(before=pod.before, after=pod.after) for pod in self.pods.values()]
        found = of_class(KEY, self.provider, mounted, entries, NOW)
        assert found == of_class(KEY, self.provider, mounted[::-1], entries[::-1], NOW)
        self.told += found
        return [evidence.after for evidence in found]


def azure(*versions: str) -> World:
    return World("azure", **{f"p{number}": Pod(version) for number, version in enumerate(versions, 1)})


def test_the_first_mount_that_changes_tells_of_a_rotation() -> None:
    world = azure("1", "1", "1")
    assert world.read(p1=("2", 10)) == ["2"]
    assert world.told == [
        Evidence(
            key=KEY,
            at=at(10),
            confidence=Confidence.PROVED,
            source=Source.MOUNT,
            object="db",
            before="1",
            after="2",
        )
    ]


def test_others_that_follow_arrive_whenever_they_come() -> None:
    world = azure("1", "1", "1")
    assert world.read(p1=("2", 10)) == ["2"]
    assert world.read(p2=("2", 11)) == []
    assert world.read(p3=("2", 300)) == []


def test_of_several_that_changed_together_the_first_is_the_moment() -> None:
    world = azure("1", "1")
    world.read(p1=("2", 12), p2=("2", 10))
    assert [e.at for e in world.told] == [at(10)]


def test_a_pod_that_started_with_the_new_version_had_it_first() -> None:
    world = azure("1")
    assert world.start("p2", Pod("2", 5)) == []
    assert world.read(p1=("2", 10)) == ["2"]
    assert [e.at for e in world.told] == [at(5)]


def test_a_rollback_is_a_rotation_and_following_it_is_none() -> None:
    world = azure("1", "1", "1")
    world.read(p1=("2", 10), p2=("2", 11))
    assert world.read(p1=("1", 60)) == ["1"]
    assert world.read(p2=("1", 61)) == []
    assert [(e.before, e.after, e.at) for e in world.told] == [("1", "2", at(10)), ("2", "1", at(60))]


def test_coming_late_to_a_version_that_is_not_the_newest_is_none() -> None:
    world = azure("1", "1", "1")
    world.read(p1=("2", 10))
    assert world.read(p1=("3", 60)) == ["3"]
    assert world.read(p2=("2", 70)) == []
    assert world.read(p2=("3", 80), p3=("3", 81)) == []


def test_what_was_mounted_before_we_looked_is_no_rotation_either() -> None:
    world = World("azure", p1=Pod("2", 10), p2=Pod("1", 0))
    world.start("p3", Pod("3", 30))
    assert world.read(p2=("2", 40)) == []
    assert world.read(p2=("3", 41)) == ["3"]


def test_what_comes_later_than_a_newer_rotation_is_none() -> None:
    world = azure("1", "1")
    assert world.read(p1=("3", 20)) == ["3"]
    assert world.read(p2=("2", 10)) == []


def test_rotations_of_one_reading_are_told_in_their_order() -> None:
    world = azure("1", "1", "1")
    assert world.read(p1=("2", 10), p2=("3", 20), p3=("2", 11)) == ["2", "3"]


def test_a_missed_version_is_not_told_and_not_guessed() -> None:
    world = azure("1", "1")
    assert world.read(p1=("3", 30), p2=("3", 31)) == ["3"]
    assert [(e.before, e.after) for e in world.told] == [("1", "3")]


@pytest.mark.parametrize(("old", "new"), [("", "1"), ("1", ""), ("0", "1"), ("1", "0")])
def test_what_is_no_version_tells_nothing(old: str, new: str) -> None:
    assert World("vault", p1=Pod(old)).read(p1=(new, 10)) == []


def test_a_mount_without_times_changed_when_we_saw_it() -> None:
    before = MountFacts(objects=(MountedObject(id="db", version="1"),))
    after = MountFacts(objects=(MountedObject(id="db", version="2"),))
    (told,) = of_class(KEY, "aws", [Mounted(before=before, after=after)], [], NOW)
    assert told.at == NOW


def unstable(pods: Sequence[str], readings: int, *, one_by_one: bool) -> int:
    """How many rotations are told of Vault versions that are others at every poll, of every pod."""
    world = World("vault", **{name: Pod(f"{name}-0") for name in pods})
    for reading in range(1, readings + 1):
        news = {name: (f"{name}-{reading}", 2.0 * reading) for name in pods}
        for name in pods if one_by_one else ():
            world.read(**{name: news[name]})
        if not one_by_one:
            world.read(**news)
    return len(world.told)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_versions_of_vault_that_differ_at_every_poll_are_none(one_by_one: bool) -> None:
    assert unstable(["p1", "p2"], 6, one_by_one=one_by_one) == 0
    assert unstable(["p1", "p2", "p3"], 6, one_by_one=one_by_one) == 0


def test_of_a_lone_mount_at_most_the_first_looks_like_one() -> None:
    assert unstable(["p1"], 6, one_by_one=False) == 1


def test_vault_that_gives_all_pods_one_version_rotates() -> None:
    world = World("vault", p1=Pod("1"), p2=Pod("1"))
    assert world.read(p1=("2", 10)) == ["2"]
    assert world.read(p2=("2", 11)) == []
    assert world.read(p1=("3", 12), p2=("3", 13)) == ["3"]


def test_a_pod_of_vault_that_follows_one_that_started_later_rotates() -> None:
    world = World("vault", p1=Pod("1"), p2=Pod("2", 5))
    assert world.read(p1=("2", 10)) == ["2"]


def test_a_lone_mount_of_vault_rotates_if_not_too_often() -> None:
    world = World("vault", p1=Pod("1"))
    assert world.read(p1=("2", 600)) == ["2"]
    assert world.read(p1=("3", 1200)) == ["3"]
    assert world.read(p1=("4", 1259)) == []


def test_other_providers_rotate_as_often_as_they_say() -> None:
    world = azure("1", "9")
    assert [world.read(p1=(str(number), number)) for number in (2, 3, 4)] == [["2"], ["3"], ["4"]]


def test_only_a_changed_version_makes_one_look() -> None:
    pod = Pod("1")
    pod.stay()
    assert pod.before is not None
    assert not has_changed(pod.before, pod.after)
    pod.turn("2", 1)
    assert has_changed(pod.before, pod.after)
