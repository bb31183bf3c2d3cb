"""The story that the demo clusters live: the same at every start, never still, never contradicting itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.external_secrets import synced_resource_version
from demo.shapes import Object
from demo.story import PLOTS, ClusterStory, Key
from demo.timeline import CYCLE, DAY, HISTORY, HOUR, MINUTE, Refreshes, Trouble, retries

EPOCH = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
SECONDS = {"5m": 300, "15m": 900, "1h": 3600, "24h": 86_400}
LATEST_RECOVERY = 65
"""Seconds after the end of a trouble in which every ExternalSecret has refreshed."""

SILENT = {
    ("prod-eu", "reports", "warehouse"),
    ("prod-eu", "search", "api"),
    ("prod-eu", "reports", "ledger-export"),
    ("prod-us", "checkout", "redis"),
    ("staging", "web", "preview-auth"),
    ("staging", "checkout", "registry-pull"),
}
LATELY = 5 * DAY
"""The end of the back story, in which most happens."""

WITH_ONE_CONDITION = ("ExternalSecret", "SecretStore", "ClusterSecretStore", "SealedSecret", "PushSecret")

moments = st.integers(-HISTORY, 3 * DAY)
names = st.sampled_from(sorted(PLOTS))
STORIES = {name: ClusterStory(name, EPOCH) for name in PLOTS}


def at(t: int) -> datetime:
    return EPOCH + timedelta(seconds=t)


def second(stamp: str) -> int:
    return int((datetime.fromisoformat(stamp) - EPOCH).total_seconds())


def of_kind(objects: dict[Key, Object], kind: str) -> Iterator[Object]:
    return (obj for key, obj in objects.items() if key[0] == kind)


def reconciled(objects: dict[Key, Object]) -> list[Object]:
    """ExternalSecrets that the controller has seen: it sees none that is poison."""
    return [obj for obj in of_kind(objects, "ExternalSecret") if "status" in obj]


def condition(obj: Object) -> Any:
    (found,) = obj["status"]["conditions"]
    return found


def is_silent(obj: Object, t: int) -> bool:
    """The rule for a silent stale: Ready, and later than due by more than the grace of a 60 s poll."""
    interval = SECONDS[obj["spec"]["refreshInterval"]]
    late = t - second(obj["status"]["refreshTime"]) - interval
    return (
        condition(obj)["status"] == "True"
        and "refreshPolicy" not in obj["spec"]
        and late > max(120, min(interval / 10, 600))
    )


def what_a_visitor_sees(story: ClusterStory, t: int) -> set[tuple[object, ...]]:
    """What pages show as states: refresh times alone do not count."""
    objects = story.objects(at(t))
    seen: set[tuple[object, ...]] = {("away", story.fault(at(t)) is not None)}
    for key, obj in objects.items():
        if key[0] in WITH_ONE_CONDITION and "status" in obj:
            seen.add((*key, condition(obj)["status"]))
        if key[0] == "ExternalSecret":
            seen.add((*key, "status" in obj and is_silent(obj, t)))
        if key[0] == "SecretProviderClassPodStatus":
            seen.add((*key, obj["status"]["objects"][0]["version"]))
        if key[0] == "Pod":
            seen.add((*key, obj["status"]["phase"]))
    return seen


@given(names, st.lists(moments, max_size=4), moments)
@settings(max_examples=40, deadline=None)
def test_the_same_instant_looks_the_same_however_it_was_reached(name: str, before: list[int], t: int) -> None:
    story = ClusterStory(name, EPOCH)
    for earlier in before:
        story.objects(at(earlier))
    assert story.objects(at(t)) == ClusterStory(name, EPOCH).objects(at(t))


def test_another_epoch_tells_the_same_story_at_another_time() -> None:
    later = ClusterStory("prod-eu", EPOCH + timedelta(days=9)).objects(at(0) + timedelta(days=9))
    first = STORIES["prod-eu"].objects(at(0))
    assert later.keys() == first.keys()
    assert {obj["metadata"]["uid"] for obj in later.values()} == {obj["metadata"]["uid"] for obj in first.values()}


def test_something_turns_within_any_two_live_minutes() -> None:
    step, turns, before = 10, [0], {name: what_a_visitor_sees(story, 0) for name, story in STORIES.items()}
    for t in range(step, 20 * CYCLE, step):
        now = {name: what_a_visitor_sees(story, t) for name, story in STORIES.items()}
        if now != before:
            turns.append(t)
        before = now
    longest = max(later - earlier for earlier, later in pairwise(turns))
    assert longest <= 2 * MINUTE - step
    assert 20 * CYCLE - turns[-1] <= 2 * MINUTE


def test_at_any_moment_a_few_are_failing_stale_or_at_risk_and_most_are_healthy() -> None:
    for t in range(-DAY, 10 * CYCLE, 450):
        secrets = [(name, obj) for name, story in STORIES.items() for obj in reconciled(story.objects(at(t)))]
        failing = sum(condition(obj)["status"] == "False" for _, obj in secrets)
        silent = sum(is_silent(obj, t) for _, obj in secrets)
        assert 1 <= failing <= len(secrets) // 3
        assert silent <= len(secrets) // 3
        if t >= 0:
            assert silent >= 1


@pytest.mark.parametrize("name", sorted(PLOTS))
def test_the_clusters_have_the_size_that_was_promised(name: str) -> None:
    objects = STORIES[name].objects(EPOCH)
    shown = [
        key
        for key in objects
        if key[0]
        not in ("Event", "Secret", "Pod", "Namespace", "Deployment", "Service", "CSIDriver", "CSINode", "DaemonSet")
    ]
    assert 28 <= len(shown) <= 90


@given(names, moments)
@settings(max_examples=150, deadline=None)
def test_external_secrets_agree_with_themselves(name: str, t: int) -> None:
    story = STORIES[name]
    objects = story.objects(at(t))
    stops = [window for trouble in (story.plot.operator, story.plot.poison) if (window := trouble.latest(t))]
    failures = {
        event["involvedObject"]["name"] for event in of_kind(objects, "Event") if event["reason"] == "UpdateFailed"
    }
    at_work = all(t > stop.end + LATEST_RECOVERY for stop in stops)
    for obj in reconciled(objects):
        metadata, status, ready = obj["metadata"], obj["status"], condition(obj)
        refreshed = second(status["refreshTime"])
        assert refreshed <= t
        assert second(metadata["creationTimestamp"]) <= second(ready["lastTransitionTime"]) <= t
        if ready["status"] == "False":
            assert second(ready["lastTransitionTime"]) > refreshed
            assert metadata["name"] in failures
            continue
        assert second(ready["lastTransitionTime"]) <= refreshed
        if not at_work:
            continue
        assert status["syncedResourceVersion"] == synced_resource_version(
            metadata["generation"], metadata.get("annotations", {}), metadata["labels"]
        )
        falls_silent = (name, metadata["namespace"], metadata["name"]) in SILENT
        if "refreshPolicy" not in obj["spec"] and not falls_silent:
            assert t <= refreshed + SECONDS[obj["spec"]["refreshInterval"]] + LATEST_RECOVERY


@given(names, moments)
@settings(max_examples=100, deadline=None)
def test_everything_else_agrees_with_itself(name: str, t: int) -> None:
    objects = STORIES[name].objects(at(t))
    pods = {pod["metadata"]["uid"]: pod for pod in of_kind(objects, "Pod")}
    for sealed in of_kind(objects, "SealedSecret"):
        assert sealed["status"]["observedGeneration"] == sealed["metadata"]["generation"]
        assert (condition(sealed)["status"] == "False") is ("message" in condition(sealed))
        assert second(condition(sealed)["lastTransitionTime"]) <= second(condition(sealed)["lastUpdateTime"]) <= t
    for mount in of_kind(objects, "SecretProviderClassPodStatus"):
        owner = mount["metadata"]["ownerReferences"][0]["uid"]
        assert owner in mount["status"]["targetPath"]
        assert pods[owner]["metadata"]["name"] == mount["status"]["podName"]
        assert (
            "SecretProviderClass",
            mount["metadata"]["namespace"],
            mount["status"]["secretProviderClassName"],
        ) in objects
    for event in of_kind(objects, "Event"):
        assert second(event["firstTimestamp"]) <= second(event["lastTimestamp"]) <= t
        assert t - second(event["lastTimestamp"]) < HOUR  # kube-apiserver keeps Events for one hour
    uids = [obj["metadata"]["uid"] for obj in objects.values()]
    assert len(set(uids)) == len(uids)


@given(names, moments, moments)
@settings(max_examples=80, deadline=None)
def test_time_only_moves_forward(name: str, one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    before, after = STORIES[name].objects(at(earlier)), STORIES[name].objects(at(later))
    for key in before.keys() & after.keys():
        assert before[key]["metadata"]["uid"] == after[key]["metadata"]["uid"]
        assert before[key]["metadata"].get("generation", 0) <= after[key]["metadata"].get("generation", 0)
        if key[0] == "ExternalSecret" and "status" in before[key]:
            assert second(before[key]["status"]["refreshTime"]) <= second(after[key]["status"]["refreshTime"])


@given(names, moments)
@settings(max_examples=30, deadline=None)
def test_there_is_no_value_to_leak(name: str, t: int) -> None:
    objects = STORIES[name].objects(at(t))
    assert "CANARY" not in json.dumps(list(objects.values()))
    for secret in of_kind(objects, "Secret"):
        assert set(secret["data"].values()) == {""}


IN_THE_BACK_STORY = {
    "away",
    "silent",
    "controller stopped",
    "mounts differ",
    "Updated",
    "UpdateFailed",
    "Valid",
    "InvalidProviderConfig",
    "FailedMount",
    "MissingProviderSecret",
    "Unsealed",
    "ErrUnsealFailed",
    "Errored",
    "SealedSecret False",
    "ClusterSecretStore False",
    "SecretStore False",
    "PushSecret False",
}


def test_the_back_story_has_every_kind_of_event() -> None:
    times = range(-LATELY, 0, 30 * MINUTE)
    assert set().union(*(what_is_told(story, t) for t in times for story in STORIES.values())) >= IN_THE_BACK_STORY
    served = {certificate.name for t in times if (certificate := STORIES["prod-eu"].certificate(at(t)))}
    assert len(served) == 2


def what_is_told(story: ClusterStory, t: int) -> set[str]:
    """What is the matter at `t`, in the words of IN_THE_BACK_STORY."""
    objects = story.objects(at(t))
    told = {event["reason"] for event in of_kind(objects, "Event")}
    judged = [obj for obj in objects.values() if obj["kind"] in WITH_ONE_CONDITION and "status" in obj]
    told |= {f"{obj['kind']} {condition(obj)['status']}" for obj in judged}
    silent = sum(is_silent(obj, t) for obj in reconciled(objects))
    marks = {
        "away": story.fault(at(t)) is not None,
        "silent": silent > 0,
        "controller stopped": silent > 8,
        "mounts differ": mounts_differ(objects),
    }
    return told | {mark for mark, is_seen in marks.items() if is_seen}


def mounts_differ(objects: dict[Key, Object]) -> bool:
    """Whether two pods carry different versions of one class."""
    statuses = [(mount["metadata"], mount["status"]) for mount in of_kind(objects, "SecretProviderClassPodStatus")]
    carried = {
        (metadata["namespace"], status["secretProviderClassName"], json.dumps(status["objects"]))
        for metadata, status in statuses
    }
    return len(carried) > len(list(of_kind(objects, "SecretProviderClass")))


def test_troubles_come_one_after_the_other() -> None:
    for plot in PLOTS.values():
        values = (getattr(plot, name) for name in plot.__dataclass_fields__)
        for value in values:
            for trouble in value.values() if isinstance(value, dict) else [value]:
                if isinstance(trouble, Trouble):
                    moments = [moment for window in trouble.back for moment in window]
                    assert moments == sorted(moments)


def data_hash(cluster: str, name: str, t: int) -> str:
    namespace, _, short = name.partition("/")
    secret = STORIES[cluster].objects(at(t))["Secret", namespace, short]
    found: str = secret["metadata"]["annotations"]["reconcile.external-secrets.io/data-hash"]
    return found


def arrival(cluster: str, name: str, start: int) -> int:
    """Seconds from `start` until the target's value is another one."""
    before = data_hash(cluster, name, start)
    return next(later for later in range(1, CYCLE * 3) if data_hash(cluster, name, start + later) != before)


