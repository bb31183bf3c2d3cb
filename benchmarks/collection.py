"""A full collection of 10,000 ExternalSecrets, nothing changed, against the plain way and against the floor."""

import gc
import os
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from django.db import connection

from benchmarks.server import COUNT, serving
from benchmarks.table import Row
from clusters import collector
from clusters.credentials import Payload, seal
from clusters.models import Cluster, Credential
from monitoring import known, leases, pipeline
from monitoring.models import Collection, Resource

REPEATS = 5
PLAIN_SAMPLE = 1_000  # the plain way takes 10 s for all; it has no cost that a sample would hide
PLURAL = "/apis/external-secrets.io/v1/externalsecrets"


def run() -> list[Row]:
    with serving() as access:
        cluster = register(access)
        collect(cluster)
        assert Resource.objects.filter(kind="ExternalSecret").count() == COUNT
        ours = median(lambda: collect(cluster)) / COUNT
        newest = Collection.objects.latest("id")
        assert (newest.result, newest.unchanged, newest.changed) == ("complete", COUNT, 0), newest
        read = median(lambda: read_only(cluster))
        with draining(access) as drain:
            floor = median(drain)
        plain = plain_way(access, cluster) / COUNT
    return [
        Row("full collection, nothing changed, objects per CPU second", 1 / ours, "objects/s"),
        Row("plain way (client's list + update_or_create)", 1 / plain, "objects/s"),
        Row("full collection against the plain way", plain / ours, "x", at_least=100),
        Row("reading and decoding 10,000 ExternalSecrets", read * 1000, "CPU ms"),
        Row("floor: the same bytes over TLS, thrown away", floor * 1000, "CPU ms"),
        Row("reading and decoding against the floor", read / floor, "x", at_most=6),
    ]


def register(access: dict[str, str]) -> Cluster:
    now = datetime.now(UTC)
    cluster = Cluster.objects.create(
        name="bench", api_url=access["url"], ca_pem=access["ca_pem"], created_at=now, updated_at=now
    )
    payload = Payload(api_url=access["url"], token=access["token"])
    Credential.objects.create(cluster=cluster, sealed=seal(payload, settings.CREDENTIAL_PUBLIC_KEY), updated_at=now)
    return cluster


def collect(cluster: Cluster) -> None:
    """One whole collection, as a worker runs it: from the claim to the lease given back."""
    now, holder = datetime.now(UTC), uuid4()
    leases.claim([cluster.pk], now, holder, hold=timedelta(minutes=5))
    pipeline.collect([cluster.pk], holder, now)


def read_only(cluster: Cluster) -> None:
    """What the collector does of it: bytes to observations, nothing changed."""
    target = pipeline.target_of(cluster, known.cursors([cluster.pk], datetime.now(UTC))[cluster.pk])
    (snapshot,) = collector.read_shard([target], allowed_networks=settings.DIAL_ALLOWED_NETWORKS)
    assert len(snapshot.kinds["ExternalSecret"].unchanged) == COUNT


@contextmanager
def draining(access: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Reading all ExternalSecrets, uncompressed, over one kept TLS connection into one buffer, looking at nothing."""
    address = urlsplit(access["url"])
    context = ssl.create_default_context(cadata=access["ca_pem"])
    client = HTTPSConnection(str(address.hostname), address.port, context=context)
    headers = {"Authorization": f"Bearer {access['token']}", "Accept": "application/json"}
    buffer = memoryview(bytearray(256 * 1024))

    def drain() -> None:
        client.request("GET", PLURAL, headers=headers)
        answer = client.getresponse()
        left = int(answer.headers["Content-Length"])
        while left:
            left -= answer.readinto(buffer)

    yield drain
    client.close()


def plain_way(access: dict[str, str], cluster: Cluster) -> float:
    """CPU seconds for COUNT objects: the official client's list, decoded its way, and one update_or_create each."""
    import kubernetes

    configuration = kubernetes.client.Configuration()
    configuration.host, configuration.ca_cert_data = access["url"], access["ca_pem"]
    configuration.api_key = {"authorization": f"Bearer {access['token']}"}
    api = kubernetes.client.CustomObjectsApi(kubernetes.client.ApiClient(configuration))
    start = cpu_seconds()
    answer: Any = api.list_cluster_custom_object("external-secrets.io", "v1", "externalsecrets")
    items = answer["items"]
    listed = cpu_seconds() - start
    start = cpu_seconds()
    for item in items[:PLAIN_SAMPLE]:
        store(cluster, item)
    return listed + (cpu_seconds() - start) * len(items) / PLAIN_SAMPLE


def store(cluster: Cluster, item: dict[str, Any]) -> None:
    metadata, status = item["metadata"], item["status"]
    Resource.objects.update_or_create(
        cluster=cluster,
        kind="ExternalSecret",
        namespace=metadata["namespace"],
        name=metadata["name"],
        defaults={
            "uid": metadata["uid"],
            "refreshed_at": datetime.fromisoformat(status["refreshTime"]),
            "health": 0 if status["conditions"][0]["status"] == "True" else 5,
            "facts": {"reason": status["conditions"][0]["reason"], "message": status["conditions"][0]["message"]},
        },
    )


def median(work: Callable[[], None]) -> float:
    """Median CPU seconds of REPEATS runs, after one that warms connections and caches."""
    work()
    taken = []
    for _ in range(REPEATS):
        gc.collect()
        start = cpu_seconds()
        work()
        taken.append(cpu_seconds() - start)
    return statistics.median(taken)


def cpu_seconds() -> float:
    """CPU time of this process (all threads) and of its Postgres backend."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, in units of 10 ms
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
