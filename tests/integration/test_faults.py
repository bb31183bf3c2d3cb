"""Whatever is wrong with a cluster has a name, and is wrong with that cluster only."""

import gc
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from clusters.collector import Reader
from clusters.connection import MAX_RETRY_AFTER
from clusters.observations import Failure, Outcome, Snapshot
from demo.apiserver import Cluster, Fleet, running
from tests.integration.reading import (
    cursors_of,
    external_secret,
    kinds_with,
    load_case,
    local_reader,
    names,
    read,
    simulated_cluster,
    target_of,
)

RESOURCES = "/v1/externalsecrets"


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with local_reader() as reader:
        yield reader


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with simulated_cluster() as cluster:
        load_case(cluster, "external_secrets/synced")
        yield cluster


class Whole(NamedTuple):
    """A fault of everything, and what the cluster as a whole is then said to have."""

    fault: str
    failure: Failure
    words: str


WHOLE = [
    Whole("refuse", Failure.UNREACHABLE, "refused or dropped the connection"),
    Whole("reset", Failure.INTERRUPTED, "broke off"),
    Whole("truncated", Failure.INTERRUPTED, "broke off"),
    Whole("garbage", Failure.BAD_ANSWER, "not what an API server sends"),
    Whole("content-type", Failure.BAD_ANSWER, "not JSON"),
    Whole("401", Failure.UNAUTHORIZED, "answered 401"),
    Whole("429", Failure.RATE_LIMITED, "answered 429"),
    Whole("500", Failure.SERVER_ERROR, "answered 500"),
    Whole("503", Failure.SERVER_ERROR, "answered 503"),
]


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.fault)
@pytest.mark.parametrize("known", [False, True], ids=["first contact", "read before"])
def test_a_fault_of_everything_is_a_problem_of_the_cluster(
    reader: Reader, cluster: Cluster, case: Whole, known: bool
) -> None:
    target = target_of(cluster)
    if known:
        assert read(reader, target).problem is None
    cluster.faults.set(case.fault)
    snapshot = read(reader, target)

    assert snapshot.problem is not None
    assert snapshot.problem.failure == case.failure
    assert snapshot.kinds == {}
    assert known or case.words in snapshot.problem.message


class Partial(NamedTuple):
    """A fault of one list, and what that list's kind is then said to have."""

    fault: str
    outcome: Outcome
    failure: Failure


PARTIAL = [
    Partial("reset", Outcome.FAILED, Failure.INTERRUPTED),
    Partial("truncated", Outcome.FAILED, Failure.INTERRUPTED),
    Partial("garbage", Outcome.FAILED, Failure.BAD_ANSWER),
    Partial("content-type", Outcome.FAILED, Failure.BAD_ANSWER),
    Partial("403", Outcome.FORBIDDEN, Failure.UNAUTHORIZED),
    Partial("429", Outcome.FAILED, Failure.RATE_LIMITED),
    Partial("500", Outcome.FAILED, Failure.SERVER_ERROR),
    Partial("503", Outcome.FAILED, Failure.SERVER_ERROR),
]


@pytest.mark.parametrize("case", PARTIAL, ids=lambda case: case.fault)
def test_a_fault_of_one_list_is_a_problem_of_its_kind(reader: Reader, cluster: Cluster, case: Partial) -> None:
    cluster.faults.set(case.fault, only=RESOURCES)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is None
    result = snapshot.kinds["ExternalSecret"]
    assert (result.outcome, result.observations, result.unchanged) == (case.outcome, (), frozenset())
    assert result.problem is not None
    assert result.problem.failure == case.failure
    assert kinds_with(snapshot, Outcome.COMPLETE) >= {"SecretStore", "PushSecret", "SealedSecret", "Event", "CSINode"}
    assert names(snapshot.kinds["SecretStore"]) == ["store"]


def test_a_token_that_expires_while_kinds_are_read_is_a_problem_of_the_cluster(
    reader: Reader, cluster: Cluster
) -> None:
    cluster.faults.set("401", only=RESOURCES)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == Failure.UNAUTHORIZED


@pytest.mark.parametrize("fault", ["401", "garbage", "content-type", "reset", "500"])
def test_what_the_service_of_a_certificate_answers_is_no_matter_of_the_cluster(
    reader: Reader, cluster: Cluster, fault: str
) -> None:
    """Behind the proxy stands somebody's pod: its 401 says nothing about our token."""
    load_case(cluster, "sealed_secrets/synced")
    cluster.faults.set(fault, only="/proxy/")
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.FAILED) == {"SealingCertificate"}


def test_after_a_rejected_token_nothing_more_is_asked(reader: Reader, cluster: Cluster) -> None:
    target = target_of(cluster)
    read(reader, target)
    before = len(cluster.requests)
    cluster.faults.set("401")
    read(reader, target)

    assert len(cluster.requests) - before <= 3


