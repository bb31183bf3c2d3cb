"""Where we may connect to. One policy for every connection that a person's input can cause.

Private ranges are fine, clusters live there. What is never right without an administrator's word is our own machine,
our own database and broker, and what clouds hide on link-local addresses: whoever registers a cluster chooses where our
workers connect to.
"""

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Metadata and platform services outside of the link-local ranges: AWS over IPv6, Azure, Alibaba.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


class DialRefused(Exception):
    """Our policy forbids this connection. The message is one sentence for the person who entered the address."""


@dataclass(frozen=True)
class Policy:
    """`allowed` networks are exempt from the floor. `own_hosts` are names or addresses of our database and broker.

    Iterating gives the allowed networks.
    """

    allowed: tuple[Network, ...] = ()
    own_hosts: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Network]:
        return iter(self.allowed)

    def own_addresses(self) -> frozenset[Address]:
        """What `own_hosts` stand for, resolved once per process. Raises DialRefused while that is not possible."""
        try:
            return _resolved(self.own_hosts)
        except (OSError, UnicodeError):
            raise DialRefused(
                "Our own database or broker cannot be resolved, so no address is known to be safe."
            ) from None


Allowed = Policy | Iterable[str | Network]


def policy(allowed: Allowed, own_hosts: Iterable[str] = ()) -> Policy:
    """A Policy from networks in CIDR notation; a Policy stays what it is."""
    if isinstance(allowed, Policy):
        return allowed
    return Policy(
        tuple(ipaddress.ip_network(net, strict=False) if isinstance(net, str) else net for net in allowed),
        tuple(own_hosts),
    )


def check(url: str, allowed: Allowed = ()) -> str:
    """Return the address to connect to for `url`. Raises DialRefused, and OSError if the name cannot be resolved.

    Connect to the returned address and not to the name: a second resolution may say something else.
    """
    host, port = host_and_port(url)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return permitted(host, [str(entry[4][0]) for entry in found], policy(allowed))[0]


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of an API server's address. Raises DialRefused unless it is plain https."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise DialRefused("The address is not a URL.") from None
    if parts.scheme != "https":
        raise DialRefused("The address must begin with https://.")
    if "@" in parts.netloc:
        raise DialRefused("The address must not contain a user name or password.")
    if parts.query or parts.fragment:
        raise DialRefused("The address must not contain a query or fragment.")
    if not host or not host.isprintable() or " " in host:
        raise DialRefused("The address names no host.")
    return host, port


def permitted(host: str, addresses: Sequence[str], rules: Policy) -> list[str]:
    """Those of `addresses` that `host` may be reached at, in their order. Raises DialRefused if there are none."""
    refusals = {address: refusal(address, rules) for address in addresses}
    usable = [address for address, reason in refusals.items() if not reason]
    if not usable:
        reason = next(iter(refusals.values()), "has no address")
        raise DialRefused(f"{host[:100]} {reason}; an administrator can allow its network.")
    return usable


def refusal(address: str, rules: Policy) -> str:
    """Why `address` is below the floor ("is a loopback address"), or an empty text.

    Raises DialRefused where the policy's own hosts cannot be resolved.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "has an address that we cannot read"
    # ::ffff:127.0.0.1 and 64:ff9b::7f00:1 are 127.0.0.1 in disguise.
    ip = _embedded(ip) or ip
    if any(ip in network for network in rules.allowed if network.version == ip.version):
        return ""
    if ip.is_loopback:
        return "is a loopback address"
    if ip.is_link_local or ip in _METADATA:
        return "is an address of the machine's own network or its cloud's metadata service"
    if ip.is_multicast or ip.is_unspecified or (ip.version == 4 and (ip in _THIS_NETWORK or ip.is_reserved)):
        return "has no address that a server can have"
    return "is an address of our own database or broker" if ip in rules.own_addresses() else ""


# A failure is not remembered. Forked workers inherit what their parent found.
@lru_cache(16)
def _resolved(hosts: tuple[str, ...]) -> frozenset[Address]:
    found = [entry[4][0] for host in hosts for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    addresses = [ipaddress.ip_address(str(text).partition("%")[0]) for text in found]
    return frozenset(_embedded(ip) or ip for ip in addresses)


def _embedded(ip: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside a mapped, NAT64 or 6to4 one."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