def test_one_rotation_arrives_in_the_clusters_one_after_the_other() -> None:
    for start in (-27 * HOUR, 4 * CYCLE + 240, 20 * CYCLE + 240):
        arrivals = [arrival(name, "platform/telemetry", start) for name in ("prod-eu", "staging")]
        assert len(set(arrivals)) == 2
        assert len({data_hash(name, "platform/telemetry", start + 900) for name in ("prod-eu", "staging")}) == 1


def test_a_silent_reader_keeps_the_value_that_others_have_no_more() -> None:
    name = "checkout/registry-pull"
    for t, values in ((-32 * HOUR, 1), (-3 * HOUR, 2), (0, 2), (5 * DAY, 2)):
        assert len({data_hash(cluster, name, t) for cluster in PLOTS}) == values
        assert data_hash("prod-eu", name, t) == data_hash("prod-us", name, t)


def test_a_copied_value_is_equal_and_others_are_not() -> None:
    assert data_hash("staging", "search/elastic", 0) == data_hash("prod-us", "search/elastic", 0)
    assert data_hash("staging", "payments/db", 0) != data_hash("prod-us", "payments/db", 0)


@pytest.mark.parametrize(
    ("cluster", "key", "start", "end"),
    [
        ("staging", ("ExternalSecret", "web", "newrelic"), 3 * CYCLE + 30, 3 * CYCLE + 375),
        ("prod-us", ("SecretStore", "payments", "aws-payments"), CYCLE, CYCLE + 330),
    ],
)
def test_a_changed_spec_is_told_by_generation_and_writer(cluster: str, key: Key, start: int, end: int) -> None:
    before, during, after = (STORIES[cluster].objects(at(t))[key] for t in (start - 1, start, end + LATEST_RECOVERY))
    generations = [obj["metadata"]["generation"] for obj in (before, during, after)]
    assert generations == [generations[0], generations[0] + 1, generations[0] + 2]
    assert before["spec"] == after["spec"] != during["spec"]
    assert [condition(obj)["status"] for obj in (before, during, after)] == ["True", "False", "True"]
    trouble = PLOTS[cluster].missing.get("/".join(key[1:])) or PLOTS[cluster].stores["/".join(key[1:])]
    (writer,) = (entry for entry in during["metadata"]["managedFields"] if not entry.get("subresource"))
    assert (writer["manager"], second(writer["time"])) == (trouble.by, start)


