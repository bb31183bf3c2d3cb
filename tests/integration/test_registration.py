"""Clusters from a kubeconfig by command, what of it reaches the database, and the change of the key pair."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql
from pytest_django.fixtures import Settings

from clusters import registration
from clusters.credentials import OtherCluster, OtherKey, new_key_pair, open_sealed, open_target
from clusters.dial import policy
from clusters.entries import ClusterEntry, InvalidField, entry_from_fields
from clusters.models import Cluster, Credential
from tests.kubeconfigs import CA, CLIENT, CLIENT_KEY, TOKEN, config

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entry(name: str = "prod", **fields: str) -> ClusterEntry:
    return entry_from_fields(**{"name": name, "api_url": f"https://{name}.test", "token": TOKEN, **fields})


def run(path: Path, *arguments: str) -> tuple[str, bool]:
    """The output of importclusters, and whether it succeeded."""
    output, complaint = StringIO(), ""
    try:
        call_command("importclusters", "--kubeconfig", str(path), *arguments, stdout=output)
    except CommandError as error:
        complaint = str(error)
    assert "CANARY" not in output.getvalue() + complaint
    return output.getvalue(), not complaint


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Two good contexts and one that runs a program."""
    value: dict[str, Any] = config()
    value["users"].append({"name": "runs", "user": {"exec": {"command": "sh"}}})
    value["contexts"] += [
        {"name": "prod-us", "context": {"cluster": "c", "user": "u"}},
        {"name": "eks", "context": {"cluster": "c", "user": "runs"}},
    ]
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(value))
    return path


def test_every_context_has_a_line(kubeconfig: Path) -> None:
    output, succeeded = run(kubeconfig)
    assert succeeded
    assert output.splitlines() == [
        "prod-eu: registered as prod-eu (https://k8s.test:6443)",
        "prod-us: registered as prod-us (https://k8s.test:6443)",
        "eks: refused: runs a program to get a credential (exec); use the token of a service account instead",
    ]
    assert [cluster.name for cluster in Cluster.objects.all()] == ["prod-eu", "prod-us"]


def test_a_second_time_changes_nothing(kubeconfig: Path) -> None:
    run(kubeconfig)
    before = list(Cluster.objects.values()), list(Credential.objects.values_list("updated_at"))
    output, succeeded = run(kubeconfig)
    assert succeeded
    assert output.startswith("prod-eu: prod-eu is registered already")
    assert (list(Cluster.objects.values()), list(Credential.objects.values_list("updated_at"))) == before


def test_replacing_gives_a_new_credential(kubeconfig: Path) -> None:
    run(kubeconfig, "--context", "prod-eu")
    before = bytes(Credential.objects.get().sealed)
    assert run(kubeconfig, "--context", "prod-eu", "--replace")[0].startswith("prod-eu: registered")
    assert bytes(Credential.objects.get().sealed) != before


def test_contexts_labels_interval_and_name_are_taken(kubeconfig: Path) -> None:
    assert run(kubeconfig, "--context", "prod-eu", "--name", "eu", "--interval", "30", "--label", "env=prod")[1]
    assert Cluster.objects.values_list("name", "interval_seconds", "labels").get() == ("eu", 30, {"env": "prod"})


def test_namespaces_with_secrets_are_taken_and_kept_unless_given_anew(kubeconfig: Path) -> None:
    named = ("--secret-namespace", "kube-system", "--secret-namespace", "shop", "--secret-namespace", "shop")
    assert run(kubeconfig, "--context", "prod-eu", *named)[1]
    assert run(kubeconfig, "--context", "prod-eu", "--replace")[1]
    cluster = Cluster.objects.get()
    assert cluster.secret_namespaces == ["kube-system", "shop"]
    assert registration.change(cluster, now=NOW, secret_namespaces=[]).secret_namespaces == []


@pytest.mark.parametrize("name", ["Shop", "a/b", "..", "", "-a", "a" * 64, "shop\n", 7, None, ["shop"]], ids=repr)
def test_a_name_that_no_namespace_can_have_is_named(name: Any) -> None:
    with pytest.raises(InvalidField, match="is not the name of a namespace") as error:
        registration.register(entry(), now=NOW, secret_namespaces=["shop", name])
    assert error.value.field == "secret_namespaces"
    assert not Cluster.objects.exists()


