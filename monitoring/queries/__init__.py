"""Every read that pages, API and charts need. Nothing here writes; `now` is always an argument.

The number of SQL statements of each function is constant: it depends neither on clusters nor on resources.

what there is to ask                                                      module
overdue_pairs coverage is_overdue reports reads_secrets silence           knowledge   what we still know
family_totals health_totals cluster_rows                                  fleet       counts over all clusters
needs_someone causes cause cause_by_cluster                               causes      one line per cause
lints                                                                     lints       advice about specs
drift drift_of drift_columns                                              drift       one object in several clusters
suspects                                                                  suspects    what changed before it failed
resources count_resources resource judged cluster_ids ids_of                     resources   lists and details
transitions collections events refers_to referred_by cluster_detail       history     what happened
ledger export calendar rotations_of                                       ledger      rotations and renewals
reached                                                                   rotations   how far they got among mounts
ages_of histogram export                                                  ages        how old values are
key_row key_rows keys_of                                                  waves       one key in several clusters
timeline strips                                                           timelines   the past as it is drawn
trend recovery                                                            trends      counts over time
"""

from monitoring.queries.causes import Cause, cause, cause_by_cluster, causes, needs_someone, sharing
from monitoring.queries.drift import Comparison, drift, drift_columns, drift_of
from monitoring.queries.drift_rows import DriftCell, DriftRow
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
    cluster_detail,
    collections,
    events,
    referred_by,
    refers_to,
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
    reads_secrets,
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
from monitoring.queries.suspects import Suspect, suspects
from monitoring.queries.timelines import Timeline, strips, timeline
from monitoring.queries.trends import Recovered, Trend, recovery, trend

__all__ = [
    "Cause",
    "Cell",
    "Change",
    "ClusterDetail",
    "ClusterRow",
    "Comparison",
    "Count",
    "Coverage",
    "DriftCell",
    "DriftRow",
    "FamilyRow",
    "JudgedResource",
    "KindRow",
    "Link",
    "Lint",
    "Overdue",
    "Page",
    "Recovered",
    "Silent",
    "Suspect",
    "Timeline",
    "Trend",
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
    "drift",
    "drift_columns",
    "drift_of",
    "events",
    "family_totals",
    "health_totals",
    "ids_of",
    "is_overdue",
    "judged",
    "lints",
    "needs_someone",
    "overdue_pairs",
    "reads_secrets",
    "recovery",
    "referred_by",
    "refers_to",
    "reports",
    "resource",
    "resources",
    "sharing",
    "silence",
    "strips",
    "suspects",
    "timeline",
    "transitions",
    "trend",
]
