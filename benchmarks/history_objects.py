"""The objects of the made-up estate: how they are called, what is in them and what is found of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from benchmarks.loading import jsonb
from clusters.facts import (
    Facts,
    MountedObject,
    MountFacts,
    RefreshedFacts,
    RemoteKey,
    ResourceKey,
    SealedSecretFacts,
    StoreFacts,
    key_digest,
)
from monitoring.health import Health, Severity
from monitoring.rules.base import Finding

NAMESPACE = 50  # resources in one
EXTERNAL, SEALED, MOUNT, STORE = "ExternalSecret", "SealedSecret", "SecretProviderClassPodStatus", "SecretStore"
# Twenty neighbours: 70 % ExternalSecrets, 10 % SealedSecrets, 15 % mounts, 5 % stores.
KINDS = (STORE, *3 * (MOUNT,), *2 * (SEALED,), *14 * (EXTERNAL,))
RULES = {EXTERNAL: "es-not-ready", SEALED: "ss-not-synced", MOUNT: "csi-outdated-version", STORE: "store-not-ready"}
CLASSES = ("provider-timeout", "provider-forbidden", "provider-throttled", "provider-unreachable")
NAMES = ("billing-api", "checkout", "search-indexer", "mailer", "ledger-db", "gateway", "reports", "auth-proxy")


class Key(NamedTuple):
    """Of one resource. Every cluster has the same namespaces and names."""

    cluster: int  # 1 to CLUSTERS
    place: int  # in its cluster
    kind: str
    namespace: str
    name: str


def names(place: int) -> tuple[str, str]:
    """Namespace and name."""
    return f"team-{place // NAMESPACE:03d}", f"{NAMES[place % len(NAMES)]}-{place % NAMESPACE:02d}"


def finding(kind: str, health: int, group: int, cause: int) -> Finding:
    signature = blake2b(f"{kind} {health} {group} {cause}".encode(), digest_size=8).hexdigest()
    return Finding(
        rule=RULES[kind],
        severity=Severity.CRITICAL if health == Health.FAILING else Severity.WARNING,
        health=Health(health),
        summary=f"External Secrets cannot refresh it: the provider behind store vault-{group:02d} does not answer.",
        cause=f"could not get secret data from provider: Get https://vault-{group:02d}.example.com/v1/kv/data/{cause}:"
        " context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        hint="Look at the provider and at the way to it from the cluster; the store's page lists what shares it.",
        cause_class=CLASSES[cause % len(CLASSES)],
        signature=signature if health >= Health.AT_RISK else "",
    )


DEPRECATED = Finding(
    rule="lint-deprecated-api",
    severity=Severity.INFO,
    health=Health.HEALTHY,
    summary="It is still written as external-secrets.io/v1beta1.",
    hint="Write it as external-secrets.io/v1: the old version is not served by the next release.",
)
ADVICE = jsonb([DEPRECATED])


def store_of(key: Key) -> ResourceKey:
    """Half of the ExternalSecrets read one store of their cluster, the others the one next to them."""
    return ResourceKey(STORE, *names(0 if key.place % 2 else key.place - key.place % len(KINDS)))


def references(key: Key) -> Iterator[tuple[str, ResourceKey]]:
    if key.kind == EXTERNAL:
        store = store_of(key)
        yield "store", store
        yield "target", ResourceKey("Secret", key.namespace, key.name)
        digest = key_digest(f"{key.namespace}/{key.name}", "password")
        yield "key", ResourceKey(store.kind, store.namespace, f"{store.name}#{digest}")
    elif key.kind == SEALED:
        yield "target", ResourceKey("Secret", key.namespace, key.name)
    elif key.kind == MOUNT:
        yield "class", ResourceKey("SecretProviderClass", key.namespace, f"{key.namespace}-vault")
        yield "pod", ResourceKey("Pod", key.namespace, key.name)


def facts(key: Key, end: datetime) -> Facts:
    since = end - timedelta(days=200)
    if key.kind == EXTERNAL:
        store = store_of(key)
        return RefreshedFacts(
            generation=2, ready=True, reason="SecretSynced", message="secret synced", condition_since=since,
            refreshed_at=end, spec_written_at=since, spec_written_by="argocd-controller", interval="1h0m0s",
            policy="Periodic", store=f"{store.kind} {store.name}", stores=(store,), target=key.name,
            synced_version="2-" + "f" * 56, expected_version="2-" + "f" * 56, creation_policy="Owner",
            keys=(RemoteKey(store=store, key=f"{key.namespace}/{key.name}", property="password", secret_key="key"),),
        )  # fmt: skip
    if key.kind == SEALED:
        return SealedSecretFacts(generation=1, ready=True, condition_since=since, updated_at=since, target=key.name)
    if key.kind == MOUNT:
        mounted = MountedObject(id=f"{key.namespace}/password", version="4", changed_at=since)
        return MountFacts(
            pod=key.name, node="node-1", class_name=f"{key.namespace}-vault", objects=(mounted,), written_at=since
        )
    path = f"https://vault.example.com/{key.namespace}-{key.name}"  # one for each store, the same in all clusters
    source = blake2b(path.encode(), digest_size=16).hexdigest()
    return StoreFacts(
        ready=True, reason="Valid", condition_since=since, provider="vault", server="vault.example.com", path=path,
        source=source,
    )  # fmt: skip


def tag(key: Key, turn: int) -> str:
    """Equal in all clusters for the same turn of the same name."""
    return blake2b(f"{key.namespace}/{key.name} {turn}".encode(), digest_size=4).hexdigest()
