"""Objects that are in several clusters, for tests of drift."""

from datetime import datetime
from typing import Any

from clusters.facts import RefreshedFacts, RemoteKey, ResourceKey, facts_to_json
from clusters.models import Cluster
from monitoring import queries
from monitoring.filters import DriftFilters
from monitoring.health import Health
from monitoring.models import Resource
from tests.web import factories as make
from tests.web.factories import MINUTE, NOW

ALL = DriftFilters(only="all")
STORE = ResourceKey("ClusterSecretStore", "", "vault")


def facts(**changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "ready": True,
        "interval": "1h",
        "store": "ClusterSecretStore vault",
        "stores": (STORE,),
        "target": "db",
        "keys": (RemoteKey(store=STORE, key="apps/db", property="password", secret_key="password"),),
    }
    return facts_to_json(RefreshedFacts(**{**values, **changed}))


def cluster(name: str, now: datetime = NOW, *, t2: bool = True, **fields: Any) -> Cluster:
    made = make.cluster(name, now, **fields)
    if t2:
        make.cursor(made, "Secret", now, read_at=now - MINUTE, outcome="complete")
    return made


def secret(
    of: Cluster, value: str = "", now: datetime = NOW, full_name: str = "payments/db", **changed: Any
) -> Resource:
    """An ExternalSecret and, with `value`, its target, whose tag that is."""
    health = changed.pop("health", Health.HEALTHY)
    if value:
        tag = {"data_tag": f"sha3.k.{value}"}
        make.resource(of, full_name, now=now, kind="Secret", counted=False, facts=tag)
    target = full_name.rpartition("/")[2]
    return make.resource(of, full_name, health, now, counted=False, facts=facts(**{"target": target, **changed}))


def drift(filters: DriftFilters, now: datetime, *args: Any, **kwargs: Any) -> queries.Comparison:
    make.compared()
    return queries.drift(filters, now, *args, **kwargs)


def one(filters: DriftFilters = ALL) -> queries.DriftRow:
    (row,) = drift(filters, NOW).rows
    return row


def many(number: int, clusters: int = 2) -> None:
    made = [cluster(f"c{place}") for place in range(clusters)]
    for name in range(number):
        for place, of in enumerate(made):
            secret(
                of,
                f"v{name % 3 and place}",
                full_name=f"ns-{name % 4}/s{name:03}",
                interval="1h" if name % 5 else f"{place}h",
            )
