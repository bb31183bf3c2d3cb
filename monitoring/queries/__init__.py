"""Every read that pages, API and charts need. Nothing here writes; `now` is always an argument.

The number of SQL statements of each function is constant: it depends neither on clusters nor on resources.

what there is to ask                                                      module
overdue_pairs coverage is_overdue reports silence                         knowledge   what we still know
family_totals health_totals cluster_rows                                  fleet       counts over all clusters
needs_someone causes cause cause_by_cluster                               causes      one line per cause
lints                                                                     lints       advice about specs
resources count_resources resource judged cluster_ids ids_of                     resources   lists and details
transitions collections timeline strips events refers_to referred_by
cluster_detail                                                            history     what happened
"""

from monitoring.queries.causes import Cause, cause, cause_by_cluster, causes, needs_someone, sharing
from monitoring.queries.fleet import (
    Cell,
    ClusterRow,
    FamilyRow,
    cluster_rows,
    family_totals,
    health_totals,
)
from monitoring.queries.history import (
    Change,
    ClusterDetail,
    KindRow,
    Link,
    Timeline,
    cluster_detail,
    collections,
    events,
    referred_by,
    refers_to,
    strips,
    timeline,
    transitions,
)
from monitoring.queries.knowledge import (
    Coverage,
    Overdue,
    Silent,
    Unread,
    Unreadable,
    coverage,
    is_overdue,
    overdue_pairs,
    reports,
    silence,
)
from monitoring.queries.lints import Lint, lints
from monitoring.queries.paging import Page
from monitoring.queries.resources import (
    Count,
    JudgedResource,
    Unseen,
    cluster_ids,
    count_resources,
    ids_of,
    judged,
    resource,
    resources,
)

__all__ = [
    "Cause",
    "Cell",
    "Change",
    "ClusterDetail",
    "ClusterRow",
    "Count",
    "Coverage",
    "FamilyRow",
    "JudgedResource",
    "KindRow",
    "Link",
    "Lint",
    "Overdue",
    "Page",
    "Silent",
    "Timeline",
    "Unread",
    "Unreadable",
    "Unseen",
    "cause",
    "cause_by_cluster",
    "causes",
    "cluster_detail",
    "cluster_ids",
    "cluster_rows",
    "collections",
    "count_resources",
    "coverage",
    "events",
    "family_totals",
    "health_totals",
    "ids_of",
    "is_overdue",
    "judged",
    "lints",
    "needs_someone",
    "overdue_pairs",
    "referred_by",
    "refers_to",
    "reports",
    "resource",
    "resources",
    "sharing",
    "silence",
    "strips",
    "timeline",
    "transitions",
]
