"""A cluster that somebody wants to register: the checks of each field, wherever it came from.

Every value that leaves this module is normalised; no message repeats one but a namespace's name. Nothing is resolved,
opened or asked:
where an address may lead to is decided by clusters.dial.
"""

import re
import warnings
from collections.abc import Iterable
from ipaddress import IPv6Address
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

MAX_URL, MAX_TOKEN, MAX_PEM = 500, 16 * 1024, 256 * 1024
# Each costs two requests at every collection; who has more lists Secrets in the whole cluster.
MAX_NAMESPACES = 100

NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?", re.ASCII)
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", re.ASCII)
PRINTABLE = re.compile(r"[\x21-\x7e]+")


class InvalidField(Exception):
    """One part of what describes a cluster is not acceptable: `field` names it, the message says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class ClusterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster as it may be registered: every field is checked and normalised.

    The credential is either `token` or `client_certificate` with `client_key`. `ca_pem` "" means the system's trust
    store. `context` is where it came from, "" if not from a kubeconfig.
    """

    name: str
    api_url: str
    ca_pem: str = ""
    token: str = ""
    client_certificate: str = ""
    client_key: str = ""
    context: str = ""

    def __repr__(self) -> str:
        return f"ClusterEntry({self.name!r}, {self.api_url!r})"


def entry_from_fields(
    *,
    name: str,
    api_url: str,
    ca_pem: str = "",
    token: str = "",
    client_certificate: str = "",
    client_key: str = "",
    context: str = "",
) -> ClusterEntry:
    """A checked entry. Raises InvalidField, naming the parameter, for the first thing that is wrong."""
    if (token == "") == (client_certificate == ""):
        raise InvalidField("token", "needs a token or a client certificate with its key, one of the two")
    if client_certificate:
        client_certificate, client_key = check_client_certificate(client_certificate, client_key)
    elif client_key:
        raise InvalidField("client_key", "comes without a client certificate")
    return ClusterEntry(
        name=check_name(name),
        api_url=check_url(api_url),
        ca_pem=check_ca(ca_pem),
        token=check_token(token) if token else "",
        client_certificate=client_certificate,
        client_key=client_key,
        context=context,
    )


def check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidField(
            "name", "must be 1 to 63 letters, digits, dots, dashes or underscores, a letter or digit at both ends"
        )
    return name


def check_url(url: str) -> str:
    """The address of an API server as https://host[:port][/prefix], without a slash at its end."""
    if len(url) > MAX_URL or not PRINTABLE.fullmatch(url):
        raise InvalidField("api_url", f"must be at most {MAX_URL} printable characters without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidField("api_url", "is not a valid URL") from None
    if port == 0:
        raise InvalidField("api_url", "has no valid port")
    if parts.scheme != "https":
        raise InvalidField("api_url", "must begin with https://")
    if "@" in parts.netloc:
        raise InvalidField("api_url", "must not hold a user name or password")
    if "?" in url or "#" in url:
        raise InvalidField("api_url", "must not have a query or fragment")
    host = _check_host(parts.hostname or "")
    path = parts.path.rstrip("/")
    if not PATH.fullmatch(path):
        raise InvalidField("api_url", "has a path with characters that are not supported")
    return f"https://{host}{f':{port}' if port not in (None, 443) else ''}{path}"


def _check_host(host: str) -> str:
    if HOST.fullmatch(host) and ".." not in host:
        return host
    try:
        return f"[{IPv6Address(host)}]" if "%" not in host else _no_host()
    except ValueError:
        return _no_host()


def _no_host() -> str:
    raise InvalidField("api_url", "has no valid host name")


def check_ca(pem: str) -> str:
    """The certificates in `pem`, written anew so that nothing else is stored. "" means the system's trust store."""
    return _certificates("ca_pem", pem) if pem.strip() else ""


def check_token(token: str) -> str:
    if len(token) > MAX_TOKEN or not PRINTABLE.fullmatch(token):
        raise InvalidField("token", f"must be at most {MAX_TOKEN} printable characters without spaces or line breaks")
    return token


def check_client_certificate(certificate: str, key: str) -> tuple[str, str]:
    """Certificate chain and unencrypted key in PEM, if they belong together."""
    chain, private = _certificates("client_certificate", certificate), _private_key(key)
    try:
        certified = x509.load_pem_x509_certificate(chain.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidField("client_certificate", "has a key that is not supported") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certified.public_bytes(*form) != private.public_key().public_bytes(*form):
        raise InvalidField("client_key", "does not belong to the client certificate")
    return chain, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private_key(pem: str) -> PrivateKeyTypes:
    if len(pem) > MAX_PEM:
        raise InvalidField("client_key", f"is longer than {MAX_PEM // 1024} KiB")
    try:
        return load_pem_private_key(pem.encode("ascii"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidField("client_key", "is not an unencrypted private key in PEM form") from None


def _certificates(field: str, pem: str) -> str:
    if len(pem) > MAX_PEM:
        raise InvalidField(field, f"is longer than {MAX_PEM // 1024} KiB")
    if "PRIVATE KEY" in pem:
        raise InvalidField(field, "holds a private key")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old certificates with odd serial numbers are the cluster's affair
            certificates = x509.load_pem_x509_certificates(pem.encode("ascii"))
            return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidField(field, "does not hold certificates in PEM form") from None


def check_namespaces(names: Iterable[object]) -> list[str]:
    """The namespaces in which the metadata of Secrets is listed, each once; empty for the whole cluster."""
    checked: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or not NAMESPACE.fullmatch(name):
            raise InvalidField("secret_namespaces", f'"{printable(str(name))}" is not the name of a namespace')
        checked[name] = None
    if len(checked) > MAX_NAMESPACES:
        raise InvalidField("secret_namespaces", f"must be at most {MAX_NAMESPACES} namespaces")
    return list(checked)


def printable(text: str) -> str:
    """`text` for a terminal or a page: at most 100 characters, none that moves the cursor or turns the line around."""
    return "".join(character if character.isprintable() else "?" for character in text[:100])
