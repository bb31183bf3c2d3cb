"""What a cluster's Deployments and DaemonSets tell the rules of each family."""

from typing import Final

from clusters.facts import WorkloadFacts
from monitoring.rules.base import ClusterContext, Workload

EXTERNAL_SECRETS: Final = "external-secrets"
SEALED_SECRETS: Final = "sealed-secrets"
CSI_DRIVER: Final = "csi-driver"
CSI_PROVIDER: Final = "csi-provider"


def workloads(cluster: ClusterContext, kind: str, role: str) -> list[tuple[Workload, WorkloadFacts]]:
    """The Deployments or DaemonSets of one role that are known; none known does not mean that none is there."""
    return [
        (workload, workload.facts)
        for workload in cluster.supporting.get(kind, ())
        if isinstance(workload.facts, WorkloadFacts) and workload.facts.role == role
    ]


def controllers(cluster: ClusterContext, role: str) -> list[WorkloadFacts]:
    """The Deployments of an operator."""
    return [facts for _, facts in workloads(cluster, "Deployment", role)]


def look_at_controller(cluster: ClusterContext, role: str) -> str:
    """A command that shows whether an operator runs."""
    for workload, _ in workloads(cluster, "Deployment", role):
        return f"kubectl -n {workload.key.namespace} get deployment {workload.key.name}"
    return f"kubectl get deployments --all-namespaces | grep {role}"


def served_class(cluster: ClusterContext) -> str:
    """The controller class of External Secrets that is served here ("default" unless its flag says otherwise)."""
    for facts in controllers(cluster, EXTERNAL_SECRETS):
        return facts.options.get("controller-class") or "default"
    return "default"
