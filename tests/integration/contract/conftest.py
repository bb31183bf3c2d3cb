"""The two API servers, each with the CRDs and with nothing in it but the namespace of the tests."""

from collections.abc import Iterator

import pytest

from demo.apiserver import Fleet, running
from tests.integration.contract.server import NAMESPACE, Address, Client


@pytest.fixture(params=["simulated", "real"])
def api_server(request: pytest.FixtureRequest) -> Iterator[Address]:
    if request.param == "real":
        yield request.getfixturevalue("real_api_server")
        return
    fleet = Fleet()
    cluster = fleet.add("contract", revision=1000)
    with running(fleet):
        yield cluster


@pytest.fixture
def client(api_server: Address) -> Client:
    client = Client(api_server)
    client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return client
