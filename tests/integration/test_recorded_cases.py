"""The recorded cases through the whole way: API server, collector, rules, rows, REST answer and page.

Simulated: every case, with all its times moved so that the moment of the expectation is now. Real: two kube-apiservers
hold the cases side by side; they set creation times, generations and managedFields themselves, so cases that depend on
those are left out, each by a rule that names the reason.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from clusters.models import Cluster
from demo.apiserver import Fleet, running
from demo.apiserver.fleet import Cluster as SimulatedCluster
from monitoring import pipeline
from monitoring.models import Collection
from tests.envtest.client import apply
from tests.envtest.server import ApiServer
from tests.integration.whole_way import collect, register
from tests.recorded import JUDGED, Expectation, healths

pytestmark = pytest.mark.django_db

TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')
DAILY = re.compile(r'"schedule": "(\d+) (\d+) \* \* \*"')
FAMILIES = ("external-secrets", "sealed-secrets", "secrets-store-csi")
KINDS_WITH_STATUS = ("ExternalSecret", "PushSecret", "SealedSecret")
UNSERVED = {"Password"}  # generators are not watched
MOMENTS = [list(group) for _, group in groupby(JUDGED, key=lambda e: (e.capture, e.at))]


@pytest.fixture
def signed_in(client: Client) -> Client:
    client.force_login(User.objects.create_user("ana"))
    return client


@pytest.fixture(scope="module")
def simulated() -> Iterator[dict[str, SimulatedCluster]]:
    """By name: the clusters that cases speak of."""
    fleet = Fleet()
    names = {e.cluster for e in JUDGED}.union(name for e in JUDGED for name, _ in e.others)
    clusters = {name: fleet.add(name) for name in sorted(names)}
    with running(fleet):
        yield clusters


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: str(moment[0]))
def test_a_case_has_its_health_on_pages_and_in_the_api(
    moment: list[Expectation], simulated: dict[str, SimulatedCluster], signed_in: Client
) -> None:
    expectation = moment[0]
    now = datetime.now(UTC).replace(microsecond=0)
    shift = now - (expectation.now + expectation.at)
    mine = (*expectation.before, (expectation.folder, expectation.now))
    captures = {expectation.cluster: mine, **dict(expectation.others)}
    registered = {
        name: register(name, url=simulated[name].url, ca_pem=simulated[name].ca_pem, token=simulated[name].token)
        for name in captures
    }
    in_order = sorted((captured_at, name, folder) for name, past in captures.items() for folder, captured_at in past)
    for captured_at, name, folder in in_order:
        hold(simulated[name], folder, shift)
        read(registered[name], simulated[name], captured_at + shift)
    for name, cluster in registered.items():
        read(cluster, simulated[name], now)
    pipeline.compare_clusters(now)
    for wanted in moment:
        assert_shown(signed_in, wanted, cluster=wanted.cluster)


def hold(simulated: SimulatedCluster, folder: Path, shift: timedelta) -> None:
    """Make the cluster hold exactly this capture."""
    for family in FAMILIES:
        simulated.uninstall(family)
        simulated.install(family)
    for kind in ("Event", "Secret", "Pod", "DaemonSet", "Deployment", "CSINode", "CSIDriver"):
        for stored in list(simulated.store.table_of(kind).objects.values()):
            metadata = stored.obj["metadata"]
            simulated.remove(kind, metadata.get("namespace", ""), metadata["name"])
    simulated.load(capture(folder, shift))
    certificates = folder / "certs.json"
    simulated.certificates.clear()
    for certificate in json.loads(certificates.read_text()) if certificates.exists() else []:
        if certificate["served"]:
            simulated.certificates["kube-system/sealed-secrets-controller"] = certificate["pem"]


def read(cluster: Cluster, simulated: SimulatedCluster, at: datetime) -> None:
    simulated.clock = lambda: at
    (collection,) = collect(cluster, now=at)
    assert_read(collection)
    pipeline.recheck_due(at)


def assert_read(collection: Collection) -> None:
    """Everything was read; but not every recording holds a served certificate, and no real server here can proxy."""
    assert not collection.message
    assert set(collection.kinds) <= {"SealingCertificate"}, collection.kinds


def capture(folder: Path, shift: timedelta) -> list[dict[str, Any]]:
    """Objects, Events and the metadata of Secrets, all times moved by `shift`."""
    loaded = [
        {**item, **kind}
        for name, kind in (
            ("objects.json", {}),
            ("events.json", {"apiVersion": "v1", "kind": "Event"}),
            ("secrets.json", {"apiVersion": "v1", "kind": "Secret"}),
        )
        if (folder / name).exists()
        for item in json.loads((folder / name).read_text())["items"] or []
        if item.get("kind") not in UNSERVED
    ]
    text = TIME.sub(lambda found: move(found, shift), json.dumps(loaded))
    moved: list[dict[str, Any]] = json.loads(DAILY.sub(lambda found: move_daily(found, shift), text))
    return moved


def move_daily(found: re.Match[str], shift: timedelta) -> str:
    """A sync window at the same distance from the moved times: windows name hours of the day."""
    moment = datetime(2026, 1, 1, int(found.group(2)), int(found.group(1)), tzinfo=UTC) + shift
    return f'"schedule": "{moment.minute} {moment.hour} * * *"'


def move(found: re.Match[str], shift: timedelta) -> str:
    moment = datetime.fromisoformat(found.group(1)) + shift
    return f'"{moment:%Y-%m-%dT%H:%M:%S}{found.group(2) or ""}Z"'


def assert_shown(signed_in: Client, expectation: Expectation, cluster: str) -> None:
    subject, allowed = expectation.subject, healths(expectation.wanted)
    query = {"cluster": cluster, "kind": subject.kind, "namespace": subject.namespace, "name": subject.name}
    answer = signed_in.get("/api/v1/resources/", {key: value for key, value in query.items() if value})
    assert answer.status_code == 200, answer.content
    (shown,) = answer.json()["results"]
    assert shown["health"] in {health.code for health in allowed}, shown
    if text := expectation.wanted.get("cause_contains"):
        assert any(text in finding["cause"] for finding in shown["findings"]), shown
    page = signed_in.get(f"/resources/{shown['id']}/").content.decode()
    heading = re.search(r"<h1.*?</h1>", page, re.DOTALL)
    assert heading, page
    assert any(health.word in heading.group() for health in allowed), heading.group()
    assert "CANARY" not in page + answer.content.decode()


def possible_on_a_real_server(expectation: Expectation) -> bool:
    """Whether the case says the same when the API server sets creation times, generations and managedFields anew."""
    if expectation.before or expectation.at or expectation.subject.kind not in KINDS_WITH_STATUS:
        return False  # history and mounts depend on managedFields; later moments on creation times
    if any(word.startswith(("child_", "status_")) for word in expectation.wanted.get("because") or ()):
        return False  # these need the target Secret; recorded ones are metadata and cannot be posted
    objects = json.loads((expectation.folder / "objects.json").read_text())["items"]
    named = [
        o for o in objects if (o["kind"], o["metadata"]["name"]) == (expectation.subject.kind, expectation.subject.name)
    ]
    return all(o["metadata"].get("generation") == 1 and "status" in o for o in named)


REAL = [expectation for expectation in JUDGED if possible_on_a_real_server(expectation)]


def test_two_real_api_servers_show_the_cases_side_by_side(real_api_servers: Any, signed_in: Client) -> None:
    assert len({e.case for e in REAL}) >= 30
    halves = {"first": REAL[0::2], "second": REAL[1::2]}
    now = datetime.now(UTC).replace(microsecond=0)
    for name, expectations in halves.items():
        server: ApiServer = real_api_servers(name)
        for folder, captured_at in {(e.folder, e.now) for e in expectations}:
            # Secrets of the recordings are metadata only and cannot be posted.
            objects = [o for o in capture(folder, now - captured_at) if o["kind"] not in ("Secret", "Service")]
            apply(server, objects)
        cluster = register(name, url=server.url, ca_pem=server.ca_pem, token=server.token)
        cluster.secret_namespaces = ["default"]  # so that their absence elsewhere tells nothing
        cluster.save()
        (collection,) = collect(cluster)
        assert_read(collection)
    for name, expectations in halves.items():
        for expectation in expectations:
            assert_shown(signed_in, expectation, cluster=name)
    for model in (model for model in apps.get_models() if model._meta.managed):
        assert "CANARY" not in str(list(model._default_manager.values())), model
