"""The pages. Each view reads the clock once, asks `queries` and renders; nothing is computed in templates."""

from monitoring.views.ages import ages
from monitoring.views.causes import cause, causes
from monitoring.views.clusters import cluster, clusters
from monitoring.views.components import components
from monitoring.views.diff import diff
from monitoring.views.drift import drift, drift_object
from monitoring.views.lints import lints
from monitoring.views.overview import overview
from monitoring.views.resources import resource, resources
from monitoring.views.rotations import rotations
from monitoring.views.transitions import transitions
from monitoring.views.waves import wave, waves

__all__ = [
    "ages",
    "cause",
    "causes",
    "cluster",
    "clusters",
    "components",
    "diff",
    "drift",
    "drift_object",
    "lints",
    "overview",
    "resource",
    "resources",
    "rotations",
    "transitions",
    "wave",
    "waves",
]
