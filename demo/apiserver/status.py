"""Errors as kube-apiserver 1.36 words them: a `Status` object with code and reason."""

from typing import Any

from demo.apiserver.kinds import Kind

Body = dict[str, Any]


class Refusal(Exception):
    """A request that is answered with a Status object."""

    def __init__(
        self, code: int, reason: str, message: str, details: Body | None = None, retry_after: int | None = None
    ):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details
        self.retry_after = retry_after

    def body(self) -> Body:
        answer: Body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(self)}
        if self.reason:
            answer["reason"] = self.reason
        if self.details is not None:
            answer["details"] = self.details
        answer["code"] = self.code
        return answer


class NoSuchPath(Exception):
    """A path nobody serves: kube-apiserver answers plain text, not a Status."""


def no_such_resource() -> Refusal:
    """An unknown resource in a built-in group; in the group of a custom resource it is NoSuchPath."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def _details(kind: Kind, name: str) -> Body:
    details: Body = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    return details | {"kind": kind.plural}


def not_found(kind: Kind, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def already_exists(kind: Kind, name: str) -> Refusal:
    return Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str) -> Refusal:
    return Refusal(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been '
        "modified; please apply your changes to the latest version and try again",
        _details(kind, name),
    )


def invalid(kind: Kind, name: str, field: str, message: str) -> Refusal:
    text = f'{kind.resource} "{name}" is invalid: {field}: {message}'
    details = {
        "name": name,
        "group": kind.group,
        "kind": kind.plural,
        "causes": [{"reason": "FieldValueInvalid", "message": message, "field": field}],
    }
    return Refusal(422, "Invalid", text, details)


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def unauthorized() -> Refusal:
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, resource: str, group: str, namespace: str, name: str) -> Refusal:
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    qualified = f"{resource.split('/')[0]}.{group}" if group else resource.split("/")[0]
    subject = f'{qualified} "{name}"' if name else qualified
    message = (
        f'{subject} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {scope}'
    )
    details: Body = {"name": name} if name else {}
    if group:
        details["group"] = group
    return Refusal(403, "Forbidden", message, details | {"kind": resource.split("/")[0]})


def forbidden_path(user: str, verb: str, path: str) -> Refusal:
    return Refusal(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


def expired(message: str) -> Refusal:
    return Refusal(410, "Expired", message)


def too_old(asked: int, oldest: int) -> Refusal:
    return expired(f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, current: int) -> Refusal:
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return Refusal(504, "Timeout", message, details, retry_after=1)


def not_acceptable(message: str) -> Refusal:
    return Refusal(406, "NotAcceptable", message)


def too_many_requests(retry_after: int) -> Refusal:
    return Refusal(
        429,
        "TooManyRequests",
        "too many requests, please try again later",
        {"retryAfterSeconds": retry_after},
        retry_after=retry_after,
    )


def unsupported_media_type(given: str, accepted: str) -> Refusal:
    return Refusal(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        if given
        else "the body of the request was in an unknown format",
    )
