"""Judging 100,000 mixed objects, and where the time of their first full collection goes."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.collection import cpu_seconds
from benchmarks.table import Row
from clusters.kinds import BY_NAME, JUDGED_KINDS
from clusters.models import Cluster
from clusters.observations import KindResult, Observation, Outcome, Snapshot
from monitoring import context, judging, memory, outcomes, pipeline, recorder, rules
from monitoring.health import Health

COUNT = 100_000
CASES = Path(__file__).parent.parent / "tests" / "testdata"
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
STEPS = ("decode", "compare", "remember", "contexts", "rules", "record")

T = TypeVar("T")


def run() -> list[Row]:
    cluster = Cluster.objects.create(name="judged", api_url="https://judged.example", created_at=NOW, updated_at=NOW)
    spent: dict[str, float] = {}
    number = _collect(cluster, list(_objects()), spent)
    slowest_other = max(spent[step] for step in STEPS if step != "rules")
    table = [Row(f"first collection of {number:,} mixed objects: {step}", spent[step], "CPU s") for step in STEPS]
    return [
        Row("verdicts per CPU second, mixed objects with contexts", number / spent["rules"], "verdicts/s"),
        *table,
        Row("judging against the slowest other step", spent["rules"] / slowest_other, "x", at_most=1),
    ]


def _objects() -> Iterator[tuple[str, bytes]]:
    """Recorded objects of all judged kinds, each again and again in namespaces of its own, COUNT in all."""
    recorded: dict[str, dict[str, Any]] = {}
    for path in sorted(CASES.glob("*/*/**/objects.json")):
        for item in json.loads(path.read_text())["items"]:
            if item["kind"] in JUDGED_KINDS and BY_NAME[item["kind"]].observe(json.dumps(item).encode()):
                recorded[f"{path.parent} {item['metadata'].get('namespace')} {item['metadata']['name']}"] = item
    items = list(recorded.values())
    for number in range(COUNT):
        turn, item = divmod(number, len(items))
        metadata = {**items[item]["metadata"], "uid": f"uid-{number}", "resourceVersion": str(number)}
        if "namespace" in metadata:
            metadata["namespace"] += f"-{turn}-{item}"
        else:
            metadata["name"] += f"-{turn}-{item}"
        yield items[item]["kind"], json.dumps({**items[item], "metadata": metadata}).encode()


def _collect(cluster: Cluster, objects: list[tuple[str, bytes]], spent: dict[str, float]) -> int:
    """What pipeline.collect does of a first collection once the bytes are there, step by step; return the verdicts."""
    seen = _timed(spent, "decode", lambda: [BY_NAME[kind].observe(body) for kind, body in objects])
    observed = [observation for observation in seen if observation is not None]
    snapshot = Snapshot(cluster_id=cluster.pk, kinds={kind: _result(kind, observed) for kind in JUDGED_KINDS})
    changes = _timed(spent, "compare", lambda: pipeline.compare(cluster, snapshot, {}))
    clock = judging.Clock(now=NOW)
    collection_id = outcomes.begin(cluster, snapshot, changes, NOW)
    recorder.advance(cluster.pk, list(snapshot.kinds.values()), NOW, cluster.freshness_limit)
    news = judging.with_history(changes, clock)
    _timed(spent, "remember", lambda: memory.remember(cluster.pk, news, (), NOW, clock.offset))
    overlay = context.Overlay(cluster, news, (), NOW)
    judged = dict.fromkeys((o.key for o in news), Health.HEALTHY)
    contexts = _timed(spent, "contexts", lambda: overlay.contexts(news, overlay.cluster_context(), judged))
    verdicts = _timed(spent, "rules", lambda: [rules.judge(o, contexts[o.key], NOW) for o in news])
    entries = [
        recorder.Entry(observation=o, verdict=v, since=NOW, first_seen_at=NOW, recheck_at=v.recheck_at, due_at=v.due_at)
        for o, v in zip(news, verdicts, strict=True)
    ]

    def write() -> None:
        recorder.record(cluster.pk, entries, (), at=NOW, collection_id=collection_id, judged_kinds=JUDGED_KINDS)
        recorder.refer(cluster.pk, news)

    _timed(spent, "record", write)
    return len(verdicts)


def _result(kind: str, observed: list[Observation]) -> KindResult:
    mine = tuple(observation for observation in observed if observation.key.kind == kind)
    return KindResult(kind=kind, outcome=Outcome.COMPLETE, observations=mine)


def _timed(spent: dict[str, float], step: str, work: Callable[[], T]) -> T:
    start = cpu_seconds()
    result = work()
    spent[step] = cpu_seconds() - start
    return result
