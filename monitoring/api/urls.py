"""Everything below /api/."""

from django.urls import path, re_path

from monitoring.api import cluster_views, diff_views, docs, drift_views, rotation_views, trend_views, views
from monitoring.api.base import NoSuchEndpoint

urlpatterns = [
    path("schema/", docs.Schema.as_view(), name="api-schema"),
    path("docs/", docs.Docs.as_view(), name="api-docs"),
    path("v1/clusters/", cluster_views.ClusterList.as_view(), name="api-clusters"),
    path("v1/clusters/<str:name>/", cluster_views.ClusterView.as_view(), name="api-cluster"),
    path("v1/clusters/<str:name>/collect/", cluster_views.ClusterCollect.as_view(), name="api-collect"),
    path("v1/causes/", views.CauseList.as_view(), name="api-causes"),
    path("v1/causes/<str:signature>/", views.CauseDetail.as_view(), name="api-cause"),
    path("v1/diff/", diff_views.DifferenceList.as_view(), name="api-diff"),
    path("v1/drift/", drift_views.DriftList.as_view(), name="api-drift"),
    path("v1/lints/", views.LintList.as_view(), name="api-lints"),
    path("v1/resources/", views.ResourceList.as_view(), name="api-resources"),
    path("v1/resources/<int:resource_id>/", views.ResourceDetail.as_view(), name="api-resource"),
    path("v1/rotations/", rotation_views.RotationList.as_view(), name="api-rotations"),
    path("v1/rotations/ages/", rotation_views.AgeList.as_view(), name="api-rotation-ages"),
    path("v1/waves/", rotation_views.WaveList.as_view(), name="api-waves"),
    path("v1/waves/<str:source>/<str:digest>/", rotation_views.WaveDetail.as_view(), name="api-wave"),
    path("v1/transitions/", views.TransitionList.as_view(), name="api-transitions"),
    path("v1/trend/", trend_views.TrendView.as_view(), name="api-trend"),
    path("v1/collections/", views.CollectionList.as_view(), name="api-collections"),
    # With a slash at its end, so that Django still sends /api/v1/clusters on to /api/v1/clusters/.
    re_path(r"^(?P<path>(?:.*/)?)$", NoSuchEndpoint.as_view()),
]
