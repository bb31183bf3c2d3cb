"""System checks for combinations of settings that cannot work or would be unsafe. Ids are stable."""

import base64
import ipaddress

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from nacl.public import PrivateKey

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})


@register()
def check_credential_keys(**kwargs: object) -> list[CheckMessage]:
    private, public = settings.CREDENTIAL_PRIVATE_KEY, settings.CREDENTIAL_PUBLIC_KEY
    if not private or not public:
        return []
    if bytes(PrivateKey(base64.b64decode(private)).public_key) == base64.b64decode(public):
        return []
    return [
        Error(
            "CREDENTIAL_PRIVATE_KEY does not belong to CREDENTIAL_PUBLIC_KEY: no stored credential could be opened.",
            hint="Give every process the two halves of one pair.",
            id="secretsdash.E001",
        )
    ]


@register()
def check_debug_stays_at_home(**kwargs: object) -> list[CheckMessage]:
    if not settings.DEBUG or set(settings.ALLOWED_HOSTS) <= LOOPBACK_NAMES:
        return []
    return [
        Error(
            "DEBUG shows settings and tracebacks to everyone who reaches a host in ALLOWED_HOSTS.",
            hint="Set DEBUG=false, or leave only loopback names in ALLOWED_HOSTS.",
            id="secretsdash.E002",
        )
    ]


@register()
def check_trusted_origins_use_tls(**kwargs: object) -> list[CheckMessage]:
    plain = [origin for origin in settings.CSRF_TRUSTED_ORIGINS if not origin.startswith("https://")]
    if not settings.BEHIND_TLS_PROXY or not plain:
        return []
    return [
        Error(
            f"CSRF_TRUSTED_ORIGINS names an origin without https although BEHIND_TLS_PROXY is set: {plain[0]}",
            hint="Write https://, or drop BEHIND_TLS_PROXY.",
            id="secretsdash.E003",
        )
    ]


@register()
def check_dialled_networks(**kwargs: object) -> list[CheckMessage]:
    everything = [n for n in settings.DIAL_ALLOWED_NETWORKS if ipaddress.ip_network(n).prefixlen == 0]
    if not everything:
        return []
    return [
        Error(
            "DIAL_ALLOWED_NETWORKS lifts the floor for every address, cloud metadata services included.",
            hint="Name the networks in which your API servers listen.",
            id="secretsdash.E004",
        )
    ]
