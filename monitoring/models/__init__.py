"""What machines write: what we know of each cluster, how we know it, and what changed.

Writers: `recorder` writes Resource, Reference, Event, Transition, HealthCount, Cursor and Gap; `ledger` writes
Rotation; `suspects` writes Revision (`recorder` those of served versions); `sampling` writes HealthSample and
Recovery; `memory` writes Ciphertext, MountedVersion, ServedCertificate and KnownKey; `outcomes` writes Collection and
ClusterState, with the transitions of the latter; `leases` writes Lease (the API makes one due at once). Everything else
reads, through `queries`.
"""

from monitoring.models.estate import PastResource
from monitoring.models.history import HealthSample, Recovery, Revision, Rotation, Transition
from monitoring.models.knowledge import HEALTH_CHOICES, ClusterState, Collection, Cursor, Gap, Lease
from monitoring.models.memory import Ciphertext, KnownKey, MountedVersion, ServedCertificate
from monitoring.models.resources import Event, HealthCount, Reference, Resource

__all__ = [
    "HEALTH_CHOICES",
    "Ciphertext",
    "ClusterState",
    "Collection",
    "Cursor",
    "Event",
    "Gap",
    "HealthCount",
    "HealthSample",
    "KnownKey",
    "Lease",
    "MountedVersion",
    "PastResource",
    "Recovery",
    "Reference",
    "Resource",
    "Revision",
    "Rotation",
    "ServedCertificate",
    "Transition",
]