def test_a_list_that_breaks_off_after_its_first_page_brings_nothing(reader: Reader, cluster: Cluster) -> None:
    cluster.load([external_secret(f"db-{number}") for number in range(600)])
    cluster.faults.set("truncated", only="continue=")
    result = read(reader, target_of(cluster)).kinds["ExternalSecret"]

    assert (result.outcome, result.observations) == (Outcome.FAILED, ())
    assert result.problem is not None
    assert result.problem.failure == Failure.INTERRUPTED


@pytest.mark.parametrize(("asked", "kept"), [(7, 7), (10**6, MAX_RETRY_AFTER)])
def test_throttling_tells_how_long_to_wait(reader: Reader, cluster: Cluster, asked: int, kept: int) -> None:
    cluster.faults.set("429", retry_after=asked)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is not None
    assert snapshot.problem.retry_after == kept


def test_a_cluster_that_does_not_answer_is_given_up_at_its_deadline(reader: Reader, cluster: Cluster) -> None:
    cluster.faults.set("hang")
    snapshot = read(reader, target_of(cluster, deadline=0.5))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == Failure.TIMEOUT


def test_a_known_cluster_that_stops_answering_is_given_up_too(reader: Reader, cluster: Cluster) -> None:
    known = target_of(cluster)
    assert read(reader, known).problem is None
    cluster.faults.set("hang")
    snapshot = read(reader, target_of(cluster, cluster_id=known.cluster_id, deadline=0.5))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == Failure.TIMEOUT
    gc.collect()  # a coroutine that was made and never run would complain here


@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_what_was_read_before_the_deadline_is_kept(reader: Reader, cluster: Cluster, fault: str) -> None:
    cluster.faults.set(fault, only=RESOURCES, seconds=600)
    snapshot = read(reader, target_of(cluster, deadline=3))

    assert snapshot.problem is None
    result = snapshot.kinds["ExternalSecret"]
    assert result.outcome == Outcome.FAILED
    assert result.problem is not None
    assert result.problem.failure == Failure.TIMEOUT
    assert names(snapshot.kinds["SecretStore"]) == ["store"]


def test_a_cluster_that_is_slow_but_within_its_deadline_is_read(reader: Reader, cluster: Cluster) -> None:
    cluster.faults.set("slow", seconds=0.01)

    assert read(reader, target_of(cluster)).kinds["ExternalSecret"].outcome == Outcome.COMPLETE


class Wrong(NamedTuple):
    """A mistake in what a person entered."""

    name: str
    changes: dict[str, Any]
    failure: Failure


