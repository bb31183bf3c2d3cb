"""Clusters that read one key at a provider, for tests of waves on pages and in the API."""

from datetime import datetime
from typing import Any

from clusters.facts import MountedObject, MountFacts, RefreshedFacts, RemoteKey, ResourceKey, facts_to_json, key_digest
from clusters.models import Cluster
from monitoring.models import MountedVersion, Resource, Rotation
from monitoring.queries.waves import KeyRow, key_row
from tests.web import factories as make
from tests.web.factories import HOUR, MINUTE, NOW, SECOND

SOURCE, CLASS_SOURCE = "5" * 32, "6" * 16
STORE = ResourceKey("ClusterSecretStore", "", "vault")
PASSWORD = RemoteKey(store=STORE, key="prod/db", property="password", secret_key="password")
DIGEST = key_digest("prod/db", "password")
ADDRESS = f"/waves/{SOURCE}/{DIGEST}/"
OLD, NEW = "a" * 32, "b" * 32


def tag(value: str, head: str = "sha3.11111111") -> str:
    return f"{head}.{value}"


def cluster(name: str, now: datetime = NOW, *, t2: bool = True, source: str = SOURCE, **fields: Any) -> Cluster:
    """A cluster with a store that leads to `source`."""
    made = make.cluster(name, now, **fields)
    if t2:
        make.cursor(made, "Secret", now, read_at=now - MINUTE, outcome="complete")
    facts = {"ready": True, "provider": "vault", "path": "https://vault.example.com/kv", "source": source}
    make.resource(made, "vault", now=now, kind=STORE.kind, facts=facts, counted=False)
    return made


def reader(
    of: Cluster, value: str = "", now: datetime = NOW, full_name: str = "shop/db", *keys: RemoteKey, **facts: Any
) -> Resource:
    """An ExternalSecret that reads `keys`, and with `value` its target, whose tag that is."""
    read = keys or (PASSWORD,)
    target = full_name.rpartition("/")[2]
    if value:
        make.resource(of, full_name, now=now, kind="Secret", counted=False, facts={"data_tag": value})
    known = RefreshedFacts(**{"ready": True, "interval": "1h", "target": target, "keys": read, **facts})
    made = make.resource(of, full_name, now=now, counted=False, facts=facts_to_json(known))
    for key in read:
        make.reference(made, "key", STORE.kind, f"vault#{key_digest(key.key, key.property)}")
    return made


def rotated(of: Resource, at: datetime, before: str = "", after: str = "", object_id: str = "") -> Rotation:
    sure = 3 if after else 2
    return Rotation.objects.create(
        at=at,
        seen_at=at + 20 * SECOND,
        cluster=of.cluster,
        kind=of.kind,
        namespace=of.namespace,
        name=of.name,
        object=object_id,
        confidence=sure,
        source="mount" if object_id else "target" if after else "updated",
        before=before[:8],
        after=after[:8],
    )


def the_row(now: datetime = NOW) -> KeyRow:
    row = key_row(SOURCE, DIGEST, now)
    assert row is not None
    return row


def standings(row: KeyRow) -> dict[str, str]:
    return {found.cluster: row.standings[found.reader.id].value for found in row.readers}


def three_clusters(now: datetime = NOW) -> dict[str, Resource]:
    """Two picked up the new value an hour ago, 12 minutes apart; the third still has the old one."""
    made = {
        name: reader(cluster(name, now), tag(value), now) for name, value in (("eu", NEW), ("us", NEW), ("ap", OLD))
    }
    rotated(made["eu"], now - 3 * HOUR, OLD, NEW)
    rotated(made["us"], now - 3 * HOUR + 12 * MINUTE, OLD, NEW)
    return made


def mounted(name: str, versions: list[str], now: datetime = NOW, objects: tuple[str, ...] = ("db",)) -> Resource:
    """A class of one Azure vault, and its mounts."""
    made = make.cluster(name, now)
    facts = {"provider": "azure", "source": CLASS_SOURCE, "objects": list(objects)}
    row = make.resource(made, "shop/vault", now=now, kind="SecretProviderClass", facts=facts, counted=False)
    for number, version in enumerate(versions):
        known = MountFacts(class_name="vault", objects=(MountedObject(id="secret/db", version=version),))
        mount = make.resource(
            made,
            f"shop/pod-{number}",
            now=now,
            kind="SecretProviderClassPodStatus",
            facts=facts_to_json(known),
            counted=False,
        )
        make.reference(mount, "class", "SecretProviderClass", "shop/vault")
    return row


def mounts_in_three_clusters(now: datetime = NOW) -> dict[str, Resource]:
    made = {
        "eu": mounted("eu", ["v2", "v2"], now),
        "us": mounted("us", ["v2", "v1", "v2"], now),
        "ap": mounted("ap", ["v1"], now),
    }
    mounted("none", ["v1"], now, objects=("other",))
    MountedVersion.objects.create(
        source=CLASS_SOURCE, object_id="secret/db", version="v2", changed_at=now, cluster=made["eu"].cluster
    )
    rotated(made["eu"], now - HOUR, "v1", "v2", "secret/db")
    rotated(made["us"], now - HOUR + 5 * MINUTE, "v1", "v2", "secret/db")
    return made
