"""Recorded objects with one thing changed at random still end in a verdict, and in no failure of a rule."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.kinds import BY_NAME
from clusters.observations import MountFacts
from monitoring.rotation import with_change_times
from monitoring.rules import judge
from monitoring.rules.base import ClusterContext, Context

CASES = Path(__file__).parent.parent / "testdata"
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def _recorded() -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(CASES.glob("*/*/**/objects.json")):
        for item in json.loads(path.read_text())["items"]:
            if item["kind"] in BY_NAME:
                found.setdefault(f"{item['kind']} {path.parts[-2]}", item)
    return list(found.values())


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, child in inner for path in [(*prefix, key), *_paths(child, (*prefix, key))]]


RECORDED = _recorded()
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


@settings(max_examples=300)
@given(st.data())
def test_any_change_of_an_object_ends_in_a_verdict(data: st.DataObject) -> None:
    item = json.loads(json.dumps(data.draw(st.sampled_from(RECORDED))))
    kind = item["kind"]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(item)))
        holder = item
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = data.draw(junk)
    seen = BY_NAME[kind].observe(json.dumps(item).encode())
    if seen is None:
        return
    facts = seen.facts
    siblings = (with_change_times(None, facts, seen.created_at),) if isinstance(facts, MountFacts) else ()
    context = Context(cluster=ClusterContext(readable=frozenset(BY_NAME)), siblings=siblings)
    verdict = judge(seen, context, NOW)
    assert "could-not-be-judged" not in [finding.rule for finding in verdict.findings]


@given(st.data())
def test_a_broken_off_object_is_never_healthy(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from([item for item in RECORDED if item["kind"] in ("ExternalSecret", "SealedSecret")]))
    whole = json.dumps(item).encode()
    seen = BY_NAME[item["kind"]].observe(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert seen is None or judge(seen, Context(), NOW).health.name == "UNKNOWN"
