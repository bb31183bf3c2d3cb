"""Reading the environment: what is accepted, and that every refusal names its variable and not its value."""

import base64
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from secretsdash import environment

VALUE = "not-to-be-repeated"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p%40ss@db:5433/name", {"USER": "u", "PASSWORD": "p@ss", "HOST": "db", "PORT": "5433"}),
        ("postgresql://u@db/name?sslmode=require", {"PASSWORD": "spare", "HOST": "db", "PORT": ""}),
        ("postgres://u@/name?host=/run/postgresql", {"HOST": "/run/postgresql", "USER": "u"}),
        ("postgres://u@%2Frun%2Fpostgresql/name", {"HOST": "/run/postgresql"}),
        ("postgres:///name", {"HOST": "", "USER": ""}),
        ("postgres://u@[::1]:5432/name", {"HOST": "::1", "PORT": "5432"}),
    ],
)
def test_forms_of_the_database_url(url: str, expected: dict[str, str]) -> None:
    read = environment.database(url, "spare")
    assert read["NAME"] == "name"
    assert {name: read[name] for name in expected} == expected


def test_an_option_of_the_database_url_is_passed_on() -> None:
    read = environment.database("postgres://u@db/name?sslmode=require&connect_timeout=2", "")
    assert read["OPTIONS"] == {"connect_timeout": "2", "sslmode": "require"}


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://{VALUE}@db/name",
        f"postgres://u:{VALUE}@db",
        f"postgres://u:{VALUE}@db/a/b",
        f"postgres://u:{VALUE}@db:notaport/name",
        f"postgres://u:{VALUE}@db/name?passfile=/etc/passwd",
        f"postgres://u:{VALUE}@db/name?host=elsewhere",
        f"postgres://[{VALUE}/name",
    ],
)
def test_other_database_urls_are_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as refusal:
        environment.database(url, "")
    assert VALUE not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "celery", "client"),
    [
        ("redis://broker:6379/1", "redis://broker:6379/1", "redis://broker:6379/1"),
        ("rediss://broker", "rediss://broker", "rediss://broker"),
        (
            "redis+socket:///run/v.sock?virtual_host=2",
            "redis+socket:///run/v.sock?virtual_host=2",
            "unix:///run/v.sock?db=2",
        ),
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3", "unix:///run/v.sock?db=3"),
        ("/run/v.sock", "redis+socket:///run/v.sock?virtual_host=0", "unix:///run/v.sock?db=0"),
    ],
)
def test_forms_of_the_broker_url(url: str, celery: str, client: str) -> None:
    assert environment.broker(url) == (celery, client)


@pytest.mark.parametrize("url", [f"amqp://{VALUE}", f"redis://:{VALUE}@broker:notaport", "redis://", ""])
def test_other_broker_urls_are_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL") as refusal:
        environment.broker(url)
    assert VALUE not in str(refusal.value)


@pytest.mark.parametrize(
    ("database", "broker", "hosts"),
    [
        ("postgres://u:p@db:5432/name", "rediss://:p@broker:6379/0", ("db", "broker")),
        ("postgres://u@db1,db2/name?target_session_attrs=read-write", "redis://db1", ("db1", "db2")),
        ("postgres://u@[fd00::1]/name", "redis://[fd00::1]:6379", ("fd00::1",)),
        ("postgres://u@/name?host=/run/postgresql", "/run/v.sock", ()),
        ("postgres:///name", "redis+socket:///run/v.sock", ()),
    ],
)
def test_hosts_that_we_use_ourselves(database: str, broker: str, hosts: tuple[str, ...]) -> None:
    host = str(environment.database(database, "")["HOST"])
    assert environment.tcp_hosts(host, environment.broker(broker)[1]) == hosts


@pytest.mark.parametrize(
    ("reader", "arguments", "value"),
    [
        ("flag", {"default": False}, VALUE),
        ("number", {"default": 1, "minimum": 1, "maximum": 9}, VALUE),
        ("number", {"default": 1, "minimum": 1, "maximum": 9}, "10"),
        ("text", {"choices": ("a", "b")}, VALUE),
        ("networks", {}, VALUE),
        ("networks", {}, "10.0.0.1/8"),
        ("sealing_key", {}, VALUE),
        ("sealing_key", {}, base64.b64encode(b"short").decode()),
    ],
)
def test_a_bad_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, reader: str, arguments: dict[str, Any], value: str
) -> None:
    monkeypatch.setenv("THE_NAME", value)
    with pytest.raises(ImproperlyConfigured, match="THE_NAME") as refusal:
        getattr(environment, reader)("THE_NAME", **arguments)
    assert VALUE not in str(refusal.value)


def test_a_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    monkeypatch.setenv("THE_NAME_FILE", str(file))
    assert environment.secret("THE_NAME", "default") == "from the file"


def test_a_secret_given_twice_or_in_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THE_NAME_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="THE_NAME_FILE cannot be read"):
        environment.secret("THE_NAME")
    monkeypatch.setenv("THE_NAME", VALUE)
    with pytest.raises(ImproperlyConfigured, match="either THE_NAME or THE_NAME_FILE"):
        environment.secret("THE_NAME")
