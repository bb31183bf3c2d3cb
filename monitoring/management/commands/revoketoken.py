"""Ends a token of the REST API at once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.api.models import ApiToken


class Command(BaseCommand):
    help = "Revoke a token by its name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: object, **options: Any) -> None:
        deleted, _ = ApiToken.objects.filter(name=options["name"]).delete()
        if not deleted:
            raise CommandError(f"There is no token {options['name']}.")
        self.stdout.write(f"Token {options['name']} is revoked.")
