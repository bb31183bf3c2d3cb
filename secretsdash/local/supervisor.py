"""Starts everything in order, watches over it, and stops it in the reverse order."""

import argparse
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import NoReturn

from secretsdash.local.children import Child, Children, StartError
from secretsdash.local.home import Home
from secretsdash.local.places import Places, prepare
from secretsdash.local.servers import start_postgres, start_valkey
from secretsdash.local.services import Service, watch
from secretsdash.local.stopping import ignore_signals, raise_if_asked

BASE = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.0/8,::1/128"
WAIT_SECONDS = 60
# Of the user's environment, what would contradict the values that we give the processes ourselves.
OURS = (
    *("SECRET_KEY", "CREDENTIAL_PUBLIC_KEY", "CREDENTIAL_PRIVATE_KEY", "TAG_KEY", "STATIC_ROOT"),
    "DJANGO_SETTINGS_MODULE",
)


@dataclass(frozen=True)
class Options:
    directory: Path
    host: str
    port: int
    kubeconfig: Path | None

    @property
    def is_demo(self) -> bool:
        return self.kubeconfig is None


@dataclass
class Run:
    options: Options
    home: Home
    children: Children = field(default_factory=Children)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def replay_begun(self) -> Path:
        return self.home.folder / "replay-begun"

    @property
    def replay_done(self) -> Path:
        return self.home.folder / "replay-done"

    def say(self, message: str) -> None:
        print(f"secretsdash: {message}", flush=True)

    def spawn(
        self, name: str, *command: str | Path, secret: bool = False, death_signal: Signals = signal.SIGKILL
    ) -> Child:
        """Start a process of ours; with `secret` it is one that may read clusters."""
        environment = self.with_secret() if secret else dict(self.environment)
        log = self.home.logs / f"{name}.log"
        return self.children.spawn(name, command, log=log, env=environment, cwd=BASE, death_signal=death_signal)

    def with_secret(self) -> dict[str, str]:
        """The environment of a process that reads clusters: it can open stored credentials and make tags."""
        return {
            **self.environment,
            "CREDENTIAL_PRIVATE_KEY_FILE": str(self.home.credential_key),
            "TAG_KEY_FILE": str(self.home.tag_key),
        }

    def complete(self, name: str, *command: str | Path, secret: bool = False) -> str:
        """Run a process of ours to its end and return what it printed."""
        log = self.home.logs / f"{name}.log"
        log.unlink(missing_ok=True)
        child = self.spawn(name, *command, secret=secret)
        while not child.wait(0.5):
            raise_if_asked()
        if self.children.forget(child) != 0:
            raise StartError(f"{name} failed; the end of {log}:\n{child.last_lines()}")
        return log.read_text(errors="replace")


def run(arguments: Sequence[str]) -> int:
    try:
        options = _options(arguments)
    except StartError as error:
        print(f"secretsdash: {error}", file=sys.stderr)
        return 2
    run = Run(options, Home(options.directory.absolute()))
    try:
        _start_and_watch(run)
    except StartError as error:
        run.say(str(error))
        return 1
    finally:
        ignore_signals()
        if run.children:
            run.say("stopping")
            run.children.stop_all()
            run.say("stopped")


def _start_and_watch(run: Run) -> NoReturn:
    run.home.open()
    _refuse_taken_port(run.options)
    started = time.monotonic()
    new_password = run.home.make_secrets()
    run.environment = _environment(run)
    services = _start_servers(run)
    run.home.remember_environment(run.with_secret())
    run.say("preparing the database and static files")
    _prepare(run, new_password)
    services += _start_demo(run) if run.options.is_demo else []
    _import_clusters(run)
    services += _start_processes(run)
    _announce(run, time.monotonic() - started)
    watch(run.children, services, run.say)


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m secretsdash.local", description="Run everything on this machine.")
    parser.add_argument("--directory", type=Path, default=BASE / ".local", help="keeps data, secrets and logs")
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000")
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG") or None, help="instead of the demo fleet")
    given = parser.parse_args(arguments)
    if not given.port.isdecimal() or not 1 <= int(given.port) <= 65535:
        raise StartError(f"PORT must be a number from 1 to 65535, not {given.port!r}.")
    kubeconfig = Path(given.kubeconfig).expanduser().absolute() if given.kubeconfig else None
    if kubeconfig and not kubeconfig.is_file():
        raise StartError(f"KUBECONFIG: there is no file {kubeconfig}.")
    return Options(given.directory, given.host, int(given.port), kubeconfig)


def _refuse_taken_port(options: Options) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        hint = f"Choose another one: make run PORT={options.port + 1}"
        raise StartError(f"cannot listen on {options.host} port {options.port}: {error.strerror}. {hint}") from None


def _environment(run: Run) -> dict[str, str]:
    host = run.options.host
    environment = {
        name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in OURS and name != "PORT"
    }
    defaults = {
        "LOG_FORMAT": "console",
        # API servers of kind, minikube and the demo listen here; elsewhere loopback is refused.
        "DIAL_ALLOWED_NETWORKS": LOOPBACK,
        "ALLOWED_HOSTS": "*" if host in {"0.0.0.0", "::"} else f"localhost,127.0.0.1,[::1],{host}",
    }
    # The demo fleet tells its story in minutes.
    if run.options.is_demo:
        defaults["POLL_INTERVAL"] = "20"
        # So that something is past its policy: see demo/README.md for what the story rotates when.
        defaults["ROTATION_POLICY"] = (
            '[{"days": 14, "cluster_label": "stage=production", "namespace": "payments"}, {"days": 90}]'
        )
        # Its production clusters have two providers, and staging shares a password with one of them.
        defaults["DRIFT_RULES"] = (
            '[{"name": "production", "agree": "stage=production",'
            ' "except": ["store", "path", "provider", "key", "objects"]},'
            ' {"name": "stages", "differ": "stage", "except": ["interval", "store", "path", "provider", "key"]}]'
        )
    return {
        **defaults,
        **environment,
        "DJANGO_SETTINGS_MODULE": "secretsdash.settings",
        "SECRET_KEY_FILE": str(run.home.secret_key),
        "CREDENTIAL_PUBLIC_KEY": run.home.credential_public_key(),
        "STATIC_ROOT": str(run.home.folder / "static"),
        "PYTHONUNBUFFERED": "1",
    }


