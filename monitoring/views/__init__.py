"""The pages. Each view reads the clock once, asks `queries` and renders; nothing is computed in templates."""

from monitoring.views.causes import cause, causes
from monitoring.views.clusters import cluster, clusters
from monitoring.views.components import components
from monitoring.views.lints import lints
from monitoring.views.overview import overview
from monitoring.views.resources import resource, resources
from monitoring.views.transitions import transitions

__all__ = [
    "cause",
    "causes",
    "cluster",
    "clusters",
    "components",
    "lints",
    "overview",
    "resource",
    "resources",
    "transitions",
]
