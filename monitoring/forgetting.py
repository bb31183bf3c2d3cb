"""How a cluster leaves our books with everything known of it, in a time that a web request has."""

from django.db import connection, transaction

from clusters import registration
from clusters.models import Cluster
from monitoring import leases
from monitoring.models import (
    Ciphertext,
    ClusterState,
    Collection,
    Cursor,
    Event,
    Gap,
    HealthCount,
    HealthSample,
    KnownKey,
    Lease,
    MountedVersion,
    Recovery,
    Reference,
    Resource,
    Revision,
    Rotation,
    ServedCertificate,
    Transition,
)

# References point at resources, so they go first; the lease goes last, because holding it keeps collections out.
TABLES = (
    Reference,
    Resource,
    Event,
    Transition,
    Rotation,
    Revision,
    HealthSample,
    Recovery,
    Collection,
    HealthCount,
    Cursor,
    Gap,
    Ciphertext,
    MountedVersion,
    ServedCertificate,
    KnownKey,
    ClusterState,
    Lease,
)


def forget(cluster: Cluster) -> None:
    """Removes the cluster, its credential and all that was learnt of it. The number of SQL statements is constant.

    A collection that is just being recorded ends first; later ones find no lease. Django's cascade would load every
    resource and reference of the cluster; here it finds empty tables.
    """
    with transaction.atomic(), connection.cursor() as sql:
        leases.lock(cluster.pk)
        Cluster.objects.select_for_update().filter(pk=cluster.pk).first()
        for table in TABLES:
            sql.execute(f"DELETE FROM {table._meta.db_table} WHERE cluster_id = %s", [cluster.pk])  # noqa: S608
        registration.remove(cluster)
