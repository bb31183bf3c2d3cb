"""The values that recorded cases carry reach no row, page, answer, log line or message, though we may read all."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from redis import Redis

from demo.apiserver import Fleet, running
from monitoring.models import ClusterState, Event, Resource
from tests.integration.test_recorded_cases import capture, hold
from tests.integration.whole_way import collect, register
from tests.recorded import JUDGED

pytestmark = pytest.mark.django_db
CANARY = "CANARY"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
PAGES = ("/", "/causes/", "/lints/", "/resources/", "/transitions/", "/clusters/", "/clusters/recorded/")
LISTS = ("causes", "lints", "resources", "transitions", "collections", "clusters")
FOLDERS = {expectation.folder: expectation.now for expectation in JUDGED}


def carries(folder: Path) -> bool:
    return any(CANARY in path.read_text() for path in folder.glob("*.json"))


def dumped() -> dict[str, str]:
    """Every table as text, all columns."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{table}\" t")  # noqa: S608
            found[table] = cursor.fetchone()[0]
    return found


def shown(client: Client) -> dict[str, str]:
    """Every page and answer, those of each resource and cause included."""
    addresses = [*PAGES, *(f"/api/v1/{name}/" for name in LISTS)]
    for pk, signature in Resource.objects.values_list("pk", "signature"):
        addresses += [f"/resources/{pk}/", f"/api/v1/resources/{pk}/"]
        addresses += [f"/causes/{signature}/", f"/api/v1/causes/{signature}/"] if signature else []
    return {address: client.get(address).content.decode() for address in dict.fromkeys(addresses)}


def test_the_cases_carry_values() -> None:
    assert sum(map(carries, FOLDERS)) >= 20


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if carries(folder)], ids=lambda folder: folder.name)
def test_no_value_reaches_anything(folder: Path, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.force_login(User.objects.create_user("ana", is_staff=True))
    fleet = Fleet()
    simulated = fleet.add("recorded")
    now = datetime.now(UTC).replace(microsecond=0)
    with running(fleet):
        hold(simulated, folder, now - FOLDERS[folder])
        held = json.dumps(capture(folder, timedelta(0)))
        assert CANARY in held
        cluster = register("recorded", url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token)
        (collection,) = collect(cluster, now=now)
    assert not collection.message
    assert ClusterState.objects.get().answered_at
    assert {table for table, text in dumped().items() if CANARY in text} == set()
    assert {address for address, text in shown(client).items() if CANARY in text} == set()
    assert CANARY not in caplog.text
    broker = Redis.from_url(settings.REDIS_URL)
    assert not [key for key in broker.scan_iter() if CANARY.encode() in (broker.dump(key) or b"")]


LEAKS = (
    'Get "https://vault.example.com/v1/kv/db?access_token=CANARY-token": context deadline exceeded',
    'template: db:1:3: executing "db" at <fail>: error calling fail: unexpected value CANARY-db-password',
    "could not parse: password=CANARY-0123456789abcdef0123 is no number",
)


def test_error_texts_are_scrubbed_before_anything_keeps_them(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.force_login(User.objects.create_user("ana", is_staff=True))
    folder = next(folder for folder in FOLDERS if folder.name == "missing-key")
    fleet = Fleet()
    simulated = fleet.add("recorded")
    now = datetime.now(UTC).replace(microsecond=0)
    with running(fleet):
        hold(simulated, folder, now - FOLDERS[folder])
        (told,) = [o for o in capture(folder, now - FOLDERS[folder]) if o.get("reason") == "UpdateFailed"][:1]
        for number, text in enumerate(LEAKS):
            metadata = {**told["metadata"], "name": f"leak.{number}", "uid": f"leak-{number}"}
            simulated.load(
                [{**told, "metadata": metadata, "message": text, "lastTimestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}"}]
            )
        collect(register("recorded", url=simulated.url, ca_pem=simulated.ca_pem, token=simulated.token), now=now)
    assert Event.objects.filter(message__contains="context deadline exceeded").exists()
    assert {table for table, text in dumped().items() if CANARY in text} == set()
    assert {address for address, text in shown(client).items() if CANARY in text} == set()
    assert CANARY not in caplog.text


def test_the_dump_would_show_it() -> None:
    User.objects.create_user(CANARY)
    assert {table for table, text in dumped().items() if CANARY in text} == {"auth_user"}