def test_very_many_namespaces_are_refused() -> None:
    with pytest.raises(InvalidField, match="at most 100"):
        registration.register(entry(), now=NOW, secret_namespaces=[f"n-{number}" for number in range(101)])


def test_a_target_knows_where_secrets_may_be_listed(settings: Settings) -> None:
    cluster = registration.register(entry(), now=NOW, secret_namespaces=["shop"])
    target = open_target(cluster, settings.CREDENTIAL_PRIVATE_KEY, {}, 60)
    assert target.secret_namespaces == ("shop",)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--context", "eks"],
        ["--context", "none"],
        ["--context", "prod-eu", "--context", "eks"],
        ["--context", "prod-eu", "--interval", "1"],
        ["--context", "prod-eu", "--label", "a=" + "x" * 64],
        ["--context", "prod-eu", "--secret-namespace", "a/b"],
        ["--label", "a"],
        ["--name", "a"],
        ["--context", "prod-eu", "--name", "../a"],
    ],
)
def test_what_was_asked_for_and_is_refused_is_a_failure(kubeconfig: Path, arguments: list[str]) -> None:
    assert not run(kubeconfig, *arguments)[1]


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff", b"contexts: []", b"a: &x [1]"])
def test_a_file_that_is_no_kubeconfig_is_a_failure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config").write_bytes(content)
    assert not run(tmp_path / "config")[1]
    assert not run(tmp_path / "none")[1]


