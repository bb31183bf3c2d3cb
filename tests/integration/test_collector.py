"""Reading clusters that work: completely, cheaply when nothing changed, and in whatever version they serve."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters import collector, listing
from clusters.collector import Reader
from clusters.facts import ResourceKey, SecretFacts
from clusters.kinds import JUDGED_KINDS, WATCHED_KINDS
from clusters.observations import Failure, Outcome, ReadCursor, Snapshot
from clusters.tagging import no_tag, tagger
from demo.apiserver import Cluster
from tests.integration.reading import (
    LOOPBACK,
    case_objects,
    cursors_of,
    external_secret,
    kinds_with,
    load_case,
    local_reader,
    names,
    outcomes,
    read,
    requests,
    simulated_cluster,
    target_of,
)

ALL_RESULTS = {watched.kind for watched in WATCHED_KINDS} | {"Event"}
CASES = ("external_secrets/missing-key", "sealed_secrets/synced", "secrets_store_csi/healthy-three-mounts")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with local_reader() as reader:
        yield reader


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with simulated_cluster() as cluster:
        yield cluster


def test_a_cluster_is_read_completely(reader: Reader, cluster: Cluster) -> None:
    for case in CASES:
        load_case(cluster, case)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.COMPLETE) == ALL_RESULTS
    assert snapshot.server_version.startswith("v1.")
    assert snapshot.requests == len(cluster.requests)
    assert snapshot.bytes_read > 0
    for kind in ("ExternalSecret", "SecretStore", "SealedSecret", "SecretProviderClassPodStatus", "SealingKey", "Pod",
                 "DriverPod", "Secret", "SealingCertificate", "CSIDriver", "CSINode", "DaemonSet",
                 "Deployment"):  # fmt: skip
        assert snapshot.kinds[kind].observations, kind
    assert {event.involved.kind for event in snapshot.kinds["Event"].events} >= {"ExternalSecret", "SealedSecret"}


def test_what_is_known_and_unchanged_is_not_observed_again(reader: Reader, cluster: Cluster) -> None:
    for case in CASES:
        load_case(cluster, case)
    first = read(reader, target_of(cluster))
    second = read(reader, target_of(cluster, cursors_of(first)))

    assert kinds_with(second, Outcome.COMPLETE) == ALL_RESULTS
    for kind, result in second.kinds.items():
        assert (result.observations, result.events) == ((), ()), kind
        assert result.unchanged == cursors_of(first)[kind].known, kind


def test_a_change_and_a_removal_show(reader: Reader, cluster: Cluster) -> None:
    cluster.load([external_secret("stays"), external_secret("changes"), external_secret("goes")])
    first = read(reader, target_of(cluster))
    cluster.put(external_secret("changes", labels={"a": "b"}))
    cluster.remove("ExternalSecret", "shop", "goes")
    second = read(reader, target_of(cluster, cursors_of(first)))

    result = second.kinds["ExternalSecret"]
    assert names(result) == ["changes"]
    assert len(result.unchanged) == 1


def test_a_list_is_read_page_by_page_to_its_end(reader: Reader, cluster: Cluster) -> None:
    wanted = 2 * listing.PAGE_SIZE + 1
    cluster.load([external_secret(f"db-{number}") for number in range(wanted)])
    snapshot = read(reader, target_of(cluster))

    assert len(snapshot.kinds["ExternalSecret"].observations) == wanted
    pages = requests(cluster, "/externalsecrets?")
    assert len(pages) == 3
    assert ["continue=" in path for path in pages] == [False, True, True]


@pytest.mark.parametrize(("times", "outcome"), [(1, Outcome.COMPLETE), (2, Outcome.FAILED)])
def test_a_list_that_expires_on_the_way_is_begun_again_once(
    reader: Reader, cluster: Cluster, times: int, outcome: Outcome
) -> None:
    cluster.load([external_secret(f"db-{number}") for number in range(listing.PAGE_SIZE + 1)])
    expire_after_first_pages(cluster, times)
    result = read(reader, target_of(cluster)).kinds["ExternalSecret"]

    assert result.outcome == outcome
    assert len(result.observations) == (listing.PAGE_SIZE + 2 if outcome == Outcome.COMPLETE else 0)
    if result.problem is not None:
        assert result.problem.failure == Failure.INTERRUPTED


def expire_after_first_pages(cluster: Cluster, times: int) -> None:
    """Let the world move on and forget the continue token of a first page while that page is sent, `times` times."""
    expired = 0

    def clock() -> datetime:
        nonlocal expired
        first_pages = [path for path in requests(cluster, "/externalsecrets?") if "continue=" not in path]
        if len(first_pages) > expired and expired < times:
            expired += 1
            cluster.put(external_secret(f"late-{expired}"))
            cluster.compact()
        return datetime.now(UTC)

    cluster.clock = clock


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [(["v1"], "v1"), (["v1beta1"], "v1beta1"), (["v1beta1", "v1"], "v1"), (["v1alpha1", "v1beta1"], "v1beta1")],
    ids=str,
)
def test_the_best_served_version_is_read(reader: Reader, cluster: Cluster, versions: list[str], chosen: str) -> None:
    cluster.install("ExternalSecret", versions=versions)
    cluster.put(external_secret("db") | {"apiVersion": f"external-secrets.io/{versions[0]}"})
    result = read(reader, target_of(cluster)).kinds["ExternalSecret"]

    assert (result.outcome, result.served_version, names(result)) == (Outcome.COMPLETE, chosen, ["db"])


def test_a_family_that_is_not_installed_is_a_fact(reader: Reader, cluster: Cluster) -> None:
    for family in ("external-secrets", "sealed-secrets", "secrets-store-csi"):
        cluster.uninstall(family)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.NOT_INSTALLED) >= {*JUDGED_KINDS, "Event", "SealingCertificate"}
    assert kinds_with(snapshot, Outcome.FAILED) == set()


def test_what_is_served_is_asked_for_once_and_again_after_a_404(reader: Reader, cluster: Cluster) -> None:
    target = target_of(cluster)
    read(reader, target)
    read(reader, target)
    assert len(requests(cluster, "/version")) == 1

    cluster.uninstall("PushSecret")
    assert read(reader, target).kinds["PushSecret"].outcome == Outcome.NOT_INSTALLED
    assert len(requests(cluster, "/version")) == 1
    cluster.install("PushSecret")
    assert read(reader, target).kinds["PushSecret"].outcome == Outcome.COMPLETE
    assert len(requests(cluster, "/version")) == 2


def test_sealing_keys_are_asked_for_without_their_values(reader: Reader, cluster: Cluster) -> None:
    load_case(cluster, "sealed_secrets/synced")
    snapshot = read(reader, target_of(cluster))

    assert len(snapshot.kinds["SealingKey"].observations) == 1
    assert requests(cluster, "/api/v1/secrets?labelSelector") == [
        "/api/v1/secrets?labelSelector=sealedsecrets.bitnami.com/sealed-secrets-key&limit=500"
    ]


def test_the_default_rights_read_no_secrets_no_pods_and_everything_else(reader: Reader, cluster: Cluster) -> None:
    for case in CASES:
        load_case(cluster, case)
    cluster.deny("secrets")
    cluster.deny("pods")
    snapshot = read(reader, target_of(cluster))

    assert snapshot.problem is None
    assert kinds_with(snapshot, Outcome.FORBIDDEN) == {"SealingKey", "Secret", "Pod", "DriverPod"}
    assert kinds_with(snapshot, Outcome.COMPLETE) == ALL_RESULTS - {"SealingKey", "Secret", "Pod", "DriverPod"}
    assert snapshot.kinds["SealingKey"].problem is not None


def test_pods_are_read_where_the_driver_is_installed_only(reader: Reader, cluster: Cluster) -> None:
    cluster.uninstall("secrets-store-csi")
    snapshot = read(reader, target_of(cluster))

    assert kinds_with(snapshot, Outcome.NOT_INSTALLED) >= {"Pod", "DriverPod"}
    assert requests(cluster, "/pods") == []
    assert snapshot.kinds["Secret"].outcome == Outcome.COMPLETE


def test_secrets_are_read_where_an_operator_is_installed_only(reader: Reader, cluster: Cluster) -> None:
    for family in ("external-secrets", "sealed-secrets", "secrets-store-csi"):
        cluster.uninstall(family)
    snapshot = read(reader, target_of(cluster))

    assert snapshot.kinds["Secret"].outcome == Outcome.NOT_INSTALLED
    assert requests(cluster, "/api/v1/secrets?fieldSelector") == []


def test_what_needs_a_family_that_could_not_be_asked_for_is_as_unknown_as_that(
    reader: Reader, cluster: Cluster
) -> None:
    cluster.faults.set("503", only="/apis/secrets-store.csi.x-k8s.io")
    snapshot = read(reader, target_of(cluster))

    assert kinds_with(snapshot, Outcome.FAILED) == {
        "SecretProviderClass", "SecretProviderClassPodStatus", "Pod", "DriverPod"
    }  # fmt: skip


def test_secrets_and_keys_are_read_in_the_named_namespaces(reader: Reader, cluster: Cluster) -> None:
    for namespace in ("kube-system", "shop", "web"):
        cluster.put(secret(namespace))
        cluster.put(secret(namespace, "key", {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}))
    cluster.put(secret("shop", "release", type="helm.sh/release.v1"))
    target = target_of(cluster, secret_namespaces=("kube-system", "shop"))
    snapshot = read(reader, target)

    secrets, keys = snapshot.kinds["Secret"], snapshot.kinds["SealingKey"]
    assert sorted((entry.key.namespace, entry.key.name) for entry in secrets.observations) == [
        ("kube-system", "db"), ("kube-system", "key"), ("shop", "db"), ("shop", "key")
    ]  # fmt: skip
    assert sorted(entry.key.namespace for entry in keys.observations) == ["kube-system", "shop"]
    assert secrets.namespaces == keys.namespaces == ("kube-system", "shop")
    assert requests(cluster, "/api/v1/secrets") + requests(cluster, "/namespaces/web") == []
    by_namespace = [path for path in requests(cluster, "/namespaces/") if "/services/" not in path]
    assert all("/secrets?" in path for path in by_namespace)
    assert read(reader, target_of(cluster)).kinds["Secret"].namespaces == ()


def test_a_value_in_data_in_an_annotation_or_in_a_variable_reaches_nothing(reader: Reader, cluster: Cluster) -> None:
    load_case(cluster, "secrets_store_csi/healthy-three-mounts")
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"password":"CANARY"}}'}
    cluster.put(secret("shop", annotations=applied))
    pods = [item for item in case_objects("secrets_store_csi/healthy-three-mounts") if item["kind"] == "Pod"]
    for pod in pods:
        for container in pod["spec"]["containers"]:
            container["env"] = [{"name": "PASSWORD", "value": "CANARY"}]
        cluster.put({"apiVersion": "v1", **pod})
    snapshot = read(reader, target_of(cluster))

    assert len(snapshot.kinds["Pod"].observations) == 3
    [found] = snapshot.kinds["Secret"].observations
    assert isinstance(found.facts, SecretFacts)
    assert found.facts.last_applied
    assert "CANARY" not in str(snapshot)


def secret(
    namespace: str, name: str = "db", labels: Any = None, annotations: Any = None, **more: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"password": "CANARY"}, **more}


def test_hashes_of_data_and_templates_leave_the_reader_as_tags_of_the_target_only(
    reader: Reader, cluster: Cluster
) -> None:
    load_case(cluster, "external_secrets/rotation/step-1")
    load_case(cluster, "external_secrets/template-error")
    tag = tagger(b"k" * 32)
    tagged, plain = (read(reader, target_of(cluster, tag=how)) for how in (tag, no_tag))

    key_id = tag("").partition(".")[0]
    assert _tags(tagged) == {"Secret": [f"sha3.{key_id}"], "ExternalSecret": [key_id]}
    assert _tags(plain) == {"Secret": [], "ExternalSecret": []}
    assert "CANARY" not in repr(target_of(cluster, tag=tagger(b"CANARY")))


def _tags(snapshot: Snapshot) -> dict[str, list[str]]:
    """What stands before the HMAC of each tag, by kind."""
    fields = {"Secret": "data_tag", "ExternalSecret": "template_tag"}
    found = {
        kind: [getattr(entry.facts, field) for entry in snapshot.kinds[kind].observations]
        for kind, field in fields.items()
    }
    return {kind: [tag.rpartition(".")[0] for tag in tags if tag] for kind, tags in found.items()}


def test_the_certificate_is_found_without_a_right_to_read_deployments(reader: Reader, cluster: Cluster) -> None:
    load_case(cluster, "sealed_secrets/synced")
    cluster.deny("deployments")
    snapshot = read(reader, target_of(cluster))

    assert snapshot.kinds["Deployment"].outcome == Outcome.FORBIDDEN
    (certificate,) = snapshot.kinds["SealingCertificate"].observations
    assert certificate.key == ResourceKey("SealingCertificate", "kube-system", "sealed-secrets-controller")


@pytest.mark.parametrize(
    ("denied", "served", "outcome"),
    [
        (False, True, Outcome.COMPLETE),
        (True, True, Outcome.COMPLETE),
        (False, False, Outcome.FAILED),
        (True, False, Outcome.FORBIDDEN),
    ],
)
def test_a_certificate_that_is_not_served_is_not_gone(
    reader: Reader, cluster: Cluster, denied: bool, served: bool, outcome: Outcome
) -> None:
    load_case(cluster, "sealed_secrets/synced")
    if denied:
        cluster.deny("deployments")
    if not served:
        cluster.certificates.clear()

    assert read(reader, target_of(cluster)).kinds["SealingCertificate"].outcome == outcome


def test_without_a_controller_there_is_no_certificate(reader: Reader, cluster: Cluster) -> None:
    assert read(reader, target_of(cluster)).kinds["SealingCertificate"].outcome == Outcome.NOT_INSTALLED


def test_a_certificate_is_found_once_and_then_asked_for_directly(reader: Reader, cluster: Cluster) -> None:
    load_case(cluster, "sealed_secrets/synced")
    target = target_of(cluster)
    first = read(reader, target)
    before = len(requests(cluster, "cert.pem"))
    again = read(reader, target)

    assert first.kinds["SealingCertificate"].observations == again.kinds["SealingCertificate"].observations
    assert len(requests(cluster, "cert.pem")) == before + 1


def test_the_clock_of_the_server_is_told(reader: Reader, cluster: Cluster) -> None:
    cluster.clock = lambda: datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert read(reader, target_of(cluster)).server_time == datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_an_api_server_behind_a_path_prefix_is_asked_there(reader: Reader, cluster: Cluster) -> None:
    read(reader, target_of(cluster, api_url=f"{cluster.url}/k8s/clusters/c-1/"))

    assert [path for _, path in cluster.requests] == ["/k8s/clusters/c-1/version"]


def test_a_deeply_nested_object_hides_no_other(reader: Reader, cluster: Cluster) -> None:
    """API servers accept 10,000 levels where a schema preserves unknown fields, as SealedSecret's template does."""
    sealed: dict[str, Any] = {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "plain", "namespace": "shop"},
        "spec": {"encryptedData": {}},
    }
    deep: Any = {}
    for _ in range(9_000):
        deep = {"a": deep}
    cluster.load([sealed, sealed | {"metadata": {"name": "deep", "namespace": "shop"}, "spec": {"template": deep}}])
    templated = external_secret("deep") | {"spec": {"target": {"template": {"data": deep}}}}
    cluster.load([external_secret("plain"), templated])
    snapshot = read(reader, target_of(cluster, tag=tagger(b"k" * 32)))

    for kind in ("SealedSecret", "ExternalSecret"):
        result = snapshot.kinds[kind]
        assert (result.outcome, names(result)) == (Outcome.COMPLETE, ["deep", "plain"])
        assert [entry.facts.problem for entry in result.observations] == ["", ""]
    assert len(_tags(snapshot)["ExternalSecret"]) == 1


