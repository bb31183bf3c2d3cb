"""Rules about a cluster's operators: do they run, do they work, and can what they own be read at all.

A stopped controller and a poisoned one leave thousands of objects behind that are stale together: one finding on the
cluster explains them, and all of them bear its signature (`causes.not_acting`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from clusters.observations import Outcome
from monitoring.health import Health
from monitoring.rules import causes
from monitoring.rules.base import ClusterContext, KindState
from monitoring.rules.durations import after, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, signed
from monitoring.rules.refreshing import REPAIR_POISON
from monitoring.rules.workloads import (
    CSI_DRIVER,
    EXTERNAL_SECRETS,
    SEALED_SECRETS,
    controllers,
    look_at_controller,
    workloads,
)

PRODUCTS: Final = {EXTERNAL_SECRETS: "External Secrets", SEALED_SECRETS: "Sealed Secrets"}
LEAST_PERIODIC: Final = 3  # of so few ExternalSecrets "most" says nothing
QUIET: Final = timedelta(minutes=10)  # a controller that refreshed anything so lately is at work
_WEBHOOK: Final = "conversion webhook"


class Defect(NamedTuple):
    """Versions from `first` to before `fixed` that make what we show wrong, or lose refreshes."""

    role: str
    first: tuple[int, ...]
    fixed: tuple[int, ...]
    words: str


# Release notes and issues of the controllers; the numbers are theirs.
DEFECTS: Final = (
    Defect(EXTERNAL_SECRETS, (2, 0, 1), (2, 2, 0), "it stops refreshing silently at about 3,000 objects (#6053)"),
    Defect(EXTERNAL_SECRETS, (0, 5, 0), (0, 16, 1), "its CRDs need a conversion webhook for every list"),
    Defect(SEALED_SECRETS, (0, 17, 0), (0, 24, 2), "a SealedSecret that failed once stays Synced=False (#1295)"),
    Defect(SEALED_SECRETS, (0, 34, 0), (0, 35, 0), "it takes sealing keys from all namespaces (#1862)"),
)


def judge_operators(judgement: Judgement, context: ClusterContext) -> None:
    """Everything about operators and the kinds they own."""
    _poison(judgement, context)
    for role in PRODUCTS:
        _running(judgement, context, role)
    _stopped(judgement, context)
    _missing(judgement, context)
    _outdated(judgement, context)
    _kinds(judgement, context)


def _poison(judgement: Judgement, context: ClusterContext) -> None:
    poison = context.census.poison
    if not poison:
        return
    first = poison[0]
    place = f"-n {first.namespace} " if first.namespace else ""
    judgement.find(
        "cluster-poison-object",
        Health.FAILING,
        f"{listed([str(key) for key in poison])} has a duration that the controller cannot read: while it exists, no "
        f"status of External Secrets moves and nothing new or changed is seen in this cluster. No Event tells.",
        hint=f"{REPAIR_POISON} kubectl {place}delete {first.kind.lower()} {first.name}",
        cause_class=causes.POISON.id,
        signature=causes.not_acting(context, EXTERNAL_SECRETS),
    )


def _running(judgement: Judgement, context: ClusterContext, role: str) -> None:
    wanted = [facts for facts in controllers(context, role) if facts.desired > 0]
    short = [facts for facts in wanted if facts.ready < facts.desired]
    since = min((facts.short_since for facts in short if facts.short_since), default=None)
    known = since if all(facts.short_since for facts in short) else None
    if not short or not _is_long(judgement, context, known):
        return
    down = all(facts.ready == 0 for facts in wanted)
    ready, desired = sum(facts.ready for facts in wanted), sum(facts.desired for facts in wanted)
    judgement.find(
        "cluster-controller-down" if down else "cluster-controller-unready",
        Health.FAILING if down else Health.AT_RISK,
        f"The controller of {PRODUCTS[role]} has no ready replica: nothing is refreshed or written."
        if down
        else f"The controller of {PRODUCTS[role]} has {ready} of {desired} replicas ready.",
        hint=look_at_controller(context, role),
        since=since,
        signature=causes.not_acting(context, role) if down else signed("controller unready", context.name, role),
        threshold=f"It may be short of replicas for {span_words(context.thresholds.controller_down)}.",
    )


def _is_long(judgement: Judgement, context: ClusterContext, since: datetime | None) -> bool:
    """A rollout that replaces the only pod takes seconds and is no outage. None: nobody knows since when."""
    return since is None or judgement.passed(after(since, context.thresholds.controller_down))


def _stopped(judgement: Judgement, context: ClusterContext) -> None:
    """Most are overdue together: not they are broken but their controller, which may well look ready."""
    census, share = context.census, context.thresholds.stopped_share
    if census.poison or census.periodic < LEAST_PERIODIC or census.overdue <= share * census.periodic:
        return
    newest = census.newest_refresh
    if newest is not None and not judgement.passed(after(newest, QUIET)):
        return
    known = " This version is known to (external-secrets#6053)." if _has_defect(context) else ""
    seen = f" Nothing was refreshed since {moment_words(newest)}." if newest else ""
    judgement.find(
        "cluster-controller-stopped",
        Health.FAILING,
        f"{census.overdue} of {census.periodic} ExternalSecrets are overdue together: their controller has stopped "
        f"refreshing.{seen}{known}",
        hint=f"Look at its log, then restart it: {look_at_controller(context, EXTERNAL_SECRETS)}",
        since=newest,
        signature=causes.not_acting(context, EXTERNAL_SECRETS),
        threshold=f"More than {share:.0%} overdue, and no refresh for {span_words(QUIET)}.",
    )


def _has_defect(context: ClusterContext) -> bool:
    return any(_is_in(DEFECTS[0], _version(facts.version)) for facts in controllers(context, EXTERNAL_SECRETS))


def _missing(judgement: Judgement, context: ClusterContext) -> None:
    """Objects without an operator, where no sign of its work is seen: it may run under a name that we do not know."""
    if "Deployment" not in context.readable:
        return
    census = context.census
    held = {
        EXTERNAL_SECRETS: census.overdue > 0 and 2 * census.overdue > census.periodic,
        SEALED_SECRETS: census.sealed_failing > 0 and not context.supporting.get("SealingCertificate"),
    }
    for role, product in PRODUCTS.items():
        if held[role] and not controllers(context, role):
            judgement.find(
                "cluster-controller-missing",
                Health.FAILING,
                f"No Deployment of {product} is found, and its objects are not worked on.",
                hint=f"Install it, or label its Deployment app.kubernetes.io/name={role}.",
                signature=causes.not_acting(context, role),
            )


def _outdated(judgement: Judgement, context: ClusterContext) -> None:
    roles = {EXTERNAL_SECRETS: "Deployment", SEALED_SECRETS: "Deployment", CSI_DRIVER: "DaemonSet"}
    running = [found for role, kind in roles.items() for found in workloads(context, kind, role)]
    for workload, facts in running:
        version = _version(facts.version)
        found = [defect.words for defect in DEFECTS if defect.role == facts.role and _is_in(defect, version)]
        if found:
            judgement.find(
                "cluster-controller-outdated",
                Health.HEALTHY,
                f"{workload.key.name} {facts.version} has a known defect: {'; '.join(found)}.",
                hint="Upgrade it.",
            )


def _version(text: str) -> tuple[int, ...]:
    """ "v1.6.0" as (1, 6, 0); () for what is no version."""
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})", text)
    return tuple(int(part) for part in found.groups()) if found else ()


def _is_in(defect: Defect, version: tuple[int, ...]) -> bool:
    return bool(version) and defect.first <= version < defect.fixed


def _kinds(judgement: Judgement, context: ClusterContext) -> None:
    """Kinds that could be read and cannot any more."""
    known = {kind: state for kind, state in context.kinds.items() if state.known_before}
    webhook = _named(context.kinds, lambda state: state.outcome == Outcome.FAILED and _WEBHOOK in state.message)
    if webhook:
        judgement.find(
            "cluster-conversion-webhook",
            Health.FAILING,
            f"Every list of {listed(webhook)} fails, because the conversion webhook of its CRD does not answer.",
            cause=context.kinds[webhook[0]].message,
            hint="Start the operator's webhook, or upgrade External Secrets to 0.16.1 or later, which needs none.",
            since=context.kinds[webhook[0]].since,
        )
    vanished = _named(known, lambda state: state.outcome == Outcome.NOT_INSTALLED and state.resources > 0)
    if vanished:
        judgement.find(
            "cluster-kind-vanished",
            Health.AT_RISK,
            f"The cluster does not serve {listed(vanished)} any more, although it did.",
            hint="Install the CRDs again; if they were removed on purpose, remove and add this cluster here.",
            since=known[vanished[0]].since,
        )
    lost = _named(known, lambda state: state.outcome == Outcome.FORBIDDEN)
    if lost:
        judgement.find(
            "cluster-rights-lost",
            Health.AT_RISK,
            f"We may not read {listed(lost)} any more, although we could.",
            hint="Apply the manifest of this cluster's tier again (deploy/rbac/).",
            since=known[lost[0]].since,
        )


def _named(kinds: Mapping[str, KindState], wanted: Callable[[KindState], bool]) -> list[str]:
    return sorted(kind for kind, state in kinds.items() if wanted(state))
