"""The command that says what our credential sees and may do in a cluster."""

import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from clusters import registration
from clusters.entries import entry_from_fields
from clusters.models import Cluster
from demo.apiserver import Fleet, running
from monitoring.models import Collection
from tests.envtest.client import create_reader
from tests.envtest.server import ApiServer

pytestmark = pytest.mark.django_db


def register(url: str, ca_pem: str, token: str) -> Cluster:
    entry = entry_from_fields(name="prod", api_url=url, ca_pem=ca_pem, token=token)
    return registration.register(entry, now=datetime.now(UTC))


def check() -> dict[str, list[str]]:
    """The lines of the table by kind, split where there is more than one blank."""
    output = StringIO()
    call_command("checkcluster", "prod", stdout=output)
    lines = [re.split(r"\s{2,}", line.strip()) for line in output.getvalue().splitlines()]
    return {line[0]: line[1:] for line in lines if line[0]}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_real_cluster_tells_what_is_served_and_allowed(real_api_server: ApiServer, host: str) -> None:
    url = real_api_server.url.replace("127.0.0.1", host)
    register(url, real_api_server.ca_pem, real_api_server.token)
    found = check()
    assert found["KIND"] == ["VERSION", "LIST", "WATCH", "READ"]
    assert found["ExternalSecret"] == ["v1", "yes", "yes", "0 found"]
    assert "The credential may read secrets everywhere, values included. T2 by namespace needs less." in found
    assert not Collection.objects.exists()


def test_the_smallest_shipped_rights_are_enough_and_read_no_secret(real_api_server: ApiServer) -> None:
    reader = create_reader(real_api_server)
    register(reader.url, reader.ca_pem, reader.token)
    found = check()
    assert found["ExternalSecret"] == ["v1", "yes", "yes", "0 found"]
    assert found["SealingKey"][1:3] == ["no", "no"]
    assert "The credential may not read secrets." in found
    assert found["T0"][0] == "granted"
    assert found["T1"][0] == found["T2"][0] == "not granted"
    assert "pods" in found["T1"][1]
    assert "sealing keys" in found["T2"][1]


def test_rights_on_the_secrets_of_a_namespace_are_seen_where_the_cluster_names_it(real_api_server: ApiServer) -> None:
    reader = create_reader(real_api_server, "t2")
    cluster = register(reader.url, reader.ca_pem, reader.token)
    assert check()["T2"][0] == "not granted"
    registration.change(cluster, now=datetime.now(UTC), secret_namespaces=["kube-system"])
    found = check()
    assert found["Secret"][-1].endswith("found in kube-system")
    assert found["T1"][0] == "granted"
    assert found["T2"][0] == "granted in kube-system"
    assert "The credential may read secrets in the namespaces named below, values included." in found


def test_a_kind_that_may_not_be_read_is_told() -> None:
    fleet = Fleet()
    cluster = fleet.add("prod")
    cluster.deny("secrets")
    cluster.uninstall("sealed-secrets")
    with running(fleet):
        register(cluster.url, cluster.ca_pem, cluster.token)
        found = check()
    assert found["SealingKey"][-1].startswith("forbidden")
    assert found["SealedSecret"][-1] == "not installed"
    assert found["ExternalSecret"][-1] == "0 found"
    assert found["T2"][0] == "not granted"


def test_a_tier_that_a_cluster_has_no_use_for_is_not_needed() -> None:
    fleet = Fleet()
    cluster = fleet.add("prod")
    cluster.uninstall("secrets-store-csi")
    with running(fleet):
        register(cluster.url, cluster.ca_pem, cluster.token)
        found = check()
    assert [found[tier][0] for tier in ("T0", "T1", "T2")] == ["granted", "not needed", "granted"]


def test_a_cluster_that_cannot_be_read_is_an_error() -> None:
    fleet = Fleet()
    cluster = fleet.add("prod")
    with running(fleet):
        register(cluster.url, cluster.ca_pem, "CANARY-wrong-token")
        with pytest.raises(CommandError, match="credential rejected") as error:
            check()
    assert "CANARY" not in str(error.value)


def test_a_cluster_that_is_not_registered_is_an_error() -> None:
    with pytest.raises(CommandError, match="no cluster prod"):
        check()
