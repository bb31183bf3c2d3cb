"""Reads a registered cluster once, records nothing, and says what our credential sees and may do there.

LIST and WATCH are rights in all namespaces; READ is what came, of Secrets in the namespaces that the cluster names.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from clusters import collector, tiers
from clusters.access import AccessUnknown, Right, allowed
from clusters.credentials import CredentialError, open_target
from clusters.kinds import WATCHED_KINDS
from clusters.models import Cluster
from clusters.observations import KindResult, Outcome, Snapshot, Target

DEADLINE_SECONDS = 60
VERBS = ("list", "watch")
WORDS = {True: "yes", False: "no", None: "?"}
SECRETS = (Right("list", "", "secrets"), Right("get", "", "secrets"))


class Command(BaseCommand):
    help = (
        "Read a registered cluster once and show which kinds are served and may be read. Records nothing. Needs "
        "CREDENTIAL_PRIVATE_KEY. Exits with 1 when the cluster cannot be read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: object, **options: Any) -> None:
        target = target_of(options["name"])
        [snapshot] = collector.read_shard([target], allowed_networks=settings.DIAL_ALLOWED_NETWORKS)
        if snapshot.problem:
            raise CommandError(f"{target.name}: {snapshot.problem.failure}: {snapshot.problem.message}")
        milliseconds = round(snapshot.duration.total_seconds() * 1000)
        self.stdout.write(f"{target.name} at {target.api_url}: Kubernetes {snapshot.server_version}")
        self.stdout.write(f"read in {milliseconds} ms with {snapshot.requests} requests\n\n")
        self._show_kinds(target, snapshot)
        self.stdout.write("")
        for tier in tiers.TIERS:
            self.stdout.write(f"{tier.code}  {tiers.state(tier, snapshot.kinds)}  {tier.buys}")

    def _show_kinds(self, target: Target, snapshot: Snapshot) -> None:
        listed = [watched for watched in WATCHED_KINDS if watched.listed]
        rights = [Right(verb, watched.group, watched.plural) for watched in listed for verb in VERBS]
        answers = self._answers(target, [*rights, *SECRETS])
        self._line("KIND", "VERSION", *(verb.upper() for verb in VERBS), "READ")
        for watched in listed:
            result = snapshot.kinds[watched.kind]
            may = [WORDS[answers.get(Right(verb, watched.group, watched.plural))] for verb in VERBS]
            self._line(watched.kind, result.served_version or "-", *may, told(result))
        if any(answers.get(right) for right in SECRETS):
            everywhere = "The credential may read secrets everywhere, values included. T2 by namespace needs less."
            self.stdout.write(f"\n{everywhere}")
        elif snapshot.kinds["Secret"].namespaces:
            self.stdout.write("\nThe credential may read secrets in the namespaces named below, values included.")
        elif answers:
            self.stdout.write("\nThe credential may not read secrets.")

    def _answers(self, target: Target, rights: list[Right]) -> Mapping[Right, bool]:
        """Empty when the API server cannot be asked: what could be read was shown by reading."""
        try:
            return allowed(target, rights, settings.DIAL_ALLOWED_NETWORKS)
        except AccessUnknown as error:
            self.stdout.write(f"what the credential may do is not known: {error}\n\n")
            return {}

    def _line(self, kind: str, version: str, *rest: str) -> None:
        *verbs, read = rest
        self.stdout.write(f"{kind:30}{version:10}{''.join(f'{verb:7}' for verb in verbs)}{read}")


def target_of(name: str) -> Target:
    cluster = Cluster.objects.select_related("credential").filter(name=name).first()
    if cluster is None or not hasattr(cluster, "credential"):
        raise CommandError(f"There is no cluster {name}, or it has no credential.")
    try:
        return open_target(cluster, settings.CREDENTIAL_PRIVATE_KEY, {}, DEADLINE_SECONDS)
    except CredentialError as error:
        raise CommandError(str(error)) from None


def told(result: KindResult) -> str:
    if result.outcome in (Outcome.COMPLETE, Outcome.DELTA):
        where = f" in {', '.join(result.namespaces)}" if result.namespaces else ""
        return f"{len(result.observations)} found{where}"
    return f"{result.outcome}: {result.problem.message}" if result.problem else str(result.outcome)
