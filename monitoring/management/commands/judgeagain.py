"""manage.py judgeagain: have everything judged by the thresholds that are set now."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from clusters.models import Cluster
from monitoring.rejudging import judge_all_again


class Command(BaseCommand):
    help = "Have the workers judge every resource again, after a change of thresholds. Clusters are not read for it."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        number = sum(judge_all_again(cluster, now) for cluster in Cluster.objects.all())
        self.stdout.write(f"{number} resources will be judged again.")