@pytest.fixture
def minikube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig that names files: two in the home directory, relative and absolute."""
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name, content in {"ca.crt": CA, "client.crt": CLIENT, "client.key": CLIENT_KEY}.items():
        (home / name).write_text(content)
    value = config(
        cluster={"certificate-authority-data": None, "certificate-authority": str(home / "ca.crt")},
        user={"token": None, "client-certificate": "../client.crt", "client-key": "../client.key"},
    )
    path = home / ".kube" / "config"
    path.write_text(yaml.safe_dump(value))
    return path


def test_files_are_not_opened(minikube: Path) -> None:
    output, succeeded = run(minikube)
    assert not succeeded
    assert "names a file (certificate-authority)" in output


def test_files_below_the_home_directory_are_taken_on_request(minikube: Path) -> None:
    assert run(minikube, "--local")[1]
    cluster = Cluster.objects.get()
    payload = open_sealed(cluster.credential.sealed, settings.CREDENTIAL_PRIVATE_KEY, api_url=cluster.api_url)
    assert (cluster.ca_pem, payload.client_certificate, payload.client_key) == (CA, CLIENT, CLIENT_KEY)


@pytest.mark.parametrize("place", ["outside", "link", "folder", "absent", "large"])
def test_other_files_are_not_opened_on_request_either(minikube: Path, tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    (tmp_path / "outside").write_text(CA)
    (home / "link").symlink_to(tmp_path / "outside")
    (home / "folder").mkdir()
    (home / "large").write_text(CA * 1000)
    path = {"outside": str(tmp_path / "outside")}.get(place, str(home / place))
    value = config(cluster={"certificate-authority-data": None, "certificate-authority": path})
    minikube.write_text(json.dumps(value))
    output, succeeded = run(minikube, "--local")
    assert not succeeded
    assert "names a file (certificate-authority)" in output


def test_the_database_holds_no_credential(kubeconfig: Path) -> None:
    run(kubeconfig)
    registration.register(entry("mtls", token="", client_certificate=CLIENT, client_key=CLIENT_KEY), now=NOW)
    key_line = CLIENT_KEY.splitlines()[1]
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in tables:
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("SELECT {}::text FROM {}").format(name, name))
            dump = "\n".join(row[0] for row in cursor.fetchall())
            for secret in (TOKEN, TOKEN.encode().hex(), key_line, key_line.encode().hex()):
                assert secret not in dump
    assert Credential.objects.count() == 3


def test_a_credential_does_not_follow_a_changed_address_or_a_swapped_row() -> None:
    first, second = (registration.register(entry(name), now=NOW) for name in ("a", "b"))
    private = settings.CREDENTIAL_PRIVATE_KEY
    with pytest.raises(OtherCluster):
        open_sealed(first.credential.sealed, private, api_url="https://evil.test")
    with pytest.raises(OtherCluster):
        open_sealed(second.credential.sealed, private, api_url=first.api_url)


def test_names_differ_in_more_than_their_case() -> None:
    registration.register(entry("prod"), now=NOW)
    with pytest.raises(registration.AlreadyRegistered):
        registration.register(entry("PROD"), now=NOW)


@pytest.mark.django_db(transaction=True)
def test_of_many_that_register_one_name_at_once_one_succeeds() -> None:
    everybody = Barrier(6)

    def attempt(_: int) -> bool:
        try:
            everybody.wait()
            registration.register(entry(), now=NOW)
        except registration.AlreadyRegistered:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == [False] * 5 + [True]
    assert (Cluster.objects.count(), Credential.objects.count()) == (1, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_addresses_of_our_own_machine_need_an_administrators_word(settings: Settings, host: str) -> None:
    settings.DIAL_ALLOWED_NETWORKS = []
    with pytest.raises(InvalidField) as error:
        registration.register(entry(api_url=f"https://{host}:6443"), now=NOW)
    assert error.value.field == "api_url"
    settings.DIAL_ALLOWED_NETWORKS = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::1/128"]
    assert registration.register(entry(api_url=f"https://{host}:6443"), now=NOW)


def test_the_address_of_our_own_database_is_refused(settings: Settings) -> None:
    settings.DIAL_ALLOWED_NETWORKS = policy([], own_hosts=["10.0.0.7"])
    with pytest.raises(InvalidField, match="database or broker"):
        registration.register(entry(api_url="https://10.0.0.7:6443"), now=NOW)
    settings.DIAL_ALLOWED_NETWORKS = policy([], own_hosts=["does-not-exist.invalid"])
    with pytest.raises(InvalidField, match="cannot be resolved"):
        registration.register(entry(api_url="https://10.0.0.7:6443"), now=NOW)
    settings.DIAL_ALLOWED_NETWORKS = policy(["10.0.0.0/8"], own_hosts=["10.0.0.7"])
    assert registration.register(entry(api_url="https://10.0.0.7:6443"), now=NOW)


def test_a_poll_interval_that_no_cluster_may_have_is_named(settings: Settings) -> None:
    settings.POLL_INTERVAL = 5
    with pytest.raises(InvalidField) as error:
        registration.register(entry(), now=NOW)
    assert error.value.field == "interval_seconds"


def test_the_key_pair_is_changed_and_changed_once(tmp_path: Path, settings: Settings) -> None:
    clusters = [registration.register(entry(name), now=NOW) for name in ("a", "b")]
    old, new = settings.CREDENTIAL_PRIVATE_KEY, new_key_pair()
    old_file = tmp_path / "old"
    old_file.write_text(f"{old}\n")
    settings.CREDENTIAL_PUBLIC_KEY, settings.CREDENTIAL_PRIVATE_KEY = new
    outputs = [StringIO(), StringIO()]
    for output in outputs:
        call_command("resealcredentials", "--old-private-key-file", str(old_file), stdout=output)
    assert [output.getvalue()[:1] for output in outputs] == ["2", "0"]
    for cluster in clusters:
        cluster.credential.refresh_from_db()
        assert open_sealed(cluster.credential.sealed, new.private_key, api_url=cluster.api_url).token == TOKEN
        with pytest.raises(OtherKey):
            open_sealed(cluster.credential.sealed, old, api_url=cluster.api_url)


def test_a_credential_of_a_third_key_pair_is_left_and_told(tmp_path: Path, settings: Settings) -> None:
    registration.register(entry("a"), now=NOW)
    (tmp_path / "old").write_text(new_key_pair().private_key)
    settings.CREDENTIAL_PUBLIC_KEY = new_key_pair().public_key
    before, errors = bytes(Credential.objects.get().sealed), StringIO()
    with pytest.raises(CommandError, match="1 credentials could not be opened"):
        call_command(
            "resealcredentials", "--old-private-key-file", str(tmp_path / "old"), stdout=StringIO(), stderr=errors
        )
    assert errors.getvalue().startswith("a: ")
    assert bytes(Credential.objects.get().sealed) == before


def test_a_new_key_pair_is_printed_for_the_environment() -> None:
    output = StringIO()
    call_command("sealkeys", stdout=output)
    assert [line.partition("=")[0] for line in output.getvalue().split()] == [
        "CREDENTIAL_PUBLIC_KEY",
        "CREDENTIAL_PRIVATE_KEY",
    ]
