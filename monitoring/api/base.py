"""What every endpoint does alike: JSON only, sign-in required, and errors that name the parameter.

A wrong or unknown parameter or field is 400 with `{"errors": {"<name>": ["..."]}}`; every other error is
`{"detail": "..."}`.
"""

from io import BytesIO
from typing import IO, Any, ClassVar

from django.utils.cache import add_never_cache_headers
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters import kubeconfig
from clusters.credentials import KeyMissing
from clusters.entries import InvalidField
from clusters.registration import AlreadyRegistered
from monitoring.api.authentication import StaffMayWrite, TokenAuthentication
from monitoring.filters import WrongParameter

MAX_BODY_BYTES = 2 * 1024 * 1024  # twice the largest kubeconfig, which JSON may have to escape


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB."


class Unavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE


class BoundedJSONParser(JSONParser):
    """JSON of a limited size; rest_framework reads a body to its end, however long and deep it is."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None


class ApiView(APIView):
    """Base of all endpoints. `takes_parameters` is for those that check their own query parameters."""

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (StaffMayWrite,)
    parser_classes = (BoundedJSONParser,)
    renderer_classes = (JSONRenderer,)
    takes_parameters: ClassVar[bool] = False

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Always JSON: a browser's Accept header or `?format=` must not change an answer into an error."""
        renderer = JSONRenderer()
        return renderer, renderer.media_type

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.takes_parameters:
            for name in request.query_params:
                raise WrongParameter(name[:40], "there is no such parameter here")

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Health is told for this moment and this account: nothing in between may keep it."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        add_never_cache_headers(answer)
        return answer

    def handle_exception(self, exc: Exception) -> Response:
        if errors := errors_of(exc):
            code = status.HTTP_409_CONFLICT if isinstance(exc, AlreadyRegistered) else status.HTTP_400_BAD_REQUEST
            return Response({"errors": errors}, status=code)
        if isinstance(exc, KeyMissing):
            exc = Unavailable(str(exc))
        return super().handle_exception(exc)


def errors_of(error: Exception) -> dict[str, list[str]] | None:
    """By parameter or field, what is wrong with it; None if `error` is about something else."""
    if isinstance(error, WrongParameter):
        allowed = f"; one of: {', '.join(error.allowed)}" if error.allowed else ""
        return {error.parameter: [f"{error.message}{allowed}"]}
    if isinstance(error, InvalidField):
        return {error.field: [str(error)]}
    if isinstance(error, kubeconfig.ParseError):
        return {"kubeconfig": [str(error)]}
    if isinstance(error, ParseError):
        return {"body": [str(error.detail)]}
    if isinstance(error, ValidationError):
        return _flattened(error.detail)
    return None


def _flattened(detail: Any) -> dict[str, list[str]]:
    """rest_framework nests errors like the data; what is inside a field is reported under the field."""
    if not isinstance(detail, dict):
        return {"body": _texts(detail)}
    return {str(name)[:40]: _texts(value) for name, value in detail.items()}


def _texts(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [text for value in detail.values() for text in _texts(value)]
    if isinstance(detail, list):
        return [text for value in detail for text in _texts(value)]
    return [str(detail)]


@extend_schema(exclude=True)
class NoSuchEndpoint(ApiView):
    """Whatever else is asked for below /api/: JSON, and nothing to learn without signing in."""

    takes_parameters = True

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such endpoint; /api/schema/ lists them.")
