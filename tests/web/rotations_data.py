"""Rotations in the ledger, for tests of its pages, its file and its API."""

from datetime import datetime
from typing import Any

from clusters.models import Cluster
from monitoring.health import Health
from monitoring.models import Rotation
from tests.web import factories as make
from tests.web.factories import DAY, HOUR, NOW, SECOND


def rotation(of: Cluster, full_name: str = "payments/db", at: datetime = NOW, **fields: Any) -> Rotation:
    namespace, _, name = full_name.rpartition("/")
    values = {"kind": "ExternalSecret", "confidence": 3, "source": "target", "before": "3f9c21ab", "after": "77aa0102"}
    return Rotation.objects.create(
        cluster=of, namespace=namespace, name=name, at=at, seen_at=at + 20 * SECOND, **{**values, **fields}
    )


def every_kind(now: datetime = NOW) -> dict[str, Cluster]:
    """A row of each source, the newest first by this order, in two clusters."""
    clusters = {name: make.cluster(name, now) for name in ("eu", "us")}
    make.transition(make.resource(clusters["eu"], "payments/db", now=now), Health.HEALTHY, now - 100 * DAY)
    rotation(clusters["eu"], at=now - HOUR)
    event = {"confidence": 2, "source": "updated", "before": "", "after": ""}
    rotation(clusters["us"], "billing/api", now - 2 * HOUR, **event)
    mount = {"kind": "SecretProviderClass", "source": "mount", "object": "secret/db", "before": "v1", "after": "v2"}
    rotation(clusters["us"], "billing/vault", now - 3 * DAY, **mount)
    rotation(clusters["eu"], "shop/sealed", now - 9 * DAY, kind="SealedSecret", confidence=1, source="resealed")
    renewal = {"kind": "SealingKey", "source": "renewed", "before": "", "after": "9f00aa11"}
    rotation(clusters["eu"], "kube-system/", now - 20 * DAY, **renewal)
    return clusters
