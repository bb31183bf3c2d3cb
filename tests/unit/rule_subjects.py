"""What rules are tried on: facts, contexts and Events made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from clusters.facts import ClassFacts, DriverFacts, RefreshedFacts, ResourceKey, StoreFacts, WorkloadFacts
from clusters.observations import EventNote, Observation
from monitoring.health import Health
from monitoring.rules import judge
from monitoring.rules.base import ClusterContext, Context, Finding, Verdict, Workload

S = TypeVar("S", bound=msgspec.Struct)

T0 = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
STORE = ResourceKey("SecretStore", "shop", "vault")
CLASS = ResourceKey("SecretProviderClass", "shop", "app")
READABLE = frozenset({"SecretStore", "ClusterSecretStore", "SecretProviderClass", "Deployment"})


def at(hours: float = 0, **parts: float) -> datetime:
    return T0 + timedelta(hours=hours, **parts)


def with_(facts: S, **changes: Any) -> S:
    return msgspec.structs.replace(facts, **changes)


def context(**parts: Any) -> Context:
    """A context in which everything is readable."""
    shared = {name: parts.pop(name) for name in ("poll_interval", "readable", "supporting") if name in parts}
    return Context(cluster=ClusterContext(**{"readable": READABLE, **shared}), **parts)


WELL = context(related={STORE: StoreFacts(generation=1, ready=True), CLASS: ClassFacts(generation=1)})

SYNCED = RefreshedFacts(
    generation=1,
    ready=True,
    reason="SecretSynced",
    message="secret synced",
    condition_since=T0,
    refreshed_at=T0,
    interval="1h",
    stores=(STORE,),
    synced_version="1-a",
    expected_version="1-a",
)
FAILED = RefreshedFacts(
    generation=1,
    ready=False,
    reason="SecretSyncedError",
    message="could not get secret data from provider",
    condition_since=at(1),
    refreshed_at=T0,
    interval="1h",
    stores=(STORE,),
)

_NORMAL = ("Created", "Updated", "Unsealed", "Valid", "MissingProviderSecret")


def event(reason: str, last_at: datetime, message: str = "the cause", *, involved_uid: str = "") -> EventNote:
    return EventNote(
        uid="e",
        fingerprint=1,
        involved=ResourceKey("ExternalSecret", "shop", "db"),
        involved_uid=involved_uid,
        type="Normal" if reason in _NORMAL else "Warning",
        reason=reason,
        message=message,
        component="external-secrets",
        first_at=last_at,
        last_at=last_at,
    )


def verdict(kind: str, facts: Any, now: datetime, beside: Context = WELL) -> Verdict:
    key = ResourceKey(kind, "" if kind.startswith("Cluster") else "shop", "db")
    return judge(Observation(key=key, uid="u", fingerprint=1, created_at=T0, facts=facts), beside, now)


def said(found: Verdict) -> dict[str, Health]:
    return {finding.rule: finding.health for finding in found.findings}


def finding(found: Verdict, rule: str) -> Finding:
    return next(finding for finding in found.findings if finding.rule == rule)


class Case(NamedTuple):
    """What one resource is at one moment, and the rules that must speak: these and no others."""

    title: str
    kind: str
    facts: Any
    now: datetime
    expected: dict[str, Health]
    beside: Context = WELL


def workload(kind: str, name: str, facts: Any, created_at: datetime | None = None) -> Workload:
    return Workload(key=ResourceKey(kind, "tools", name), facts=facts, created_at=created_at)


def deployment(role: str, *, ready: int = 1, desired: int = 1, **options: str) -> Workload:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return workload("Deployment", role, WorkloadFacts(role=role, desired=desired, ready=ready, options=named))


def driver(version: str = "v1.6.0", republish: bool | None = True, **options: str) -> dict[str, tuple[Workload, ...]]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    facts = WorkloadFacts(role="csi-driver", version=version, desired=3, ready=3, options=named)
    return {
        "DaemonSet": (workload("DaemonSet", "driver", facts),),
        "CSIDriver": (workload("CSIDriver", "secrets-store.csi.k8s.io", DriverFacts(requires_republish=republish)),),
    }
