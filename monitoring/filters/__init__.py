"""What may be asked for in an address: the same parameters, words and errors on pages and in the API.

Each `parse_*` takes the query of a request (anything with `getlist` and iteration over names, such as a QueryDict)
and gives an immutable value that `monitoring.queries` understands. It raises `WrongParameter`, which names the
parameter, for an unknown parameter, a value that is not allowed or a text that no name can have. Parameters that say
`many` may be repeated or hold a comma list: `?health=stale,failing` equals `?health=stale&health=failing`.
"""

from monitoring.filters.drift import (
    AGREEMENT_PARAMETERS,
    DRIFT_CHOICES,
    DRIFT_PARAMETERS,
    DriftFilters,
    parse_agreement,
    parse_drift,
)
from monitoring.filters.lists import (
    CAUSE_PARAMETERS,
    CLUSTER_PARAMETERS,
    COLLECTION_PARAMETERS,
    LINT_PARAMETERS,
    RESOURCE_PARAMETERS,
    TRANSITION_PARAMETERS,
    CauseFilters,
    CollectionFilters,
    ResourceFilters,
    TransitionFilters,
    parse_causes,
    parse_clusters,
    parse_collections,
    parse_resources,
    parse_transitions,
)
from monitoring.filters.moments import DIFF_PARAMETERS, DiffFilters, parse_at, parse_diff
from monitoring.filters.parameters import (
    AT,
    HEALTH_CODES,
    MAX_ID,
    NOT_HEALTHY,
    SIGNATURE_FORM,
    Parameter,
    WrongParameter,
    healths,
    parse_limit,
    refuse_unknown,
)
from monitoring.filters.trends import (
    TREND_PARAMETERS,
    TREND_WINDOWS,
    parse_trend,
    parse_trend_window,
)

__all__ = [
    "AGREEMENT_PARAMETERS",
    "AT",
    "CAUSE_PARAMETERS",
    "CLUSTER_PARAMETERS",
    "COLLECTION_PARAMETERS",
    "DIFF_PARAMETERS",
    "DRIFT_CHOICES",
    "DRIFT_PARAMETERS",
    "HEALTH_CODES",
    "LINT_PARAMETERS",
    "MAX_ID",
    "NOT_HEALTHY",
    "RESOURCE_PARAMETERS",
    "SIGNATURE_FORM",
    "TRANSITION_PARAMETERS",
    "TREND_PARAMETERS",
    "TREND_WINDOWS",
    "CauseFilters",
    "CollectionFilters",
    "DiffFilters",
    "DriftFilters",
    "Parameter",
    "ResourceFilters",
    "TransitionFilters",
    "WrongParameter",
    "healths",
    "parse_agreement",
    "parse_at",
    "parse_causes",
    "parse_clusters",
    "parse_collections",
    "parse_diff",
    "parse_drift",
    "parse_limit",
    "parse_resources",
    "parse_transitions",
    "parse_trend",
    "parse_trend_window",
    "refuse_unknown",
]
