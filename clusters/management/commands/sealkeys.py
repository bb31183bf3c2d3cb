"""Prints a new key pair for credentials at rest, in the form that the environment takes."""

from django.core.management.base import BaseCommand

from clusters.credentials import new_key_pair


class Command(BaseCommand):
    help = "Print a new key pair: the public key is for every process, the private key for workers only."
    requires_system_checks: tuple[str, ...] = ()

    def handle(self, *args: object, **options: object) -> None:
        pair = new_key_pair()
        self.stdout.write(f"CREDENTIAL_PUBLIC_KEY={pair.public_key}\nCREDENTIAL_PRIVATE_KEY={pair.private_key}")