WRONG = [
    Wrong("no such name", {"api_url": "https://no-such-cluster.invalid:6443"}, Failure.UNREACHABLE),
    Wrong("no API server", {"prefix": "/somewhere"}, Failure.BAD_ANSWER),
    Wrong("plain http", {"api_url": "http://127.0.0.1:6443"}, Failure.DIAL_REFUSED),
    Wrong("metadata service", {"api_url": "https://169.254.169.254"}, Failure.DIAL_REFUSED),
    Wrong("metadata, embedded", {"api_url": "https://[::ffff:169.254.169.254]"}, Failure.DIAL_REFUSED),
    Wrong("user in the address", {"api_url": "https://a:b@10.0.0.1"}, Failure.DIAL_REFUSED),
    Wrong("other CA", {"ca_pem": "other"}, Failure.TLS),
    Wrong("no CA", {"ca_pem": ""}, Failure.TLS),
    Wrong("CA is no certificate", {"ca_pem": "-----BEGIN CERTIFICATE-----"}, Failure.TLS),
    Wrong("wrong token", {"token": "CANARY-token"}, Failure.UNAUTHORIZED),
    Wrong("no token", {"token": ""}, Failure.CREDENTIAL),
    Wrong("header in the token", {"token": "CANARY\r\nX-Evil: 1"}, Failure.CREDENTIAL),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_a_wrong_entry_has_its_own_category_and_leaks_no_token(reader: Reader, cluster: Cluster, wrong: Wrong) -> None:
    changes = dict(wrong.changes)
    if changes.get("ca_pem") == "other":
        changes["ca_pem"] = Fleet().add("other").ca_pem
    if prefix := changes.pop("prefix", ""):
        changes["api_url"] = cluster.url + prefix
    snapshot = read(reader, target_of(cluster, **changes))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == wrong.failure
    assert len(snapshot.problem.message) < 400
    assert "CANARY" not in repr(snapshot)
    assert cluster.token not in repr(snapshot)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_without_leave_our_own_machine_is_not_dialled(cluster: Cluster, host: str) -> None:
    reader = Reader()
    snapshot = read(reader, target_of(cluster, api_url=f"https://{host}:{cluster.port}"))
    reader.close()

    assert snapshot.problem is not None
    assert snapshot.problem.failure == Failure.DIAL_REFUSED
    assert list(cluster.requests) == []


def test_without_any_right_every_kind_is_forbidden_and_nothing_is_gone(reader: Reader, cluster: Cluster) -> None:
    cluster.deny()
    snapshot = read(reader, target_of(cluster))

    assert kinds_with(snapshot, Outcome.COMPLETE) == set()
    assert "ExternalSecret" in kinds_with(snapshot, Outcome.FORBIDDEN)


def test_an_object_of_five_megabytes_is_read_and_not_kept(reader: Reader, cluster: Cluster) -> None:
    cluster.faults.set("oversized", only=RESOURCES, size=5_000_000)
    large = external_secret("large", annotations={"example.com/large": "x" * 5_000_000})
    cluster.put(large)
    result = read(reader, target_of(cluster)).kinds["ExternalSecret"]

    assert result.outcome == Outcome.COMPLETE
    assert "large" in names(result)
    assert len(msgspec.json.encode(result)) < 10_000


HOSTILE = '<script>alert(1)</script> \u202e"; DROP TABLE \U0001f4a5 =cmd|calc \x00\x1b[31m'


def test_hostile_text_everywhere_comes_out_as_short_visible_text(reader: Reader, cluster: Cluster) -> None:
    hostile = external_secret("db", labels={"x": HOSTILE}, annotations={HOSTILE: HOSTILE})
    hostile["spec"] |= {"refreshInterval": HOSTILE, "secretStoreRef": {"name": HOSTILE, "kind": HOSTILE}}
    condition = {"type": "Ready", "status": "False", "reason": HOSTILE, "message": HOSTILE * 100}
    hostile["status"] = {"conditions": [condition], "syncedResourceVersion": HOSTILE}
    cluster.put(hostile)
    result = read(reader, target_of(cluster)).kinds["ExternalSecret"]
    observation = next(entry for entry in result.observations if entry.key.namespace == "shop")

    stored = msgspec.json.encode(observation).decode()
    assert stored.isprintable()
    assert "\\u0000" not in stored
    assert "\\u001b" not in stored
    assert len(stored) < 5_000


def test_a_mistake_of_ours_is_the_outcome_of_its_kind(reader: Reader, cluster: Cluster) -> None:
    snapshot = read(reader, target_of(cluster, {"ExternalSecret": "no cursor"}))  # type: ignore[dict-item]

    result = snapshot.kinds["ExternalSecret"]
    assert result.problem is not None
    assert result.problem.message == "Reading failed with an unexpected AttributeError."
    assert snapshot.kinds["SecretStore"].outcome == Outcome.COMPLETE


def test_a_mistake_of_ours_in_one_cluster_does_not_leave_it(reader: Reader, cluster: Cluster) -> None:
    broken, sound = target_of(cluster, api_url=None), target_of(cluster)
    by_id = {snapshot.cluster_id: snapshot for snapshot in reader.read([broken, sound])}

    problem = by_id[broken.cluster_id].problem
    assert problem is not None
    assert problem.message == "Reading failed with an unexpected AttributeError."
    assert by_id[sound.cluster_id].problem is None


def test_a_failure_removes_nothing_that_was_known(reader: Reader, cluster: Cluster) -> None:
    target = target_of(cluster)
    cursors = cursors_of(read(reader, target))
    cluster.faults.set("500", only="externalsecrets")
    result = read(reader, target_of(cluster, cursors)).kinds["ExternalSecret"]

    assert (result.outcome, result.removed, result.observations) == (Outcome.FAILED, (), ())


def test_the_broken_ones_of_eight_do_not_hold_up_the_others(reader: Reader) -> None:
    """Proved by order: the hung cluster is let go only after all others have arrived."""
    fleet = Fleet()
    clusters = [fleet.add(f"cluster-{number}") for number in range(8)]
    with running(fleet):
        for cluster in clusters:
            load_case(cluster, "external_secrets/synced")
        hung, resetting, garbled = clusters[:3]
        hung.faults.set("hang")
        resetting.faults.set("reset")
        garbled.faults.set("garbage")
        targets = [target_of(cluster) for cluster in clusters]
        arriving = reader.read(targets)
        first = [next(arriving) for _ in range(7)]
        hung.faults.clear()
        (last,) = arriving

    ids = [target.cluster_id for target in targets]
    assert last.cluster_id == ids[0]
    by_id = {snapshot.cluster_id: snapshot for snapshot in first}
    assert [_failure(by_id[i]) for i in ids[1:3]] == [Failure.INTERRUPTED, Failure.BAD_ANSWER]
    assert [_failure(by_id[i]) for i in ids[3:]] == [None] * 5
    assert all(names(by_id[i].kinds["ExternalSecret"]) == ["db"] for i in ids[3:])


def _failure(snapshot: Snapshot) -> Failure | None:
    return snapshot.problem.failure if snapshot.problem else None
