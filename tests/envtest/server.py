"""One etcd and any number of kube-apiservers on loopback, for tests and local trials.

Each API server keeps its objects under its own etcd prefix, so that several clusters share one
etcd. RBAC is on: what a token may do is what the manifests say. There is no controller-manager and
no kubelet: nothing is garbage collected, no Pod runs, a deleted namespace stays in Terminating.
"""

import datetime
import functools
import json
import re
import secrets
import socket
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from secretsdash.local.children import Child, Children
from tests.envtest.binaries import Binaries
from tests.envtest.certificates import CertificateAuthority, KeyPair, new_private_key_pem
from tests.envtest.etcd import Etcd

# The real start takes 1 to 2 s; a machine busy with something else gets this long.
_START_SECONDS = 90
_PROBE_SECONDS = 5
_POLL_SECONDS = 0.05
_PORT_ATTEMPTS = 3
# etcd wants the form host:port even for a socket; it makes a file of that name in its working folder.
_ETCD_SOCKET = "etcd:1"
_ETCD_PEER_SOCKET = "etcd:2"
# A server's own registrations, which it renews while it runs.
_OWN_LEASES = re.compile(rb"^/[^/]+/(masterleases|leases)/")


class StartFailed(Exception):
    """A server ended, or did not become ready in time. Carries the end of its log."""


@dataclass(frozen=True)
class ApiServer:
    """How to reach one API server, and as whom."""

    url: str
    ca_pem: str
    token: str


class EnvTest:
    """Context manager around the servers; all of them are gone when it is left, or when this process is."""

    def __init__(self, binaries: Binaries) -> None:
        self._binaries = binaries
        self._children = Children()
        self._process_ids: list[int] = []
        self._servers: dict[str, ApiServer] = {}
        self._clean_keys: dict[str, set[bytes]] = {}

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="secretsdash-envtest-")
        self._folder = Path(self._temporary.name)
        self._authority = CertificateAuthority("secretsdash envtest", datetime.datetime.now(datetime.UTC))
        self._etcd = Etcd(self._folder / _ETCD_SOCKET)
        try:
            self._start_etcd()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._children.stop_all()
        self._temporary.cleanup()

    def api_server(self, name: str) -> ApiServer:
        """The API server of that name with an administrator's token, started when asked for the first time.

        `name` is a lowercase word; it becomes the etcd prefix. Raises StartFailed.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise ValueError(f"an API server's name is a lowercase word, not {name!r}")
        if name not in self._servers:
            self._servers[name] = self._start_api_server(name)
        return self._servers[name]

    def client_certificate(self, user: str, group: str) -> KeyPair:
        """A client certificate that every API server here accepts as this user in this group."""
        return self._authority.issue_for_client(user, group)

    def process_ids(self) -> list[int]:
        """The processes behind the servers, etcd first."""
        return list(self._process_ids)

    def mark_clean(self, name: str) -> None:
        """Remember the objects that the API server holds now as the state that `clean` goes back to."""
        self._clean_keys[name] = self._etcd.keys(f"/{name}/")

    def clean(self, name: str) -> None:
        """Remove every object made since `mark_clean`, of any kind, without its finalizers' consent.

        Deletes behind the API server's back, which sees it through its own watches as deletions. That
        takes milliseconds; through the API a namespace would stay in Terminating, since nobody empties it.
        """
        new = self._etcd.keys(f"/{name}/") - self._clean_keys[name]
        self._etcd.delete(key for key in new if not _OWN_LEASES.match(key))

    def _start_etcd(self) -> None:
        client, peer = f"unix://{_ETCD_SOCKET}", f"unix://{_ETCD_PEER_SOCKET}"
        command = [
            str(self._binaries.etcd),
            "--name=envtest",
            f"--data-dir={self._folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=envtest={peer}",
        ]
        self._start("etcd", command, self._etcd.is_healthy, is_server=True)

    def _start_api_server(self, name: str) -> ApiServer:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        token = secrets.token_urlsafe(32)
        _write_credentials(folder, token, self._authority)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = _free_port()
            server = ApiServer(f"https://127.0.0.1:{port}", self._authority.certificate_pem, token)
            try:
                self._start(name, self._api_server_command(name, folder, port), functools.partial(_is_ready, server))
            except StartFailed as error:
                if attempt == _PORT_ATTEMPTS or "address already in use" not in str(error):
                    raise
            else:
                break
        return server

    def _start(self, name: str, command: list[str], is_ready: Callable[[], bool], *, is_server: bool = False) -> None:
        """Start the program and wait until it is ready; when it is not, it is gone again. Raises StartFailed.

        `is_server`: the others talk to it, so it is the last to be stopped.
        """
        log = self._folder / f"{name}.log"
        child = self._children.spawn(name, command, log=log, cwd=self._folder, is_server=is_server)
        try:
            _wait_until_ready(child, is_ready)
        except StartFailed:
            self._children.stop([child])
            raise
        self._process_ids.append(child.process.pid)

    def _api_server_command(self, name: str, folder: Path, port: int) -> list[str]:
        return [
            str(self._binaries.kube_apiserver),
            f"--etcd-servers=unix://{_ETCD_SOCKET}",
            f"--etcd-prefix=/{name}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            # Endpoints on loopback are refused, and nobody needs the Service that they belong to.
            "--endpoint-reconciler-type=none",
            f"--secure-port={port}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder / 'tls.crt'}",
            f"--tls-private-key-file={folder / 'tls.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--client-ca-file={folder / 'clients.crt'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'service-accounts.key'}",
            f"--service-account-signing-key-file={folder / 'service-accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # It would refuse Pods in namespaces whose default ServiceAccount no controller has made.
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
        ]


def tls_context(server: ApiServer) -> ssl.SSLContext:
    """A client context that trusts this API server's authority and nothing else."""
    return ssl.create_default_context(cadata=server.ca_pem)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Ask again and again until the condition holds. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now. Somebody may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(child: Child, is_ready: Callable[[], bool]) -> None:
    try:
        wait_until(lambda: child.has_ended() or is_ready(), f"{child.name} is ready")
    except TimeoutError as error:
        raise StartFailed(f"{error}\n{child.last_lines()}") from error
    if child.has_ended():
        raise StartFailed(f"{child.name} ended while it started\n{child.last_lines()}")


def _is_ready(server: ApiServer) -> bool:
    """Whether /readyz agrees and the namespaces that the server makes just after that are there."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls_context(server))
    )
    for path in ("/readyz", "/api/v1/namespaces/kube-node-lease", "/api/v1/namespaces/default/services/kubernetes"):
        request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {server.token}"})
        try:
            opener.open(request, timeout=_PROBE_SECONDS).close()
        except (urllib.error.URLError, OSError):  # not listening yet, or 404, 500 and 503 while it starts
            return False
    return True


def _write_credentials(folder: Path, token: str, authority: CertificateAuthority) -> None:
    serving = authority.issue_for_loopback("kube-apiserver")
    contents = {
        "clients.crt": authority.certificate_pem,
        "tls.crt": serving.certificate_pem,
        "tls.key": serving.key_pem,
        "service-accounts.key": new_private_key_pem(),
        "tokens.csv": f"{token},admin,admin,{json.dumps('system:masters')}\n",
    }
    for name, content in contents.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(content)
