"""Simulated Kubernetes API servers: many clusters, one process, one loop."""

from demo.apiserver.faults import Fault, Faults
from demo.apiserver.fleet import Cluster, Fleet, running
from demo.apiserver.kinds import FAMILIES, Kind

__all__ = ["FAMILIES", "Cluster", "Fault", "Faults", "Fleet", "Kind", "running"]