def _start_servers(run: Run) -> list[Service]:
    """Start the servers that the environment does not name. The demo has a database of its own."""
    places = prepare(run.home.folder / "servers")
    services = []
    if not _names(run.environment, "DATABASE_URL"):
        database = "secretsdash_demo" if run.options.is_demo else "secretsdash"

        def postgres() -> Child:
            server = start_postgres(run.children, places, run.home.logs, database=database)
            run.environment["DATABASE_URL"] = server.url
            return server.child

        services.append(Service("Postgres", postgres))
    if not _names(run.environment, "REDIS_URL"):
        services.append(Service("Valkey", lambda: _valkey(run, places)))
    for service in services:
        run.say(f"starting {service.name}")
        service.begin()
    return services


def _valkey(run: Run, places: Places) -> Child:
    server = start_valkey(run.children, places, run.home.logs)
    # Two databases of the broker, too: messages about the demo's clusters mean others in the user's own.
    run.environment["REDIS_URL"] = f"{server.url}?virtual_host={1 if run.options.is_demo else 0}"
    return server.child


def _names(environment: Mapping[str, str], name: str) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))


def _prepare(run: Run, new_password: bool) -> None:
    flags = ["--set-password"] if new_password else []
    if run.options.is_demo and run.replay_begun.exists() and not run.replay_done.exists():
        flags.append("--empty")
    run.complete("prepare", sys.executable, "-m", "secretsdash.local.prepare", run.home.admin_password, *flags)


def _start_demo(run: Run) -> list[Service]:
    run.say("starting the demo fleet")
    folder, ready = run.home.folder / "demo", run.home.folder / "demo-ready"

    def demo() -> Child:
        ready.unlink(missing_ok=True)
        child = run.spawn("demo", sys.executable, "-m", "demo", "--directory", folder, "--ready-file", ready)
        _wait_until(child, ready.exists)
        return child

    service = Service("demo", demo)
    service.begin()
    return [service]


def _import_clusters(run: Run) -> None:
    manage: list[str | Path] = [sys.executable, "manage.py"]
    kubeconfig = run.options.kubeconfig or run.home.folder / "demo" / "kubeconfig"
    printed = run.complete("import", *manage, "importclusters", "--kubeconfig", kubeconfig, "--local", "--replace")
    if not run.options.is_demo:
        for line in printed.splitlines():
            run.say(line)
        return
    if not run.replay_done.exists():
        run.say("replaying the days before, so that no page is empty")
        run.replay_begun.touch()
        control = json.loads((run.home.folder / "demo-ready").read_text())["control"]
        run.complete("replay", *manage, "replaydemo", "--control", control, secret=True)
        run.replay_done.touch()


def _start_processes(run: Run) -> list[Service]:
    python, host, port = sys.executable, run.options.host, str(run.options.port)
    web = [python, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", port, "--no-ws", "--http", "1"]
    web += ["--workers", "1", "--blocking-threads", "4", "--workers-kill-timeout", "5", "secretsdash.wsgi:application"]
    celery = [python, "-m", "celery", "--app", "secretsdash"]
    worker = [*celery, "worker", "--queues", "collect,slow,default", "--concurrency", "2", "--loglevel", "WARNING"]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat = [*celery, "beat", "--loglevel", "WARNING", "--pidfile", ""]
    run.say("starting the web server, the worker and beat")
    services = [
        # Asked to stop, it takes its own processes with it; killed, it would leave one that keeps the port.
        Service("web", lambda: run.spawn("web", *web, death_signal=signal.SIGTERM)),
        # The only process that can open stored credentials.
        Service("worker", lambda: run.spawn("worker", *worker, secret=True)),
        Service("beat", lambda: run.spawn("beat", *beat)),
    ]
    for service in services:
        service.begin()
    _wait_until(services[0].child, lambda: _answers(host, port))
    return services


def _answers(host: str, port: str) -> bool:
    url = f"http://{_browsable(host)}:{port}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers={"Host": "localhost"}), timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _browsable(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _wait_until(child: Child, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not ready():
        if child.has_ended() or time.monotonic() > deadline:
            raise StartError(f"{child.name} did not start; the end of {child.log}:\n{child.last_lines()}")
        raise_if_asked()
        time.sleep(0.05)


def _announce(run: Run, seconds: float) -> None:
    password = run.home.admin_password
    shows = "a simulated demo fleet" if run.options.is_demo else f"the clusters of {run.options.kubeconfig}"
    print(
        f"""
  secretsdash runs ({seconds:.0f} s), showing {shows}.

    address    http://{_browsable(run.options.host)}:{run.options.port}/
    user       admin
    password   {password.read_text().strip()}   (in {password})

  Logs are in {run.home.logs}. Ctrl-C stops everything; all data is kept.
""",
        flush=True,
    )
