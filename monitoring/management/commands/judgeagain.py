"""manage.py judgeagain: have everything judged by the thresholds that are set now."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from monitoring import known


class Command(BaseCommand):
    help = "Have the workers judge every resource again, after a change of thresholds. Clusters are not read for it."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{known.make_due(timezone.now())} resources will be judged again.")
