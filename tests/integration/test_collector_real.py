"""The collector against a real kube-apiserver, as the ServiceAccount of the shipped manifests."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clusters.collector import Reader
from clusters.kinds import JUDGED_KINDS
from clusters.observations import Failure, Outcome
from tests.envtest.client import apply, create_reader
from tests.envtest.server import ApiServer, EnvTest
from tests.integration.reading import LOOPBACK, TESTDATA, cursors_of, kinds_with, names, read, target_of

CASES = ("external_secrets/missing-key", "sealed_secrets/wrong-name", "secrets_store_csi/healthy-three-mounts")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader(LOOPBACK)
    yield reader
    reader.close()


def objects_of(case: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads((TESTDATA / case / "objects.json").read_text())["items"]
    return [item for item in items if item["kind"] not in ("Pod", "ReplicaSet")]


def events_of(case: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads((TESTDATA / case / "events.json").read_text())["items"]
    return [{**item, "apiVersion": "v1", "kind": "Event"} for item in items]


def test_the_shipped_rights_are_enough_to_read_everything_but_keys(reader: Reader, real_api_server: ApiServer) -> None:
    for case in CASES:
        apply(real_api_server, objects_of(case))
    apply(real_api_server, events_of(CASES[0]))
    snapshot = read(reader, target_of(create_reader(real_api_server)))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.COMPLETE) >= {*JUDGED_KINDS, "Event", "CSIDriver", "CSINode", "DaemonSet"}
    assert kinds_with(snapshot, Outcome.FORBIDDEN) == {"SealingKey"}
    assert snapshot.server_version.startswith("v1.")
    assert snapshot.server_time is not None
    assert {event.involved.kind for event in snapshot.kinds["Event"].events} >= {"ExternalSecret"}
    wanted = sorted(item["metadata"]["name"] for item in objects_of(CASES[0]) if item["kind"] == "ExternalSecret")
    assert names(snapshot.kinds["ExternalSecret"]) == wanted
    assert [
        entry.facts.problem
        for result in snapshot.kinds.values()
        for entry in result.observations
        if entry.facts.problem
    ] == []


def test_a_second_reading_finds_nothing_new(reader: Reader, real_api_server: ApiServer) -> None:
    apply(real_api_server, objects_of(CASES[0]))
    first = read(reader, target_of(real_api_server))
    second = read(reader, target_of(real_api_server, cursors_of(first)))

    assert second.problem is None
    assert second.kinds["ExternalSecret"].outcome == Outcome.COMPLETE
    assert second.kinds["ExternalSecret"].observations == ()
    assert second.kinds["ExternalSecret"].unchanged == cursors_of(first)["ExternalSecret"].known


def test_a_token_of_nobody_is_rejected(reader: Reader, real_api_server: ApiServer) -> None:
    snapshot = read(reader, target_of(real_api_server, token="nobody"))

    assert snapshot.problem is not None
    assert snapshot.problem.failure == "credential rejected"


def test_a_client_certificate_is_as_good_as_a_token(
    reader: Reader, real_api_server: ApiServer, envtest: EnvTest
) -> None:
    apply(real_api_server, objects_of(CASES[0]))
    pair = envtest.client_certificate("ana", "system:masters")
    identity: dict[str, Any] = {"token": "", "client_certificate": pair.certificate_pem, "client_key": pair.key_pem}
    snapshot = read(reader, target_of(real_api_server, **identity))
    assert snapshot.problem is None
    assert "ExternalSecret" in kinds_with(snapshot, Outcome.COMPLETE)


def test_identities_at_one_api_server_do_not_share_connections(
    reader: Reader, real_api_server: ApiServer, envtest: EnvTest
) -> None:
    for user, group in (("ana", "system:masters"), ("bob", "nobody")):
        pair = envtest.client_certificate(user, group)
        identity: dict[str, Any] = {"token": "", "client_certificate": pair.certificate_pem, "client_key": pair.key_pem}
        snapshot = read(reader, target_of(real_api_server, **identity))
        allowed = Outcome.COMPLETE if user == "ana" else Outcome.FORBIDDEN
        assert snapshot.kinds["ExternalSecret"].outcome is allowed


def test_a_key_that_does_not_fit_is_a_credential_problem(
    reader: Reader, real_api_server: ApiServer, envtest: EnvTest
) -> None:
    first, second = (envtest.client_certificate("ana", "system:masters") for _ in range(2))
    identity: dict[str, Any] = {"token": "", "client_certificate": first.certificate_pem, "client_key": second.key_pem}
    snapshot = read(reader, target_of(real_api_server, **identity))
    assert snapshot.problem is not None
    assert snapshot.problem.failure is Failure.CREDENTIAL
