"""What a stored credential may do, asked of the cluster's own authorizers one right at a time.

SelfSubjectAccessReview is exact with every authorizer; SelfSubjectRulesReview would be one request, but is allowed to
be incomplete, and says so for webhook authorizers as the large clouds have them.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import urllib3
from kubernetes import client

from clusters import dial
from clusters.observations import Target

TIMEOUT_SECONDS = (5, 15)  # connect, read


class Right(NamedTuple):
    """One verb on all objects of one resource, in all namespaces. `group` "" is the core group."""

    verb: str
    group: str
    resource: str
    subresource: str = ""


class AccessUnknown(Exception):
    """The API server could not be asked. The message names no credential."""


def allowed(target: Target, rights: Iterable[Right], allowed_networks: dial.Allowed = ()) -> Mapping[Right, bool]:
    """For each right, whether the credential of `target` has it. Raises AccessUnknown."""
    try:
        with _client(target, allowed_networks) as api:
            return {right: _review(client.AuthorizationV1Api(api), right) for right in rights}
    except client.ApiException as error:
        raise AccessUnknown(f"The API server answered {error.status}.") from None
    except (dial.DialRefused, OSError, urllib3.exceptions.HTTPError) as error:
        raise AccessUnknown(f"The API server could not be asked ({type(error).__name__}).") from None


def _review(api: client.AuthorizationV1Api, right: Right) -> bool:
    attributes = client.V1ResourceAttributes(
        verb=right.verb, group=right.group, resource=right.resource, subresource=right.subresource or None
    )
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    answer = api.create_self_subject_access_review(
        client.V1SelfSubjectAccessReview(spec=spec), _request_timeout=TIMEOUT_SECONDS
    )
    return answer.status is not None and bool(answer.status.allowed)


@contextmanager
def _client(target: Target, allowed_networks: dial.Allowed) -> Iterator[client.ApiClient]:
    """The official client, configured by us alone: no kubeconfig, no environment, no redirects, one resolution."""
    host, port = dial.host_and_port(target.api_url)
    address = dial.check(target.api_url, allowed_networks)
    shown = f"[{address}]" if ip_address(address).version == 6 else address
    path = target.api_url.partition("://")[2].partition("/")[2]
    with tempfile.TemporaryDirectory() as folder:
        configuration = client.Configuration(
            host=f"https://{shown}:{port}/{path}".rstrip("/"),
            ca_cert_data=target.ca_pem or None,
            tls_server_name=None if host == address else host,
            proxy="",
            retries=False,
        )
        if target.token:
            configuration.api_key = {"authorization": f"Bearer {target.token}"}
        if target.client_certificate:
            configuration.cert_file = _written(folder, "certificate", target.client_certificate)
            configuration.key_file = _written(folder, "key", target.client_key)
        with client.ApiClient(configuration) as api:
            if not _is_ip(host):
                api.set_default_header("Host", host if port == 443 else f"{host}:{port}")
            yield api


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _written(folder: str, name: str, pem: str) -> str:
    """The client takes certificates as files only; the folder is ours alone and gone when the client is closed."""
    path = Path(folder) / name
    path.touch(mode=0o600)
    path.write_text(pem)
    return str(path)
