"""The Celery application and the whole beat schedule.

Work is claimed in Postgres, not in the broker: a lost message costs one interval, a task that runs twice finds nothing
to claim. So messages are acknowledged early, carry ids only, expire before the next one comes, and have no results.
"""

import logging.config
import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "secretsdash.settings")

BEAT_SCHEDULE = {
    "dispatch-due": {"task": "monitoring.tasks.dispatch_due", "schedule": 5.0, "options": {"expires": 5}},
    "recheck-due": {"task": "monitoring.tasks.recheck_due", "schedule": 15.0, "options": {"expires": 15}},
    "compare-clusters": {"task": "monitoring.tasks.compare_clusters", "schedule": 60.0, "options": {"expires": 60}},
    # By the clock, inside each five minutes and after each hour: intervals would drift through the slots of samples and
    # miss one now and then, which charts show as a time that nobody saw.
    "sample": {
        "task": "monitoring.tasks.sample",
        "schedule": crontab(minute="1-59/5"),
        "options": {"expires": 200},
    },
    "roll-up": {"task": "monitoring.tasks.roll_up", "schedule": crontab(minute="12"), "options": {"expires": 1800}},
    "prune": {"task": "monitoring.tasks.prune", "schedule": 3600.0, "options": {"expires": 1800}},
}


class BeatScheduler(Scheduler):
    """Keeps its times in memory: all intervals are short, and the file of Celery's default needs a writable disk."""

    max_interval = 10  # so that the heartbeat is never older than that while beat lives

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        if settings.BEAT_HEARTBEAT_PATH:
            Path(settings.BEAT_HEARTBEAT_PATH).touch()
        return super().tick(*args, **kwargs)


app = Celery("secretsdash")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    # redis-py would otherwise wait for ever on a broker that accepts and does not answer, web requests included.
    broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5, "health_check_interval": 30},
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=False,
    # A long collection must not hold back messages that another process could run.
    worker_prefetch_multiplier=1,
    task_soft_time_limit=150,
    task_time_limit=180,
    # "collect" carries shards of clusters, "slow" those that did not answer last time (they would make the others
    # wait), "default" everything else. The dispatching task names the queue of a shard.
    task_default_queue="default",
    task_routes={"monitoring.tasks.collect": {"queue": "collect"}},
    worker_hijack_root_logger=False,
    beat_schedule=BEAT_SCHEDULE,
    beat_scheduler="secretsdash.celery:BeatScheduler",
    timezone="UTC",
)
app.autodiscover_tasks()


@setup_logging.connect
def configure_logging(**kwargs: object) -> None:
    """Celery's own hook: while something is connected to it, Celery leaves logging alone."""
    logging.config.dictConfig(settings.LOGGING)
