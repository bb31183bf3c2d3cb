"""Pytest plugin: API servers for tests, started once a session and emptied between tests.

Without binaries and without Go the tests that ask for one are skipped and the summary says so; with
`CI=true` they fail, so that a pipeline cannot pass by testing less.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.envtest.binaries import MISSING, BuildFailed, ensure_binaries, is_ci
from tests.envtest.client import install_crds
from tests.envtest.server import ApiServer, EnvTest


@pytest.fixture(scope="session")
def envtest() -> Iterator[EnvTest]:
    """One etcd for the session. Its API servers start when they are asked for."""
    try:
        binaries = ensure_binaries()
    except (BuildFailed, FileNotFoundError) as error:
        pytest.fail(str(error), pytrace=False)
    if binaries is None and is_ci():
        pytest.fail(MISSING, pytrace=False)
    if binaries is None:
        pytest.skip(MISSING)
    with EnvTest(binaries) as running:
        yield running


@pytest.fixture(scope="session")
def _prepared() -> set[str]:
    """The names of the API servers that have the CRDs."""
    return set()


@pytest.fixture
def real_api_servers(envtest: EnvTest, _prepared: set[str]) -> Iterator[Callable[[str], ApiServer]]:
    """Give the API server of a name, with the CRDs and no objects; what a test leaves there is removed after it.

    >>> first, second = real_api_servers("first"), real_api_servers("second")
    """
    used: set[str] = set()

    def real_api_server(name: str) -> ApiServer:
        server = envtest.api_server(name)
        if name not in _prepared:
            install_crds(server)
            envtest.mark_clean(name)
            _prepared.add(name)
        used.add(name)
        return server

    yield real_api_server
    for name in used:
        envtest.clean(name)


@pytest.fixture
def real_api_server(real_api_servers: Callable[[str], ApiServer]) -> ApiServer:
    """An API server with the CRDs, an administrator's token and no objects."""
    return real_api_servers("first")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.section("real API server")
        terminalreporter.line(f"{len(skipped)} tests were skipped: {MISSING}")
