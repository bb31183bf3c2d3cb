"""Recorded clusters with something changed at random still end in verdicts, and in no failure of a rule."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.facts import MountFacts, ResourceKey
from clusters.kinds import BY_NAME, JUDGED_KINDS
from clusters.kinds.events import note
from monitoring.rotation import with_change_times
from monitoring.rules import judge, judge_cluster
from monitoring.rules.base import Context
from tests.recorded import JUDGED, Expectation
from tests.unit.recorded_world import World, world_of

CAPTURES = list({expectation.capture: expectation for expectation in JUDGED}.values())
MOMENTS = st.sampled_from([timedelta(0), timedelta(minutes=20), timedelta(hours=3), timedelta(days=60)])

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["1d", "0", "-1h", "True", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-11-24", "\u202e<b>"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def items_of(expectation: Expectation) -> list[tuple[str, dict[str, Any]]]:
    """Everything of a capture that we would read, by the name of our kind."""
    objects, secrets, events = (_items(expectation.folder / f"{n}.json") for n in ("objects", "secrets", "events"))
    found = [(item["kind"], item) for item in objects if item["kind"] in BY_NAME]
    found += [("DriverPod", item) for item in objects if item["kind"] == "Pod"]
    found += [(kind, item) for item in secrets for kind in ("SealingKey", "Secret")]
    return found + [("Event", item) for item in events]


def _items(path: Path) -> list[dict[str, Any]]:
    return (json.loads(path.read_text())["items"] or []) if path.exists() else []


def _place(draw: Callable[..., Any], value: Any) -> tuple[Any, Any]:
    """A container inside `value` and a key of it. Chosen on the way down: most fields lie in managedFields."""
    while True:
        key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        inner = value[key]
        if not inner or not isinstance(inner, (dict, list)) or draw(st.integers(0, 4)) == 4:
            return value, key
        value = inner


def changed(draw: Callable[..., Any], item: dict[str, Any]) -> dict[str, Any]:
    """A copy in which a few fields are something else or gone."""
    copy: dict[str, Any] = json.loads(json.dumps(item))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = _place(draw, copy)
        if draw(st.booleans()) and len(copy) > 1:
            del holder[key]
        else:
            holder[key] = draw(junk)
    return copy


RECORDED = defaultdict(list)
for expectation in CAPTURES:
    for of_kind, recorded in items_of(expectation):
        RECORDED[of_kind].append((expectation, recorded))
KINDS = sorted(RECORDED)
GONE = "gone"


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all fields, but not into what managedFields lists: those are names."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        if key != "fieldsV1":
            yield from fields_of(value[key], (*path, key))


def recorded_fields(kind: str) -> list[tuple[Expectation, dict[str, Any], tuple[Any, ...]]]:
    """Each field of a kind once, in a recorded object that has it; items of a list count as one."""
    found: dict[tuple[Any, ...], tuple[Expectation, dict[str, Any], tuple[Any, ...]]] = {}
    for capture, item in RECORDED[kind]:
        for path in fields_of(item):
            named = tuple("*" if isinstance(key, int) else key for key in path)
            found.setdefault(named, (capture, item, path))
    return list(found.values())


def with_field(item: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value in one field, or without it."""
    copy: dict[str, Any] = json.loads(json.dumps(item))
    holder: Any = copy
    for key in path[:-1]:
        holder = holder[key]
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


def with_instead(world: World, kind: str, old: dict[str, Any], content: bytes) -> World:
    """The world in which `content` was read in place of one object or Event."""
    observations, events = dict(world.observations), list(world.events)
    if kind == "Event":
        found = note(content)
        events = [event for event in events if event.uid != old["metadata"].get("uid")] + ([found] if found else [])
    elif seen := BY_NAME[kind].observe(content):
        metadata = old["metadata"]
        observations.pop(ResourceKey(kind, metadata.get("namespace", ""), metadata["name"]), None)
        observations[seen.key] = with_history(seen)
    return World(world.now, observations, events, world.before, world.others, world.name)


def with_history(seen: Any) -> Any:
    if not isinstance(seen.facts, MountFacts):
        return seen
    return type(seen)(
        key=seen.key,
        uid=seen.uid,
        fingerprint=seen.fingerprint,
        created_at=seen.created_at,
        facts=with_change_times(None, seen.facts, seen.created_at),
    )


def assert_all_judged(world: World, at: timedelta = timedelta(0)) -> None:
    verdicts = [world.judge(key, at) for key in world.observations if key.kind in JUDGED_KINDS]
    for verdict in [*verdicts, judge_cluster(world.cluster, world.now + at)]:
        assert "could-not-be-judged" not in [finding.rule for finding in verdict.findings], verdict


@pytest.mark.parametrize("value", [GONE, None, 7, "x", [None], {"x": {}}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_may_be_missing_or_of_another_type(kind: str, value: Any) -> None:
    for capture, item, path in recorded_fields(kind):
        assert_all_judged(
            with_instead(world_of(capture), kind, item, json.dumps(with_field(item, path, value)).encode())
        )


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_of_an_object_ends_in_verdicts_about_all(data: st.DataObject) -> None:
    """About the object itself, what refers to it, and its cluster."""
    expectation = data.draw(st.sampled_from(CAPTURES))
    kind, item = data.draw(st.sampled_from(items_of(expectation)))
    content = json.dumps(changed(data.draw, item)).encode()
    world, at = with_instead(world_of(expectation), kind, item, content), data.draw(MOMENTS)
    assert_all_judged(world, at)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in JUDGED_KINDS])
@settings(max_examples=60)
@given(st.data())
def test_a_broken_off_object_is_never_healthy(kind: str, data: st.DataObject) -> None:
    expectation, item = data.draw(st.sampled_from(RECORDED[kind]))
    whole = json.dumps(item).encode()
    seen = BY_NAME[kind].observe(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert seen is None or judge(seen, Context(), expectation.now).health.name == "UNKNOWN"
