"""The reference API server does what real clusters do, and the shipped manifests grant what they say."""

import base64
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.envtest.client import ApiError, Client, apply, create_reader, delete
from tests.envtest.server import ApiServer, EnvTest, wait_until

REPOSITORY = Path(__file__).parents[2]
T0_KINDS = [
    "/apis/external-secrets.io/v1/externalsecrets",
    "/apis/external-secrets.io/v1/clusterexternalsecrets",
    "/apis/external-secrets.io/v1/secretstores",
    "/apis/external-secrets.io/v1/clustersecretstores",
    "/apis/external-secrets.io/v1alpha1/pushsecrets",
    "/apis/external-secrets.io/v1alpha1/clusterpushsecrets",
    "/apis/bitnami.com/v1alpha1/sealedsecrets",
    "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses",
    "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasspodstatuses",
    "/apis/storage.k8s.io/v1/csidrivers",
    "/apis/storage.k8s.io/v1/csinodes",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/daemonsets",
    "/api/v1/events",
    "/api/v1/namespaces",
]
T1_KINDS = ["/api/v1/pods"]
KEY_SECRETS = "/api/v1/namespaces/kube-system/secrets"


def external_secret(name: str = "db", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"refreshInterval": "1h0m0s", "secretStoreRef": {"kind": "SecretStore", "name": "vault"}},
        **more,
    }


def mount(name: str = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClassPodStatus",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "status": {"mounted": True, "objects": [{"id": "db", "version": "1"}]},
    }


def test_the_server_tells_its_version_and_refuses_a_wrong_token(real_api_server: ApiServer) -> None:
    assert Client(real_api_server).get("/version")["gitVersion"].startswith("v1.")
    assert Client(replace(real_api_server, token="wrong")).status_of("/version") == 401


def test_a_status_is_written_apart_and_leaves_the_generation(real_api_server: ApiServer) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "refreshTime": "2026-01-02T03:04:05Z"}
    (created,) = apply(real_api_server, [external_secret(status=ready)])
    assert created["status"] == ready
    assert created["metadata"]["generation"] == 1
    (changed,) = apply(real_api_server, [external_secret(status={"refreshTime": "2026-01-02T04:04:05Z"})])
    assert changed["status"] == {"refreshTime": "2026-01-02T04:04:05Z"}
    assert changed["metadata"]["generation"] == 1
    (respecified,) = apply(real_api_server, [external_secret(spec={"refreshInterval": "2h"})])
    assert respecified["metadata"]["generation"] == 2
    assert respecified["metadata"]["uid"] == created["metadata"]["uid"]


def test_a_posted_status_is_dropped_where_it_is_a_subresource(real_api_server: ApiServer) -> None:
    client = Client(real_api_server)
    client.ensure_namespace("shop")
    path = "/apis/external-secrets.io/v1/namespaces/shop/externalsecrets"
    posted = client.request("POST", path, external_secret(status={"refreshTime": "2026-01-02T03:04:05Z"}))
    assert "status" not in posted


def test_a_mount_has_no_status_subresource(real_api_server: ApiServer) -> None:
    (created,) = apply(real_api_server, [mount()])
    assert created["status"]["mounted"] is True
    client = Client(real_api_server)
    assert client.status_of(client.path_of(created)) == 200
    assert client.status_of(f"{client.path_of(created)}/status") == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/apis/external-secrets.io/v1/externalsecrets", 200),
        ("/apis/external-secrets.io/v1beta1/externalsecrets", 404),
        ("/apis/secrets-store.csi.x-k8s.io/v1alpha1/secretproviderclasses", 200),
    ],
)
def test_the_served_versions_are_upstreams(real_api_server: ApiServer, path: str, status: int) -> None:
    assert Client(real_api_server).status_of(path) == status


