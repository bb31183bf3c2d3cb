"""Rows for page tests, written directly: what the recorder would have written for a given moment.

`NOW` is a fixed past instant for tests that call queries; pages read the clock, so their data take `now` from it.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from clusters.facts import (
    Facts,
    MountedObject,
    MountFacts,
    ResourceKey,
    SealedItem,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    facts_from_json,
)
from clusters.models import Cluster
from clusters.observations import Observation, Outcome
from monitoring import drift
from monitoring.context import related_keys
from monitoring.families import DRIFT_KINDS, JUDGED_KINDS
from monitoring.health import Health, Severity
from monitoring.models import (
    ClusterState,
    Collection,
    Cursor,
    Event,
    Gap,
    HealthCount,
    HealthSample,
    Lease,
    Recovery,
    Reference,
    Resource,
    Revision,
    Rotation,
    Transition,
)
from monitoring.rules.base import Finding
from monitoring.rules.judgement import signed

NOW = datetime(2025, 11, 24, 14, 7, 31, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
numbers = count(1)


def cluster(
    name: str = "prod-eu",
    now: datetime = NOW,
    *,
    read: timedelta | None = 48 * SECOND,
    failing: timedelta | None = None,
    failure: str = "unreachable",
    not_installed: tuple[str, ...] = (),
    forbidden: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
    **fields: Any,
) -> Cluster:
    """A cluster that answered `read` ago (None: never asked) and fails since `failing` ago, if that is given."""
    made = Cluster.objects.create(
        name=name,
        api_url=f"https://{name}.example:6443",
        created_at=now - 30 * DAY,
        updated_at=now - 30 * DAY,
        **fields,
    )
    Lease.objects.create(cluster=made, due_at=now + 12 * SECOND)
    if read is None:
        return made
    failed = _failed(now, failing, failure) if failing else {}
    _state(made, now - read, findings, **failed)
    outcomes = dict.fromkeys(forbidden, Outcome.FORBIDDEN) | dict.fromkeys(not_installed, Outcome.NOT_INSTALLED)
    for kind in JUDGED_KINDS:
        outcome = outcomes.get(kind, Outcome.COMPLETE)
        cursor(made, kind, now, read_at=now - read if outcome == Outcome.COMPLETE else None, outcome=outcome)
    return made


def _failed(now: datetime, failing: timedelta, failure: str) -> dict[str, Any]:
    return {
        "outcome": "failed",
        "failure": failure,
        "message": "Nothing answered within 10 seconds.",
        "collected_at": now - 20 * SECOND,
        "failing_since": now - failing,
    }


def _state(of: Cluster, read_at: datetime, findings: tuple[Finding, ...], **fields: Any) -> ClusterState:
    values = {"outcome": "complete", "collected_at": read_at, "answered_at": read_at, "complete_at": read_at, **fields}
    return ClusterState.objects.create(
        cluster=of,
        server_version="v1.36.3",
        health=max((finding.health for finding in findings), default=Health.HEALTHY),
        findings=msgspec.to_builtins(findings),
        **values,
    )


def cursor(of: Cluster, kind: str, now: datetime, *, read_at: datetime | None, outcome: str) -> Cursor:
    return Cursor.objects.create(
        cluster=of,
        kind=kind,
        outcome=outcome,
        message="secretsdash-reader may not list this kind" if outcome == Outcome.FORBIDDEN else "",
        served_version="" if outcome == Outcome.NOT_INSTALLED else "v1",
        read_at=read_at,
        attempted_at=now - 10 * SECOND,
        since=now - 5 * DAY,
    )


def finding(health: Health, rule: str = "es-not-ready", **fields: Any) -> Finding:
    words = {"summary": "Failing since 24 Nov 13:52 UTC; the value is of 24 Nov 12:55 UTC.", **fields}
    if health >= Health.AT_RISK:
        words.setdefault("signature", signed(rule, words.get("cause", "")))
    return Finding(rule=rule, severity=Severity.CRITICAL, health=health, **words)


def resource(
    of: Cluster,
    full_name: str = "payments/db",
    health: Health = Health.HEALTHY,
    now: datetime = NOW,
    *,
    kind: str = "ExternalSecret",
    since: timedelta = 5 * DAY,
    findings: tuple[Finding, ...] = (),
    facts: dict[str, Any] | None = None,
    counted: bool = True,
    **fields: Any,
) -> Resource:
    """A resource in health since `since` ago, counted in the summary table."""
    namespace, _, name = full_name.rpartition("/")
    made = Resource.objects.create(
        cluster=of,
        kind=kind,
        namespace=namespace,
        name=name,
        uid=f"uid-{next(numbers)}",
        fingerprint=next(numbers),
        created_at=now - 90 * DAY,
        first_seen_at=now - 30 * DAY,
        health=health,
        since=now - since,
        recorded_at=now - since,
        unwell_since=now - since if health >= Health.AT_RISK else None,
        findings=msgspec.to_builtins(findings),
        facts=facts or {},
        **{"signature": _signature(health, findings, facts or {}), **fields},
    )
    if counted:
        recount(of)
    return made


def compared() -> None:
    """Give every resource the digest that judging would have: once all that it is compared by is there."""
    rows = {(row.cluster_id, row.kind, row.namespace, row.name): row for row in Resource.objects.all()}
    for (cluster_id, kind, namespace, name), row in rows.items():
        if kind in DRIFT_KINDS:
            facts = facts_from_json(kind, row.facts)
            keys = related_keys(ResourceKey(kind, namespace, name), facts)
            related = {key: rows[cluster_id, *key] for key in keys if (cluster_id, *key) in rows}
            of_kinds = {key: facts_from_json(key.kind, found.facts) for key, found in related.items()}
            Resource.objects.filter(pk=row.pk).update(drift_digest=drift.digest(facts, of_kinds))


def _signature(health: Health, findings: tuple[Finding, ...], facts: dict[str, Any]) -> str:
    if health < Health.AT_RISK:
        return ""
    return signed(findings[0].signature if findings else "", facts.get("store", ""))


def many(of: Cluster, number: int, health: Health = Health.HEALTHY, now: datetime = NOW, **fields: Any) -> None:
    for _ in range(number):
        resource(of, f"load/secret-{next(numbers):05}", health, now, counted=False, **fields)
    recount(of)


def recount(of: Cluster) -> None:
    counts = Counter(Resource.objects.filter(cluster=of).values_list("kind", "health"))
    HealthCount.objects.filter(cluster=of).delete()
    HealthCount.objects.bulk_create(
        HealthCount(cluster=of, kind=kind, health=health, count=number) for (kind, health), number in counts.items()
    )


def transition(
    of: Resource,
    to: Health | None,
    at: datetime,
    *,
    before: Health | None = None,
    began: timedelta = DAY,
    findings: tuple[Finding, ...] = (),
    signature: str = "",
) -> Transition:
    """The end of a state that had lasted for `began`, with its findings. What equals the present health began then."""
    if to == of.health:
        Resource.objects.filter(pk=of.pk).update(recorded_at=at)
    return Transition.objects.create(
        at=at,
        began_at=at if before is None else at - began,
        cluster=of.cluster,
        resource_id=of.pk,
        kind=of.kind,
        namespace=of.namespace,
        name=of.name,
        uid=of.uid,
        from_health=before,
        to_health=to,
        turned=before != to,
        findings=msgspec.to_builtins(findings),
        signature=signature,
    )


def history(of: Cluster, now: datetime) -> None:
    """A row of this cluster in each table of history that has no factory of its own."""
    named = {"cluster": of, "kind": "ExternalSecret", "namespace": "shop", "name": "db"}
    Gap.objects.create(cluster=of, kind="ExternalSecret", began_at=now - HOUR, ended_at=now)
    HealthSample.objects.create(cluster=of, at=now, minutes=5, shown={})
    Recovery.objects.create(cluster=of, day=now.date(), count=1, seconds=60)
    Rotation.objects.create(**named, at=now, seen_at=now, confidence=3, source="target")
    Revision.objects.create(**named, at=now, seen_at=now, what="spec")


def memorable(now: datetime) -> list[Observation]:
    """Observations that leave a trace in each table of `memory`."""
    told: dict[ResourceKey, Facts] = {
        ResourceKey("SealedSecret", "shop", "db"): SealedSecretFacts(sealed=(SealedItem(name="a", digest="00"),)),
        ResourceKey("SealingKey", "kube-system", "key"): SealingKeyFacts(state="active"),
        ResourceKey("SealingCertificate", "kube-system", "sealed-secrets"): SealingCertificateFacts(sha256="00"),
        ResourceKey("SecretProviderClassPodStatus", "shop", "pod"): MountFacts(
            class_name="app", objects=(MountedObject(id="a", version="1", changed_at=now),)
        ),
    }
    return [
        Observation(key=key, uid=key.name, fingerprint=number, created_at=now, facts=facts)
        for number, (key, facts) in enumerate(told.items())
    ]


def reference(of: Resource, relation: str, kind: str, full_name: str) -> Reference:
    namespace, _, name = full_name.rpartition("/")
    return Reference.objects.create(
        resource=of,
        cluster=of.cluster,
        relation=relation,
        target_kind=kind,
        target_namespace=namespace,
        target_name=name,
    )


def event(of: Resource, reason: str, message: str, at: datetime, **fields: Any) -> Event:
    return Event.objects.create(
        cluster=of.cluster,
        event_uid=f"event-{next(numbers)}",
        fingerprint=next(numbers),
        kind=of.kind,
        namespace=of.namespace,
        name=of.name,
        type=fields.pop("type", "Warning"),
        reason=reason,
        message=message,
        **{"first_at": at, "last_at": at, "seen_at": at, **fields},
    )


def collection(of: Cluster, started_at: datetime, result: str = "complete", **fields: Any) -> Collection:
    return Collection.objects.create(
        cluster=of, started_at=started_at, finished_at=started_at + timedelta(milliseconds=340), result=result, **fields
    )