def test_connections_that_the_server_closed_meanwhile_are_replaced(reader: Reader, cluster: Cluster) -> None:
    target = target_of(cluster)
    read(reader, target)
    cluster.faults.set("refuse")
    cluster.faults.clear()

    assert kinds_with(read(reader, target), Outcome.FAILED) == set()


def test_the_reader_of_the_process_is_kept_and_a_forked_child_makes_its_own(cluster: Cluster) -> None:
    cluster.put(external_secret("db"))
    (first,) = collector.read_shard([target_of(cluster)], allowed_networks=LOOPBACK)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        (theirs,) = collector.read_shard([target_of(cluster)], allowed_networks=LOOPBACK)
        os.write(send, json.dumps(names(theirs.kinds["ExternalSecret"])).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        assert json.loads(answer.read()) == names(first.kinds["ExternalSecret"]) == ["db"]
    assert os.waitpid(child, 0)[1] == 0
    (after,) = collector.read_shard([target_of(cluster)], allowed_networks=LOOPBACK)
    assert outcomes(after) == outcomes(first)


def test_a_reader_that_is_not_read_to_its_end_gives_up_the_rest(reader: Reader, cluster: Cluster) -> None:
    snapshots = reader.read([target_of(cluster), target_of(cluster)])
    next(snapshots)
    snapshots.close()

    assert read(reader, target_of(cluster, {"ExternalSecret": ReadCursor()})).problem is None
