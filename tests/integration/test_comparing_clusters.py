"""What one cluster's news says about another: newer versions, ciphertexts opened elsewhere, shared certificates."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from clusters.facts import (
    ClassFacts,
    ResourceKey,
    SealedItem,
    SealedSecretFacts,
    SealingCertificateFacts,
    WorkloadFacts,
)
from clusters.models import Cluster
from clusters.observations import Observation
from monitoring import known, memory, pipeline
from monitoring.health import Health
from monitoring.models import Ciphertext, ClusterState, MountedVersion, Resource
from tests.integration.snapshots import NOW, apply, complete, make_cluster, mount

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def observed(key: ResourceKey, facts: Any, fingerprint: int, created_at: datetime = NOW - DAY) -> Observation:
    return Observation(key=key, uid=f"uid-{key}", fingerprint=fingerprint, created_at=created_at, facts=facts)


def provider_class(source: str) -> Observation:
    return observed(
        ResourceKey("SecretProviderClass", "search", "api"), ClassFacts(provider="azure", source=source), 70
    )


def driver() -> Observation:
    facts = WorkloadFacts(
        role="csi-driver", desired=1, ready=1, version="v1.5.0", options={"enable-secret-rotation": "true"}
    )
    return observed(ResourceKey("DaemonSet", "kube-system", "driver"), facts, 71)


def mounted(
    cluster: Cluster, version: str, written_at: datetime, now: datetime, fingerprint: int, source: str = "s"
) -> None:
    seen = mount("pod", version, fingerprint=fingerprint, written_at=written_at, generation=2)
    apply(cluster, complete(cluster, [provider_class(source), driver(), seen]), now)


def health(cluster: Cluster) -> Health:
    return Health(Resource.objects.get(cluster=cluster, kind="SecretProviderClassPodStatus").health)


def test_a_version_that_another_cluster_mounted_later_makes_this_one_outdated() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    mounted(here, "v1", NOW - DAY, NOW, 1)
    mounted(there, "v1", NOW - DAY, NOW, 1)
    assert pipeline.compare_clusters(NOW) == 0
    mounted(there, "v2", NOW, NOW, 2)
    pipeline.compare_clusters(NOW + MINUTE)
    assert health(here) == Health.HEALTHY, "the grace is not over"
    mounted(here, "v1", NOW - DAY, NOW + 10 * MINUTE, 1)
    pipeline.recheck_due(NOW + 10 * MINUTE)
    assert health(here) == Health.STALE
    (finding,) = Resource.objects.get(cluster=here, kind="SecretProviderClassPodStatus").findings
    assert "prod-us" in finding["summary"]
    mounted(here, "v2", NOW + 11 * MINUTE, NOW + 11 * MINUTE, 3)
    assert health(here) == Health.HEALTHY


def test_classes_without_a_common_source_are_not_compared() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    mounted(here, "v1", NOW - DAY, NOW, 1, source="")
    mounted(there, "v2", NOW, NOW, 2, source="")
    assert MountedVersion.objects.count() == 2
    pipeline.compare_clusters(NOW + 10 * MINUTE)
    assert health(here) == Health.HEALTHY


def sealed(*, synced: bool, fingerprint: int, digest: str = "d1") -> Observation:
    facts = SealedSecretFacts(
        generation=1,
        observed_generation=1,
        ready=synced,
        message="" if synced else "no key could decrypt secret (a)",
        condition_since=NOW,
        updated_at=NOW,
        sealed=(SealedItem(name="a", digest=digest),),
        target="db",
    )
    return observed(ResourceKey("SealedSecret", "shop", "db"), facts, fingerprint)


def rules_of(cluster: Cluster) -> list[str]:
    return [finding["rule"] for finding in Resource.objects.get(cluster=cluster).findings]


def test_a_ciphertext_that_another_cluster_opens_was_sealed_for_it() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    apply(here, complete(here, [sealed(synced=False, fingerprint=1)]))
    assert rules_of(here) == ["ss-not-synced"]
    apply(there, complete(there, [sealed(synced=True, fingerprint=1)]))
    pipeline.compare_clusters(NOW + MINUTE)
    assert rules_of(here) == ["ss-sealed-for-other", "ss-not-synced"]
    assert rules_of(there) == []


def test_ciphertexts_are_remembered_from_when_they_were_first_seen() -> None:
    cluster = make_cluster()
    apply(cluster, complete(cluster, [sealed(synced=True, fingerprint=1)]))
    apply(cluster, complete(cluster, [sealed(synced=True, fingerprint=2, digest="d2")]), NOW + MINUTE)
    apply(cluster, complete(cluster, [sealed(synced=True, fingerprint=3, digest="d1")]), NOW + 2 * MINUTE)
    assert dict(Ciphertext.objects.values_list("digest", "first_seen_at")) == {"d1": NOW, "d2": NOW + MINUTE}
    assert memory.first_sealed(["d1", "d3"]) == {"d1": NOW}


def serving(cluster: Cluster, digest: str, now: datetime, fingerprint: int) -> None:
    facts = SealingCertificateFacts(not_before=NOW - DAY, not_after=NOW + 3650 * DAY, sha256=digest)
    seen = observed(ResourceKey("SealingCertificate", "kube-system", "sealed-secrets"), facts, fingerprint)
    apply(cluster, complete(cluster, [seen]), now)


def test_a_shared_certificate_is_told_in_both_clusters_and_no_longer_than_it_is_shared() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")

    def told() -> list[list[str]]:
        states = ClusterState.objects.order_by("cluster__name")
        return [[finding["rule"] for finding in state.findings] for state in states]

    serving(here, "aa", NOW, 1)
    serving(there, "aa", NOW, 1)
    pipeline.compare_clusters(NOW + MINUTE)
    assert told() == [["cluster-certificate-shared"], ["cluster-certificate-shared"]]
    serving(there, "bb", NOW + MINUTE, 2)
    pipeline.compare_clusters(NOW + 2 * MINUTE)
    assert told() == [[], []]
    assert [seen.sha256 for seen in memory.certificates(there.pk)] == ["bb", "aa"]


def test_a_cluster_that_does_not_answer_is_left_alone() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    apply(here, complete(here, [sealed(synced=False, fingerprint=1)]))
    apply(there, complete(there, [sealed(synced=True, fingerprint=1)]), NOW + DAY)
    pipeline.compare_clusters(NOW + DAY)
    assert rules_of(here) == ["ss-not-synced"]


def test_the_number_of_statements_does_not_grow(django_assert_max_num_queries: Any) -> None:
    cluster = make_cluster()
    seen = [sealed(synced=False, fingerprint=1)]
    more = [
        msgspec.structs.replace(seen[0], key=ResourceKey("SealedSecret", "shop", f"db-{n}"), fingerprint=n)
        for n in range(2, 60)
    ]
    apply(cluster, complete(cluster, [*seen, *more]))
    with django_assert_max_num_queries(40):
        apply(cluster, complete(cluster, [*seen, *more, sealed(synced=True, fingerprint=99)][1:]), NOW + MINUTE)


def test_the_clock_of_a_cluster_is_no_news() -> None:
    """Its clock runs an hour ahead: what it mounted long ago seems newer than what the other one mounts now."""
    ahead, here = make_cluster("ahead"), make_cluster("prod-eu")
    hour = timedelta(hours=1)
    seen = mount("pod", "v1", fingerprint=1, written_at=NOW - MINUTE + hour, generation=2)
    snapshot = complete(ahead, [provider_class("s"), driver(), seen])
    apply(ahead, msgspec.structs.replace(snapshot, server_time=NOW + hour), NOW)
    mounted(here, "v2", NOW, NOW, 1)
    assert MountedVersion.objects.get().version == "v2"
    pipeline.compare_clusters(NOW + MINUTE)
    assert health(here) == Health.HEALTHY


def test_a_change_in_the_future_hides_nothing() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    mounted(there, "v9", NOW + 3650 * DAY, NOW, 1)
    assert not MountedVersion.objects.exists()
    mounted(here, "v1", NOW - DAY, NOW, 1)
    assert health(here) == Health.HEALTHY


def test_what_was_sealed_anew_elsewhere_proves_nothing_any_more() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    apply(there, complete(there, [sealed(synced=True, fingerprint=1)]))
    apply(here, complete(here, [sealed(synced=False, fingerprint=1)]))
    assert rules_of(here) == ["ss-sealed-for-other", "ss-not-synced"]
    apply(there, complete(there, [sealed(synced=True, fingerprint=2, digest="d2")]), NOW + MINUTE)
    pipeline.compare_clusters(NOW + MINUTE)
    assert rules_of(here) == ["ss-not-synced"]


def test_what_news_cannot_change_is_not_looked_at_again() -> None:
    here, there = make_cluster("prod-eu"), make_cluster("prod-us")
    mounted(here, "v1", NOW - DAY, NOW, 1)
    mounted(there, "v2", NOW - MINUTE, NOW, 2)
    pipeline.compare_clusters(NOW)
    assert known.clusters_concerned() == [], "within its grace the clock judges it again"
    pipeline.recheck_due(NOW + 10 * MINUTE)
    mounted(here, "v1", NOW - DAY, NOW + 10 * MINUTE, 1)
    pipeline.recheck_due(NOW + 10 * MINUTE)
    assert health(here) == Health.STALE
    assert known.clusters_concerned() == []
