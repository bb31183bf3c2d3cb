"""Rules about a cluster's sealing keys, operators and CSI driver: findings that belong to no single resource."""

from datetime import datetime, timedelta
from typing import Final

from clusters.observations import (
    DriverFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
)
from monitoring.health import Health
from monitoring.rules.base import ClusterContext
from monitoring.rules.durations import after, go_duration, moment_words, span_words
from monitoring.rules.judgement import Judgement
from monitoring.rules.secrets_store_csi import Rotation, rotation_of
from monitoring.rules.workloads import EXTERNAL_SECRETS, SEALED_SECRETS, controllers, look_at_controller

DEFAULT_RENEWAL: Final = timedelta(hours=720)
RENEWAL_SLACK: Final = timedelta(hours=24)
KEY_TOLERANCE: Final = timedelta(seconds=10)  # a key's Secret is made up to 1 s after its certificate begins
_OPERATORS: Final = {EXTERNAL_SECRETS: "External Secrets", SEALED_SECRETS: "Sealed Secrets"}


def judge_cluster(judgement: Judgement, context: ClusterContext) -> None:
    _controllers(judgement, context)
    _sealing_keys(judgement, context)
    _rotation(judgement, context)


def _controllers(judgement: Judgement, context: ClusterContext) -> None:
    for role, product in _OPERATORS.items():
        running = [facts for facts in controllers(context, role) if facts.desired > 0]
        if running and all(facts.ready == 0 for facts in running):
            judgement.find(
                "cluster-controller-down",
                Health.FAILING,
                f"The controller of {product} has no ready replica: nothing is refreshed or written.",
                hint=look_at_controller(context, role),
            )


def _sealing_keys(judgement: Judgement, context: ClusterContext) -> None:
    period = _renewal_period(context)
    if period is not None and period <= timedelta(0):
        judgement.find(
            "cluster-key-renewal-off",
            Health.HEALTHY,
            "Renewal of the sealing key is switched off (key-renew-period is 0).",
        )
        return
    newest = _newest_key(context)
    if newest is not None and period is not None:
        _overdue(judgement, context, newest, period)
    _not_loaded(judgement, context)


def _renewal_period(context: ClusterContext) -> timedelta | None:
    """Of the controller's Deployment; the default where none is known, None where it cannot be parsed."""
    for facts in controllers(context, SEALED_SECRETS):
        return (
            go_duration(facts.options["key-renew-period"]) if "key-renew-period" in facts.options else DEFAULT_RENEWAL
        )
    return DEFAULT_RENEWAL


def _newest_key(context: ClusterContext) -> datetime | None:
    """When the newest key began, by the certificate that is served and by the keys that the controller made itself.

    The creation time of an imported key says nothing about its age.
    """
    moments = [
        workload.facts.not_before
        for workload in context.supporting.get("SealingCertificate", ())
        if isinstance(workload.facts, SealingCertificateFacts)
    ]
    moments += [
        workload.created_at
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts)
        and workload.facts.state == "active"
        and workload.facts.manager == "controller"
    ]
    return max((moment for moment in moments if moment is not None), default=None)


def _overdue(judgement: Judgement, context: ClusterContext, newest: datetime, period: timedelta) -> None:
    due = after(newest, period)
    if judgement.passed(after(due, RENEWAL_SLACK)):
        judgement.find(
            "cluster-key-renewal-overdue",
            Health.STALE,
            f"The newest sealing key is of {moment_words(newest)}; a new one was due on {moment_words(due)} "
            f"(every {span_words(period)}).",
            hint="See whether the controller runs and may create Secrets in its namespace: "
            + look_at_controller(context, SEALED_SECRETS),
            since=due,
        )


def _not_loaded(judgement: Judgement, context: ClusterContext) -> None:
    """Keys are read when the controller starts; one that is added later needs a restart."""
    served = [
        workload.facts.not_before
        for workload in context.supporting.get("SealingCertificate", ())
        if isinstance(workload.facts, SealingCertificateFacts) and workload.facts.not_before
    ]
    keys = [
        workload.created_at
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts) and workload.facts.state == "active" and workload.created_at
    ]
    if served and keys and max(keys) > after(max(served), KEY_TOLERANCE):
        judgement.find(
            "cluster-key-not-loaded",
            Health.AT_RISK,
            f"The newest active sealing key was added on {moment_words(max(keys))}, but the certificate that is served "
            f"began on {moment_words(max(served))}.",
            hint="Restart the sealed-secrets controller, then compare the served certificate again.",
            since=max(keys),
        )


def _rotation(judgement: Judgement, context: ClusterContext) -> None:
    rotation = rotation_of(context)
    if rotation is Rotation.OFF:
        judgement.find(
            "cluster-rotation-off",
            Health.HEALTHY,
            "The CSI driver runs without rotation: pods keep what they mounted when they started.",
            hint="Start the driver with --enable-secret-rotation=true if rotations shall reach running pods.",
        )
    elif rotation is Rotation.MISCONFIGURED:
        names = [
            workload.key.name
            for workload in context.supporting.get("CSIDriver", ())
            if isinstance(workload.facts, DriverFacts) and workload.facts.requires_republish is not True
        ]
        judgement.find(
            "cluster-rotation-misconfigured",
            Health.AT_RISK,
            f"Rotation is on, but CSIDriver {', '.join(names[:3])} does not ask for republish, which driver 1.6 needs.",
            hint="Set spec.requiresRepublish: true on the CSIDriver.",
        )
