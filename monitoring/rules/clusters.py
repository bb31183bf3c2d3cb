"""Rules about a cluster as a whole: findings that belong to no single resource."""

from monitoring.rules.base import ClusterContext
from monitoring.rules.csi_driver import judge_driver
from monitoring.rules.judgement import Judgement
from monitoring.rules.operators import judge_operators
from monitoring.rules.sealing_keys import judge_sealing


def judge_cluster(judgement: Judgement, context: ClusterContext) -> None:
    """Its operators, its sealing keys, its CSI driver."""
    judge_operators(judgement, context)
    judge_sealing(judgement, context)
    judge_driver(judgement, context)
