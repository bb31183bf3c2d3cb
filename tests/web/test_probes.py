"""What an orchestrator sees, without signing in."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client


def test_healthz_needs_nothing(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_is_ready_when_all_parts_are_there(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "migrations": "ok", "broker": "ok"}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["unix:///nowhere/valkey.sock?db=0", "redis://127.0.0.1:1/0"])
def test_readyz_names_an_unreachable_broker_and_not_its_address(client: Client, settings, url: str) -> None:
    settings.REDIS_URL = url
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "ok", "migrations": "ok", "broker": "unreachable"}


@pytest.mark.django_db
def test_readyz_counts_migrations_that_are_not_applied(client: Client) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["migrations"]) == (503, "1 not applied")


@pytest.mark.django_db(transaction=True)
def test_readyz_survives_an_unreachable_database(client: Client) -> None:
    connection.close()
    host = connection.settings_dict["HOST"]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        answer = client.get("/readyz")
    finally:
        connection.settings_dict["HOST"] = host
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "database": "unreachable",
        "migrations": "unknown",
        "broker": "ok",
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_change_nothing(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
