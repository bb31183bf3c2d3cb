"""Addresses of pages. 'add-cluster' is not below 'clusters/', because a cluster may be called 'add'."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from clusters.views import add_cluster
from monitoring import views
from monitoring.views.access import SignIn

urlpatterns = [
    path("", views.overview, name="overview"),
    path("causes/", views.causes, name="causes"),
    path("causes/<str:signature>/", views.cause, name="cause"),
    path("diff/", views.diff, name="diff"),
    path("drift/", views.drift, name="drift"),
    path("drift/<str:kind>/<path:full_name>/", views.drift_object, name="drift-object"),
    path("lints/", views.lints, name="lints"),
    path("resources/", views.resources, name="resources"),
    path("resources/<int:resource_id>/", views.resource, name="resource"),
    path("rotations/", views.rotations, name="rotations"),
    path("rotations/ages/", views.ages, name="rotation-ages"),
    path("waves/", views.waves, name="waves"),
    path("waves/<str:source>/<str:digest>/", views.wave, name="wave"),
    path("transitions/", views.transitions, name="transitions"),
    path("clusters/", views.clusters, name="clusters"),
    path("add-cluster/", add_cluster, name="add-cluster"),
    path("clusters/<str:name>/", views.cluster, name="cluster"),
    path("components/", views.components, name="components"),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
]
