"""Rules about a cluster's sealing keys and the certificate that its controller serves (sealed-secrets 0.36.6).

Of keys only their Secrets' metadata is known, and that with tier T2 only; of the newest key the certificate is public.
"""

from datetime import datetime, timedelta
from typing import Final

from clusters.facts import SealingCertificateFacts, SealingKeyFacts
from monitoring.health import Health
from monitoring.rules.base import ClusterContext
from monitoring.rules.durations import after, go_duration, moment_words, span_words
from monitoring.rules.judgement import Judgement, listed, signed
from monitoring.rules.workloads import SEALED_SECRETS, controllers, look_at_controller

DEFAULT_RENEWAL: Final = timedelta(hours=720)
KEY_TOLERANCE: Final = timedelta(seconds=10)  # a key's Secret is made up to 1 s after its certificate begins
LEAST_SEALED: Final = 3  # of so few SealedSecrets "most" says nothing


def judge_sealing(judgement: Judgement, context: ClusterContext) -> None:
    """Everything about keys and certificates of one cluster."""
    _renewal(judgement, context)
    _not_loaded(judgement, context)
    _compromised(judgement, context)
    _lost(judgement, context)
    _certificates(judgement, context)


def unopened(cluster: ClusterContext) -> str:
    """The signature of all SealedSecrets that no key of one cluster opens."""
    return signed("undecryptable", cluster.name)


def newest_key(context: ClusterContext) -> datetime | None:
    """When the newest key began, by the certificate that is served and by the keys that the controller made itself.

    The creation time of an imported key says nothing about its age.
    """
    moments = [facts.not_before for facts in served(context)]
    moments += [
        workload.created_at
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts)
        and (workload.facts.state, workload.facts.manager) == ("active", "controller")
    ]
    return max((moment for moment in moments if moment is not None), default=None)


def served(context: ClusterContext) -> list[SealingCertificateFacts]:
    """The certificates that the cluster's controllers serve."""
    found = (workload.facts for workload in context.supporting.get("SealingCertificate", ()))
    return [facts for facts in found if isinstance(facts, SealingCertificateFacts)]


def compromised_eras(context: ClusterContext) -> list[tuple[datetime, datetime | None]]:
    """While which keys were newest that are not labelled active any more: (beginning, end); the last has no end."""
    keys = sorted(
        (workload.created_at, workload.facts.state)
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts) and workload.created_at
    )
    ends = [created for created, _ in keys][1:]
    return [(created, end) for (created, state), end in zip(keys, [*ends, None], strict=False) if state != "active"]


def _renewal(judgement: Judgement, context: ClusterContext) -> None:
    period = _renewal_period(context)
    if period is not None and period <= timedelta(0):
        judgement.find(
            "cluster-key-renewal-off",
            Health.HEALTHY,
            "Renewal of the sealing key is switched off (key-renew-period is 0).",
        )
        judgement.lint(
            "lint-renewal-off",
            "Renewal of the sealing key is switched off.",
            hint="Remove --key-renew-period=0, and back the keys up after each renewal.",
        )
        return
    newest = newest_key(context)
    if newest is not None and period is not None:
        _overdue(judgement, context, newest, period)


def _renewal_period(context: ClusterContext) -> timedelta | None:
    """Of the controller's Deployment; the default where none is known, None where it cannot be parsed."""
    for facts in controllers(context, SEALED_SECRETS):
        return (
            go_duration(facts.options["key-renew-period"]) if "key-renew-period" in facts.options else DEFAULT_RENEWAL
        )
    return DEFAULT_RENEWAL


def _overdue(judgement: Judgement, context: ClusterContext, newest: datetime, period: timedelta) -> None:
    due, slack = after(newest, period), context.thresholds.renewal_slack
    if judgement.passed(after(due, slack)):
        judgement.find(
            "cluster-key-renewal-overdue",
            Health.STALE,
            f"The newest sealing key is of {moment_words(newest)}; a new one was due on {moment_words(due)} "
            f"(every {span_words(period)}).",
            hint="See whether the controller runs and may create Secrets in its namespace: "
            + look_at_controller(context, SEALED_SECRETS),
            since=due,
            threshold=f"It may be late by {span_words(slack)}.",
        )