def test_an_upgrade_is_another_image() -> None:
    images = {
        obj["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]: obj["metadata"]["generation"]
        for t in (-10 * HOUR, 0)
        for obj in of_kind(STORIES["prod-us"].objects(at(t)), "Deployment")
    }
    assert images == {"v2.8.0": 2, "v2.9.0": 3}


OUTAGE = Trouble(live=(100, 400), cause="down")


@pytest.mark.parametrize(
    ("t", "refreshed", "failing_since"),
    [
        (50, 0, None),
        (150, 0, None),
        (299, 0, None),
        (300, 0, 300),
        (409, 0, 300),
        (410, 410, None),
        (599, 410, None),
        (600, 600, None),
    ],
)
def test_refreshes_around_an_outage(t: int, refreshed: int, failing_since: int | None) -> None:
    refreshes = Refreshes(interval=300, phase=0, lag=10, failing=(OUTAGE,))
    failure = refreshes.failure(t)
    assert refreshes.refreshed_at(t) == refreshed
    assert (failure and failure.since) == failing_since


def test_a_frozen_secret_keeps_its_old_time_and_does_not_fail() -> None:
    refreshes = Refreshes(interval=300, phase=0, lag=10, frozen=(OUTAGE,))
    assert refreshes.failure(350) is None
    assert [refreshes.refreshed_at(t) for t in (399, 409, 410)] == [0, 0, 410]


@pytest.mark.parametrize(
    ("seconds", "attempts", "last"),
    [
        (0, 1, 0),
        (1, 2, 1),
        (6, 3, 3),
        (7, 4, 7),
        (510, 9, 255),
        (511, 10, 511),
        (930, 10, 511),
        (931, 11, 931),
        (1351, 12, 1351),
    ],
)
def test_retries_back_off_to_seven_minutes(seconds: int, attempts: int, last: int) -> None:
    assert retries(1000, 1000 + seconds) == (attempts, 1000 + last)
