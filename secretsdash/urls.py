"""Every address of the site: probes here, everything else in the apps."""

from django.urls import include, path

from secretsdash import probes

urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("api/", include("monitoring.api.urls")),
    path("", include("monitoring.urls")),
]
