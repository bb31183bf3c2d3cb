"""Where the embedded servers keep their data, for root and for everybody else."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from secretsdash.local.children import Children, StartError
from secretsdash.local.places import prepare
from secretsdash.local.servers import start_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="secretsdash-places-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def children() -> Iterator[Children]:
    started = Children()
    yield started
    started.stop_all()


def test_data_lies_in_the_folder_that_was_asked_for(place: Path) -> None:
    places = prepare(place / "servers")
    assert places.data == place / "servers"
    assert stat.S_IMODE(places.sockets.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["with a blank", "a,b", "ü%41", "x" * 120])
def test_postgres_starts_below_any_name(place: Path, children: Children, name: str) -> None:
    places = prepare(place / name / "servers")
    server = start_postgres(children, places, place / "logs", durable=False)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    children.stop_all()
    shutil.rmtree(places.sockets)  # not below `place` where the path would be too long for a socket


@as_root
def test_below_a_folder_that_only_root_may_enter_data_lies_elsewhere(place: Path, children: Children) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    places = prepare(closed / "servers", system_folder=place / "system")
    assert places.data.parent == place / "system"
    assert (closed / "servers").resolve() == places.data
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    start_postgres(children, places, place / "logs", durable=False)
    again = prepare(closed / "servers", system_folder=place / "system")
    assert again == places


@as_root
def test_the_user_of_the_servers_must_exist_and_not_be_root(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_SERVER_USER", "nobody-of-this-name")
    with pytest.raises(StartError, match="nobody-of-this-name"):
        prepare(place / "servers")
    monkeypatch.setenv("LOCAL_SERVER_USER", "root")
    with pytest.raises(StartError, match="must not be root"):
        prepare(place / "servers")


def test_a_start_that_fails_says_why(place: Path, children: Children) -> None:
    places = prepare(place / "servers")
    start_postgres(children, places, place / "logs", durable=False)
    children.stop_all()
    (places.data / "postgres" / "data" / "postgresql.conf").write_text("no_such_parameter = 1\n")
    with pytest.raises(StartError, match="no_such_parameter"):
        start_postgres(children, places, place / "logs", durable=False)
