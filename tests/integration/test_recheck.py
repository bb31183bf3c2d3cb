"""A secret goes stale by the clock alone, but only while we can see its cluster."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from clusters.observations import Failure, Problem
from monitoring import known, pipeline
from monitoring.health import Health
from monitoring.models import ClusterState, HealthCount, Resource, Transition
from monitoring.rules.thresholds import Override
from tests.integration.snapshots import NOW, apply, complete, external_secret, failed, make_cluster, secret_store

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def resources():
    return [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]


def test_a_silent_secret_turns_stale_without_any_event():
    cluster = make_cluster()
    apply(cluster, complete(cluster, resources()))
    moment = Resource.objects.get(name="db").recheck_at
    assert moment is not None
    apply(cluster, complete(cluster, resources()), moment - timedelta(seconds=30))
    assert pipeline.recheck_due(moment - timedelta(seconds=1)) == 0
    assert Resource.objects.get(name="db").health == Health.HEALTHY
    assert pipeline.recheck_due(moment) == 1
    row = Resource.objects.get(name="db")
    assert (row.health, row.findings[0]["rule"]) == (Health.STALE, "es-silent-stale")
    transition = Transition.objects.latest("id")
    assert (transition.from_health, transition.to_health, transition.collection_id) == (0, Health.STALE, None)
    assert HealthCount.objects.get(kind="ExternalSecret", health=Health.STALE).count == 1


def test_while_the_cluster_is_silent_nothing_turns_stale():
    cluster = make_cluster()
    apply(cluster, complete(cluster, resources()))
    problem = Problem(failure=Failure.TIMEOUT, message="No answer within 20 s.")
    apply(cluster, failed(cluster, problem), NOW + 2 * HOUR)
    assert pipeline.recheck_due(NOW + 2 * HOUR) == 0
    assert Resource.objects.get(name="db").health == Health.HEALTHY


def test_judging_again_twice_tells_one_transition():
    cluster = make_cluster()
    apply(cluster, complete(cluster, resources()))
    later = NOW + 2 * HOUR
    apply(cluster, complete(cluster, resources()), later)
    assert pipeline.recheck_due(later) == 1
    assert pipeline.recheck_due(later) == 0
    assert pipeline.recheck_due(later + timedelta(seconds=15)) == 0


def test_a_controller_that_stopped_is_found_by_the_clock_alone() -> None:
    cluster = make_cluster()
    seen = [external_secret(f"app-{number}", fingerprint=number) for number in range(4)]
    apply(cluster, complete(cluster, [*seen, secret_store(fingerprint=9)]))
    assert ClusterState.objects.get().findings == []
    later = NOW + timedelta(hours=2)
    apply(cluster, complete(cluster, [*seen, secret_store(fingerprint=9)]), later)
    pipeline.recheck_due(later)
    (finding,) = ClusterState.objects.get().findings
    assert (finding["rule"], finding["health"]) == ("cluster-controller-stopped", Health.FAILING)
    signatures = set(Resource.objects.filter(kind="ExternalSecret").values_list("signature", flat=True))
    assert signatures == {finding["signature"]}


def test_thresholds_of_a_label_count_when_everything_is_judged_again(settings: Settings) -> None:
    cluster = make_cluster(labels={"env": "dev"})
    seen = [secret_store(fingerprint=1), external_secret("db", fingerprint=2)]
    late = NOW + timedelta(hours=1, minutes=10)
    apply(cluster, complete(cluster, seen))
    apply(cluster, complete(cluster, seen), late)
    pipeline.recheck_due(late)
    assert Resource.objects.get(name="db").health == Health.STALE
    settings.THRESHOLDS_BY_LABEL = (Override(label="env", value="dev", given={"grace_least": "30m"}),)
    known.make_due(cluster.pk, late)
    pipeline.recheck_due(late)
    assert Resource.objects.get(name="db").health == Health.HEALTHY
    assert Resource.objects.get(name="db").recheck_at == NOW + timedelta(hours=1, minutes=30)


def test_judgeagain_has_everything_judged_again(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, [secret_store(fingerprint=1)]))
    assert Resource.objects.get().recheck_at is None
    call_command("judgeagain")
    assert capsys.readouterr().out == "1 resources will be judged again.\n"
    assert Resource.objects.get().recheck_at is not None


def test_one_refresh_time_in_the_future_proves_no_work() -> None:
    cluster = make_cluster()
    seen = [external_secret(f"app-{number}", fingerprint=number) for number in range(4)]
    odd = external_secret("odd", fingerprint=8, at=NOW + timedelta(days=365))
    apply(cluster, complete(cluster, [*seen, odd, secret_store(fingerprint=9)]))
    later = NOW + timedelta(hours=2)
    apply(cluster, complete(cluster, [*seen, odd, secret_store(fingerprint=9)]), later)
    pipeline.recheck_due(later)
    assert [finding["rule"] for finding in ClusterState.objects.get().findings] == ["cluster-controller-stopped"]
