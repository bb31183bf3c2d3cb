"""Who is asking: a token, or somebody who is signed in to the pages."""

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from knox import auth
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from monitoring.api.models import ApiToken


class TokenAuthentication(auth.TokenAuthentication):
    """knox, with tokens that are no tokens refused: bytes outside ASCII would end as an error 500 there."""

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, ApiToken]:
        if not token.isalnum() or not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        found: tuple[AbstractBaseUser, ApiToken] = super().authenticate_credentials(token)
        return found


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes it."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token` and a blank before the token that `manage.py createtoken` printed.",
        }


class StaffMayWrite(BasePermission):
    """Everyone who is signed in may read; changing anything takes a staff account."""

    message = "This takes a staff account."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user and request.user.is_authenticated) and (
            request.method in SAFE_METHODS or request.user.is_staff
        )