def _not_loaded(judgement: Judgement, context: ClusterContext) -> None:
    """Keys are read when the controller starts; one that is added later needs a restart."""
    begun = [facts.not_before for facts in served(context) if facts.not_before]
    keys = [
        workload.created_at
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts) and workload.facts.state == "active" and workload.created_at
    ]
    if begun and keys and max(keys) > after(max(begun), KEY_TOLERANCE):
        judgement.find(
            "cluster-key-not-loaded",
            Health.AT_RISK,
            f"The newest active sealing key was added on {moment_words(max(keys))}, but the certificate that is served "
            f"began on {moment_words(max(begun))}.",
            hint="Restart the sealed-secrets controller, then compare the served certificate again.",
            since=max(keys),
        )


def _compromised(judgement: Judgement, context: ClusterContext) -> None:
    names = [
        workload.key.name
        for workload in context.supporting.get("SealingKey", ())
        if isinstance(workload.facts, SealingKeyFacts) and workload.facts.state != "active"
    ]
    if names:
        judgement.find(
            "cluster-key-compromised",
            Health.AT_RISK,
            f"{listed(sorted(names))} is not labelled active any more. The running controller uses it until its next "
            f"restart; after that nothing that was sealed with it opens.",
            hint="Seal everything of its time again, and rotate the values; then restart the controller.",
        )


def _lost(judgement: Judgement, context: ClusterContext) -> None:
    """A cluster that was rebuilt without its keys, or one whose key is gone, by what cannot be opened any more."""
    census = context.census
    newest = newest_key(context)
    if not census.sealed_failing:
        return
    most = census.sealed >= LEAST_SEALED and 2 * census.sealed_failing > census.sealed
    if most and newest is not None and 2 * census.sealed_old > census.sealed:
        judgement.find(
            "cluster-rebuilt",
            Health.FAILING,
            f"{census.sealed_failing} of {census.sealed} SealedSecrets cannot be opened, and the newest sealing key "
            f"({moment_words(newest)}) is younger than most of them: the keys that they were sealed with are not here.",
            hint="Restore the old keys' Secrets from a backup and restart the controller, or seal everything again.",
            since=newest,
            cause_class="undecryptable",
            signature=unopened(context),
        )
        return
    gone = [key for key in context.keys if key.gone_at is not None and key.state == "active"]
    if gone or _older_served(context):
        what = (
            f"The sealing key {listed([key.name for key in gone])} is gone" if gone else "An older key is served again"
        )
        judgement.find(
            "cluster-key-lost",
            Health.FAILING,
            f"{what}, and {census.sealed_failing} of {census.sealed} SealedSecrets cannot be opened.",
            hint="Restore the key's Secret from a backup and restart the controller.",
            since=min((key.gone_at for key in gone if key.gone_at), default=None),
            cause_class="undecryptable",
            signature=unopened(context),
        )


def _older_served(context: ClusterContext) -> bool:
    """Whether a certificate was served once that is newer than the one that is served now."""
    now = [facts.not_before for facts in served(context) if facts.not_before]
    then = [certificate.not_before for certificate in context.certificates if certificate.not_before]
    return bool(now and then) and max(then) > after(max(now), KEY_TOLERANCE)


def _certificates(judgement: Judgement, context: ClusterContext) -> None:
    warned = context.thresholds.certificate_expiry
    for facts in served(context):
        if facts.not_after is not None and judgement.passed(after(facts.not_after, -warned)):
            ended = judgement.passed(facts.not_after)
            judgement.find(
                "cluster-certificate-expiring",
                Health.AT_RISK,
                f"The sealing certificate {'ended' if ended else 'ends'} on {moment_words(facts.not_after)}: kubeseal "
                f"refuses it {'now' if ended else 'then'}. What is sealed still opens.",
                hint="Let the controller make a new key (--key-renew-period), or replace the imported certificate.",
                threshold=f"Warned {span_words(warned)} before.",
            )
        if others := context.shared_with.get(facts.sha256):
            judgement.find(
                "cluster-certificate-shared",
                Health.HEALTHY,
                f"{listed(list(others))} serves the same sealing certificate: what is sealed for one opens in all.",
                hint="Nothing to do if that is meant; else give each cluster a key of its own.",
            )
