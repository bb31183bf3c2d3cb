"""Lists the tokens of the REST API."""

from django.core.management.base import BaseCommand

from monitoring.api.models import ApiToken


class Command(BaseCommand):
    help = "List tokens: name, account, day of making, day of ending. Ended ones vanish when next used."

    def handle(self, *args: object, **options: object) -> None:
        for token in ApiToken.objects.select_related("user").order_by("name"):
            ends = f"{token.expiry:%Y-%m-%d}" if token.expiry else "never"
            self.stdout.write(f"{token.name}\t{token.user}\t{token.created:%Y-%m-%d}\t{ends}")
