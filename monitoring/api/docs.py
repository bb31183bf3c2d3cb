"""The OpenAPI description and a page to read and try it, from files of this installation only."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated

from monitoring.api.authentication import TokenAuthentication


class Schema(SpectacularAPIView):
    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)


class Docs(SpectacularSwaggerSplitView):
    """Swagger UI. The script that starts it is a second request to the same address: no inline script is needed."""

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated,)
    url_name = "api-schema"
    template_name = "api/docs.html"