def test_uids_follow_their_objects_whatever_the_order(real_api_server: ApiServer) -> None:
    old = "11111111-2222-3333-4444-555555555555"
    owned = mount(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": old}])
    owned["status"]["targetPath"] = f"/var/lib/kubelet/pods/{old}/volumes"
    written, pod = apply(real_api_server, [owned, _pod(old)])
    assert pod["status"]["phase"] == "Running"
    uid = pod["metadata"]["uid"]
    assert uid != old
    assert written["metadata"]["ownerReferences"][0]["uid"] == uid
    assert written["status"]["targetPath"] == f"/var/lib/kubelet/pods/{uid}/volumes"


def _pod(uid: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "uid": uid, "resourceVersion": "7"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running"},
    }


def test_a_held_object_comes_out_as_being_deleted(real_api_server: ApiServer) -> None:
    held = external_secret()
    held["metadata"] |= {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["external-secrets.io/wait"]}
    (written,) = apply(real_api_server, [held])
    assert written["metadata"]["deletionTimestamp"] > "2026-01-02T03:04:05Z"


def test_delete_removes_and_recreating_is_another_object(real_api_server: ApiServer) -> None:
    (first,) = apply(real_api_server, [external_secret()])
    delete(real_api_server, first)
    client = Client(real_api_server)
    assert client.status_of(client.path_of(first)) == 404
    (second,) = apply(real_api_server, [external_secret()])
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def test_an_unknown_kind_is_refused_by_name(real_api_server: ApiServer) -> None:
    with pytest.raises(ValueError, match=r"no kind Strange in example\.org/v1"):
        apply(real_api_server, [{"apiVersion": "example.org/v1", "kind": "Strange", "metadata": {"name": "a"}}])


def test_two_servers_share_nothing(real_api_servers: Callable[[str], ApiServer]) -> None:
    first, second = real_api_servers("first"), real_api_servers("second")
    (written,) = apply(first, [external_secret()])
    path = Client(first).path_of(written)
    assert Client(first).status_of(path) == 200
    assert Client(second).status_of(path) == 404
    assert Client(replace(second, token=first.token)).status_of("/version") == 401


def test_clean_takes_everything_that_was_made(envtest: EnvTest, real_api_server: ApiServer) -> None:
    (written,) = apply(real_api_server, [external_secret()])
    create_reader(real_api_server)
    envtest.clean("first")
    client = Client(real_api_server)
    assert client.status_of(client.path_of(written)) == 404
    assert client.status_of("/apis/rbac.authorization.k8s.io/v1/clusterroles/secretsdash-reader") == 404
    names = {item["metadata"]["name"] for item in client.get("/api/v1/namespaces")["items"]}
    assert names == {"default", "kube-node-lease", "kube-public", "kube-system"}
    apply(real_api_server, [external_secret()])


def test_t0_reads_the_watched_kinds_and_neither_secrets_nor_pods(real_api_server: ApiServer) -> None:
    client = Client(create_reader(real_api_server, "t0"))
    assert {path: client.status_of(path) for path in T0_KINDS} == dict.fromkeys(T0_KINDS, 200)
    refused = ["/api/v1/secrets", KEY_SECRETS, f"{KEY_SECRETS}/any", "/api/v1/configmaps", *T1_KINDS]
    assert {path: client.status_of(path) for path in refused} == dict.fromkeys(refused, 403)


def test_t0_writes_nothing(real_api_server: ApiServer) -> None:
    reader = create_reader(real_api_server, "t0")
    (written,) = apply(real_api_server, [external_secret()])
    with pytest.raises(ApiError, match="Forbidden"):
        delete(reader, written)
    with pytest.raises(ApiError, match="Forbidden"):
        apply(reader, [external_secret("other")])


@pytest.mark.parametrize(
    ("service", "status"),
    [
        # Allowed: past the authorizer, the API server finds no such Service.
        ("http:sealed-secrets-controller:", 404),
        ("http:sealed-secrets-controller:http", 404),
        ("http:sealed-secrets:http", 404),
        ("sealed-secrets-controller", 404),
        ("sealed-secrets", 404),
        ("http:sealed-secrets-controller:8080", 403),
        ("https:sealed-secrets-controller:", 403),
        ("kubernetes", 403),
    ],
)
def test_t0_proxies_to_the_certificate_only(real_api_server: ApiServer, service: str, status: int) -> None:
    reader = create_reader(real_api_server, "t0")
    path = f"/api/v1/namespaces/kube-system/services/{service}/proxy/v1/cert.pem"
    assert Client(reader).status_of(path) == status


def test_t1_adds_pods_but_no_secrets(real_api_server: ApiServer) -> None:
    client = Client(create_reader(real_api_server, "t1"))
    readable = [*T0_KINDS, *T1_KINDS]
    assert {path: client.status_of(path) for path in readable} == dict.fromkeys(readable, 200)
    assert client.status_of(KEY_SECRETS) == 403


def test_t2_lists_secrets_in_the_named_namespace_only(real_api_server: ApiServer) -> None:
    client = Client(create_reader(real_api_server, "t2"))
    statuses = {path: client.status_of(path) for path in (KEY_SECRETS, f"{KEY_SECRETS}/any", "/api/v1/secrets")}
    assert statuses == {KEY_SECRETS: 200, f"{KEY_SECRETS}/any": 403, "/api/v1/secrets": 403}


def test_a_reader_may_ask_what_it_may_do(real_api_server: ApiServer) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    client = Client(create_reader(real_api_server, "t0"))
    answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    rules = answer["status"]["resourceRules"]
    assert any("externalsecrets" in rule["resources"] and "list" in rule["verbs"] for rule in rules)
    assert not any("secrets" in rule["resources"] for rule in rules)


@pytest.mark.parametrize("tier", ["t0", "t1", "t2"])
def test_no_manifest_uses_a_wildcard(tier: str) -> None:
    text = (REPOSITORY / "deploy" / "rbac" / f"{tier}.yaml").read_text()
    rules = [rule for document in yaml.safe_load_all(text) for rule in document.get("rules", [])]
    assert rules
    assert "*" not in {word for rule in rules for words in rule.values() for word in words}


def test_serve_writes_kubeconfigs_and_stops_on_a_signal(envtest: EnvTest, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.envtest", "serve", "alpha", "beta", "--tier", "t1"]
    command += ["--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as run:
        assert run.stdout is not None
        assert any("are up" in line for line in run.stdout)
        readers = _servers_of(tmp_path / "reader.yaml")
        statuses = {name: Client(server).status_of("/api/v1/pods") for name, server in readers.items()}
        assert statuses == {"alpha": 200, "beta": 200}
        assert Client(readers["alpha"]).status_of("/api/v1/secrets") == 403
        assert Client(_servers_of(tmp_path / "admin.yaml")["beta"]).status_of("/api/v1/secrets") == 200
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
    with pytest.raises(OSError, match="refused"):
        Client(readers["alpha"]).get("/version")


def _servers_of(path: Path) -> dict[str, ApiServer]:
    assert path.stat().st_mode & 0o077 == 0
    config = yaml.safe_load(path.read_text())
    tokens = {user["name"]: user["user"]["token"] for user in config["users"]}
    return {
        item["name"]: ApiServer(
            item["cluster"]["server"],
            base64.b64decode(item["cluster"]["certificate-authority-data"]).decode(),
            tokens[item["name"]],
        )
        for item in config["clusters"]
    }


_STARTS_AND_WAITS = """
import sys
from tests.envtest.binaries import find_binaries
from tests.envtest.server import EnvTest
with EnvTest(find_binaries()) as running:
    print(running.process_ids()[0], flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_leaves_no_process(envtest: EnvTest) -> None:
    # Its files do stay; a folder of ours collects them. Short, because a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sd-") as folder:
        command = [sys.executable, "-c", _STARTS_AND_WAITS]
        environ = {**os.environ, "TMPDIR": folder}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, env=environ
        ) as run:
            assert run.stdout is not None
            etcd = int(run.stdout.readline())
            assert _runs(etcd)
            run.send_signal(signal.SIGKILL)
        wait_until(lambda: not _runs(etcd), "etcd ends with the run that started it")


def _runs(pid: int) -> bool:
    """Whether the process still executes: one that waits for init to collect it does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
