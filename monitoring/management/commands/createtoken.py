"""Makes a token for the REST API."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction

from monitoring.api.models import ApiToken

DEFAULT_DAYS, MAX_DAYS = 365, 3650


class Command(BaseCommand):
    help = (
        "Make a token for the REST API and print it, this once: only its hash is stored. Without --user it belongs to "
        "an account of its own, called NAME, that may read and nothing else."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the token is for, such as deploy-pipeline")
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help="days until it ends (%(default)s)")
        parser.add_argument("--user", help="give it the rights of this account")

    def handle(self, *args: object, **options: Any) -> None:
        name, days = options["name"].strip(), options["days"]
        if not 1 <= len(name) <= 60 or not name.isprintable():
            raise CommandError("The name must be 1 to 60 printable characters.")
        if not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must lie between 1 and {MAX_DAYS}.")
        try:
            with transaction.atomic():
                owner = existing_account(options["user"]) if options["user"] else new_account(name)
                token, text = ApiToken.objects.create(owner, expiry=timedelta(days=days), name=name)
        except IntegrityError:
            raise CommandError(f"There is a token {name} already (see manage.py listtokens).") from None
        self.stderr.write(f"Token {name} of {owner}, valid until {token.expiry:%Y-%m-%d}. It is shown this once:")
        self.stdout.write(text)


def existing_account(name: str) -> User:
    found: User | None = get_user_model().objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no account {name}.")
    return found


def new_account(name: str) -> User:
    """An account without a password, or the one that an earlier token of this name had."""
    found: User | None = get_user_model().objects.filter(username=name).first()
    if found is None:
        account: User = get_user_model()(username=name)
        account.set_unusable_password()
        try:
            account.full_clean(exclude=["password"])
        except ValidationError:
            raise CommandError("An account cannot have this name: use letters, digits and @ . + - _ only.") from None
        account.save()
        return account
    if found.has_usable_password() or found.is_staff or found.is_superuser:
        raise CommandError(f"There is an account {name}; with --user {name} the token has its rights.")
    return found
