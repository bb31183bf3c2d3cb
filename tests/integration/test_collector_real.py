"""The collector against a real kube-apiserver, as the ServiceAccount of the shipped manifests."""

import json
from collections.abc import Iterator
from typing import Any, TypeGuard

import pytest

from clusters.collector import Reader
from clusters.facts import DriverPodFacts, Facts, SecretFacts
from clusters.kinds import WATCHED_KINDS
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
    return [item for item in items if item["kind"] != "ReplicaSet"]


def events_of(case: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads((TESTDATA / case / "events.json").read_text())["items"]
    return [{**item, "apiVersion": "v1", "kind": "Event"} for item in items]


def test_the_shipped_rights_are_enough_to_read_everything_but_keys(reader: Reader, real_api_server: ApiServer) -> None:
    for case in CASES:
        apply(real_api_server, objects_of(case))
    apply(real_api_server, events_of(CASES[0]))
    snapshot = read(reader, target_of(create_reader(real_api_server)))

    assert snapshot.problem is None
    read_by_all = {watched.kind for watched in WATCHED_KINDS if watched.tier == "T0" and watched.judged}
    assert kinds_with(snapshot, Outcome.COMPLETE) >= {*read_by_all, "Event", "CSIDriver", "CSINode", "DaemonSet"}
    assert kinds_with(snapshot, Outcome.FORBIDDEN) == {"SealingKey", "Secret", "Pod", "DriverPod"}
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


def secret(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"password":"CANARY"}}'}
    metadata = {"name": name, "namespace": namespace, "annotations": applied}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "CANARY"}, **more}


def test_pods_and_the_metadata_of_secrets_are_read_with_the_rights_for_them(
    reader: Reader, real_api_server: ApiServer
) -> None:
    apply(real_api_server, objects_of(CASES[2]))
    apply(real_api_server, [secret("kube-system", "db"), secret("kube-system", "r", type="helm.sh/release.v1")])
    account = create_reader(real_api_server, "t2")
    snapshot = read(reader, target_of(account, secret_namespaces=("kube-system",)))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.FORBIDDEN) == set()
    wanted = [item for item in objects_of(CASES[2]) if item["kind"] == "Pod"]
    ours = [item["metadata"]["name"] for item in wanted if any("csi" in volume for volume in item["spec"]["volumes"])]
    assert names(snapshot.kinds["Pod"]) == sorted(ours)
    assert {entry.facts.role for entry in snapshot.kinds["DriverPod"].observations if is_driver(entry.facts)} == {
        "csi-driver",
        "csi-provider",
    }
    assert names(snapshot.kinds["Secret"]) == ["db"]
    [facts] = [entry.facts for entry in snapshot.kinds["Secret"].observations]
    assert isinstance(facts, SecretFacts)
    assert facts.last_applied
    assert [writer.keys for writer in facts.writers] == [("password",)]
    assert "CANARY" not in str(snapshot)


def is_driver(facts: Facts) -> TypeGuard[DriverPodFacts]:
    return isinstance(facts, DriverPodFacts)


def test_a_namespace_whose_secrets_may_not_be_listed_is_named(reader: Reader, real_api_server: ApiServer) -> None:
    account = create_reader(real_api_server, "t2")
    elsewhere = read(reader, target_of(account, secret_namespaces=("kube-system", "default"))).kinds["Secret"]
    everywhere = read(reader, target_of(account)).kinds["Secret"]

    assert elsewhere.outcome == everywhere.outcome == Outcome.FORBIDDEN
    assert elsewhere.problem is not None
    assert elsewhere.problem.message == "The credential may not list secrets in the namespace default."


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
