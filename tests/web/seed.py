"""A small fleet on paper, for looking at pages: every health, every kind, odd names. Times count back from `now`."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from clusters.models import Cluster
from monitoring.health import Health
from monitoring.models import Resource
from monitoring.rules.base import Finding
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, MINUTE, SECOND

CSI = ("SecretProviderClass", "SecretProviderClassPodStatus")
DENIED = 'permission denied: role "eso" is not bound to this service account (403)'
APPS = ("payments", "billing", "search", "web", "jobs", "checkout", "identity", "mail")
THINGS = ("db", "smtp", "api", "session-key", "oauth", "stripe-api", "s3", "webhook")


def fleet(now: datetime) -> dict[str, Cluster]:
    """Six clusters; `prod-ap` is unreachable for 41 minutes, `edge-7` was never read."""
    renewal = make.finding(
        Health.AT_RISK,
        "cluster-key-renewal-overdue",
        summary="The newest sealing key is of 24 Sep; a new one is due every 30 d.",
        hint="Look at the sealed-secrets controller's log first.",
        since=now - 3 * DAY,
    )
    clusters = {
        "prod-eu": make.cluster("prod-eu", now, labels={"region": "EU", "stage": "production"}),
        "prod-us": make.cluster("prod-us", now, read=31 * SECOND, labels={"region": "US", "stage": "production"}),
        "prod-ap": make.cluster("prod-ap", now, read=42 * MINUTE, failing=41 * MINUTE),
        "stg-us": make.cluster("stg-us", now, read=12 * SECOND, forbidden=CSI[1:], findings=(renewal,)),
        "dev-1": make.cluster("dev-1", now, read=55 * SECOND, not_installed=CSI, labels={"stage": "development"}),
        "edge-7": make.cluster("edge-7", now, read=None),
    }
    for name, cluster in clusters.items():
        if name != "edge-7":
            _healthy(cluster, now, installed=name != "dev-1")
            _collections(cluster, now, failed=name == "prod-ap")
    _silent(clusters["prod-eu"], now)
    _failing(clusters["prod-us"], now)
    _odd(clusters["dev-1"], now)
    for cluster in clusters.values():
        make.recount(cluster)
    return clusters


def _healthy(cluster: Cluster, now: datetime, *, installed: bool) -> None:
    store = make.resource(
        cluster,
        "vault-prod",
        now=now,
        kind="ClusterSecretStore",
        counted=False,
        facts={"ready": True, "provider": "vault"},
    )
    make.transition(store, Health.HEALTHY, now - 5 * DAY)
    for app in APPS:
        for place, thing in enumerate(THINGS):
            kind = "SealedSecret" if place == 3 else "ExternalSecret"
            _secret(cluster, f"{app}/{thing}", now, kind)
        if installed:
            make.resource(cluster, f"{app}/{app}-secrets", now=now, kind=CSI[0], counted=False)
            _mount(cluster, app, now)
    make.resource(
        cluster,
        "sealed-secrets/sealed-secrets-controller",
        now=now,
        kind="Deployment",
        counted=False,
        facts={"role": "sealed-secrets", "version": "0.31.0", "desired": 1, "ready": 1},
    )


def _mount(cluster: Cluster, app: str, now: datetime) -> None:
    facts = {"pod": f"{app}-7f9c4-x2x", "node": "node-1", "class_name": f"{app}-secrets"}
    mount = make.resource(
        cluster, f"{app}/{app}-7f9c4-x2x-{app}-secrets", now=now, kind=CSI[1], counted=False, facts=facts
    )
    make.reference(mount, "class", CSI[0], f"{app}/{app}-secrets")
    make.reference(mount, "pod", "Pod", f"{app}/{app}-7f9c4-x2x")


def _secret(cluster: Cluster, full_name: str, now: datetime, kind: str) -> Resource:
    if kind == "SealedSecret":
        return make.resource(
            cluster,
            full_name,
            now=now,
            kind=kind,
            counted=False,
            facts={"ready": True, "items": ["key"], "scope": "strict"},
        )
    refreshed = now - 12 * MINUTE
    facts = {
        "ready": True,
        "reason": "SecretSynced",
        "message": "secret synced",
        "interval": "1h",
        "policy": "Periodic",
        "store": "ClusterSecretStore vault-prod",
        "creation_policy": "Owner",
    }
    made = make.resource(
        cluster, full_name, now=now, counted=False, facts=facts, refreshed_at=refreshed, due_at=refreshed + HOUR
    )
    make.reference(made, "store", "ClusterSecretStore", "vault-prod")
    make.reference(made, "target", "Secret", full_name)
    return made


VAULT = "0123456789abcdef"  # the store and all that reads it are one cause


def _collections(cluster: Cluster, now: datetime, *, failed: bool) -> None:
    for place in range(8):
        at = now - (20 + 60 * place) * SECOND
        if failed:
            said = {"failure": "unreachable", "message": "Nothing answered within 10 seconds."}
            make.collection(cluster, at, "failed", read_ms=10_000, **said)
        else:
            numbers: dict[str, Any] = {"unchanged": 81, "requests": 14, "bytes_read": 281_400, "read_ms": 340}
            make.collection(cluster, at, changed=3 if place == 4 else 0, transitions=3 if place == 4 else 0, **numbers)


def _set(rows: list[Resource], health: Health, now: datetime, since: timedelta, found: Finding) -> None:
    for row in rows:
        row.health, row.since, row.findings = health, now - since, msgspec.to_builtins((found,))
        row.signature = found.signature
        row.save()
        make.transition(row, Health.HEALTHY, now - 30 * DAY)
        make.transition(row, health, now - since, before=Health.HEALTHY, findings=(found,))


def _silent(cluster: Cluster, now: datetime) -> None:
    found = make.finding(
        Health.STALE,
        "es-silent-stale",
        summary="Not refreshed since 24 Nov 09:10 UTC; it should refresh every hour. "
        "Ready=True, so kubectl shows it healthy.",
        hint="Look at the external-secrets controller first: kubectl -n external-secrets logs deploy/external-secrets",
        since=now - 4 * HOUR,
    )
    rows = list(Resource.objects.filter(cluster=cluster, kind="ExternalSecret", namespace__in=APPS[:4]))
    for row in rows:
        row.refreshed_at, row.due_at = now - 4 * HOUR - 57 * MINUTE, now - 3 * HOUR - 57 * MINUTE
    _set(rows, Health.STALE, now, 3 * HOUR + 57 * MINUTE, found)
    behind = make.finding(
        Health.STALE,
        "csi-outdated-version",
        summary="It holds version 4a1f of db-password; another mount got 9c02 at 24 Nov 12:10 UTC.",
    )
    mounts = list(Resource.objects.filter(cluster=cluster, kind=CSI[1], namespace="search"))
    _set(mounts, Health.STALE, now, 2 * HOUR, behind)


def _failing(cluster: Cluster, now: datetime) -> None:
    found = make.finding(
        Health.FAILING,
        cause=DENIED,
        hint="kubectl -n payments describe externalsecret db",
        since=now - 15 * MINUTE,
        signature=VAULT,
        cause_class="provider-forbidden",
    )
    rows = list(Resource.objects.filter(cluster=cluster, kind="ExternalSecret", namespace__in=APPS[:6]))
    for row in rows:
        row.refreshed_at, row.due_at = now - 72 * MINUTE, now - 12 * MINUTE
        make.event(row, "UpdateFailed", f"error processing spec.data[0]: {DENIED}", now - 13 * MINUTE, count=4)
        make.event(row, "Updated", "secret updated", now - 3 * DAY, type="Normal")
    _set(rows, Health.FAILING, now, 15 * MINUTE, found)
    broken = make.finding(
        Health.FAILING,
        "store-not-ready",
        summary="Not ready since 24 Nov 13:52 UTC.",
        cause=DENIED,
        signature=VAULT,
        cause_class="provider-forbidden",
    )
    _set(list(Resource.objects.filter(cluster=cluster, name="vault-prod")), Health.FAILING, now, 16 * MINUTE, broken)
    risk = make.finding(
        Health.AT_RISK,
        "es-store-not-ready",
        summary="Its store is not ready (ClusterSecretStore vault-prod): "
        "the refresh that is due on 24 Nov 14:46 UTC will fail.",
        signature=VAULT,
    )
    _set(
        list(Resource.objects.filter(cluster=cluster, namespace="identity", name="db")), Health.AT_RISK, now, HOUR, risk
    )


def _odd(cluster: Cluster, now: datetime) -> None:
    cause = "no key could decrypt secret (<b>password</b>) \N{RIGHT-TO-LEFT OVERRIDE}drowssap"
    sealed = make.finding(Health.FAILING, "ss-not-synced", summary="Not unsealed since 22 Nov 08:30 UTC.", cause=cause)
    long = "legacy/" + "a-name-that-goes-on-and-" * 9 + "on"
    make.resource(
        cluster, long, Health.FAILING, now, kind="SealedSecret", since=2 * DAY, findings=(sealed,), counted=False
    )
    young = make.finding(Health.PROGRESSING, "es-pending", summary="Created on 24 Nov 14:07 UTC; no status yet.")
    made = make.resource(
        cluster, "jobs/report", Health.PROGRESSING, now, since=20 * SECOND, findings=(young,), counted=False
    )
    make.transition(made, Health.PROGRESSING, now - 20 * SECOND)
