"""Register an API server and collect from it as a worker does, for tests of the whole way."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from django.conf import settings

from clusters.credentials import Payload, seal
from clusters.models import Cluster, Credential
from monitoring import leases, pipeline
from monitoring.models import Collection


def register(name: str, *, url: str, ca_pem: str, token: str, now: datetime | None = None) -> Cluster:
    now = now or datetime.now(UTC)
    cluster = Cluster.objects.create(name=name, api_url=url, ca_pem=ca_pem, created_at=now, updated_at=now)
    sealed = seal(Payload(api_url=url, token=token), settings.CREDENTIAL_PUBLIC_KEY)
    Credential.objects.create(cluster=cluster, sealed=sealed, updated_at=now)
    return cluster


def collect(*clusters: Cluster, now: datetime | None = None) -> list[Collection]:
    """Claim and read these clusters together; return their collections in this order."""
    now, holder = now or datetime.now(UTC), uuid4()
    ids = [cluster.pk for cluster in clusters]
    assert sorted(leases.claim(ids, now, holder, hold=timedelta(minutes=5))) == sorted(ids)
    pipeline.collect(ids, holder, now)
    return [Collection.objects.filter(cluster=cluster).latest("id") for cluster in clusters]
