"""Seals all stored credentials for the key pair that is set now, with the private key of the former pair at hand."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from clusters.credentials import CredentialError, is_sealed_for, reseal
from clusters.models import Credential


class Command(BaseCommand):
    help = (
        "Seal every stored credential for CREDENTIAL_PUBLIC_KEY. Credentials sealed for it already are left alone, so "
        "the command can be repeated. Exits with 1 when a credential could not be opened."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--old-private-key-file", required=True, metavar="FILE", help="holds the former CREDENTIAL_PRIVATE_KEY"
        )

    def handle(self, *args: object, **options: Any) -> None:
        try:
            old = Path(options["old_private_key_file"]).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The old private key cannot be read: {type(error).__name__}.") from error
        # A line copied from an environment file is taken too.
        old = old.removeprefix("CREDENTIAL_PRIVATE_KEY=")
        done, failed = self._reseal_all(old, settings.CREDENTIAL_PUBLIC_KEY)
        self.stdout.write(f"{done} credentials sealed for the new key pair.")
        if failed:
            raise CommandError(f"{failed} credentials could not be opened; register these clusters again.")

    @transaction.atomic
    def _reseal_all(self, old: str, public_key: str) -> tuple[int, int]:
        done = failed = 0
        for credential in Credential.objects.select_for_update(of=("self",)).select_related("cluster").order_by("pk"):
            try:
                if is_sealed_for(credential.sealed, public_key):
                    continue
                credential.sealed = reseal(credential.sealed, old, public_key)
            except CredentialError as error:
                failed += 1
                self.stderr.write(f"{credential.cluster.name}: {error}")
                continue
            credential.updated_at = timezone.now()
            credential.save(update_fields=["sealed", "updated_at"])
            done += 1
        return done, failed
