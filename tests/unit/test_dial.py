"""Where we may connect to."""

import asyncio
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.connection import Connection, ReadFailed, Transport
from clusters.dial import DialRefused, Policy, check, host_and_port, permitted, policy, refusal
from clusters.observations import Failure, Target

REFUSED_ADDRESSES = [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "not an address",
]
FINE_ADDRESSES = ["10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2001:4860:4860::8888"]

REFUSED_URLS = [
    "http://10.0.0.1",
    "10.0.0.1:6443",
    "ftp://10.0.0.1",
    "file:///etc/passwd",
    "https://",
    "https://user:secret@10.0.0.1",
    "https://user@10.0.0.1",
    "https://10.0.0.1/?x=1",
    "https://10.0.0.1/#x",
    "https://10.0.0.1:99999",
    "https://10.0.0.1:port",
    "https://[::1",
    "https://a b/",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_the_floor_refuses(address: str) -> None:
    assert refusal(address, Policy()) != ""


@pytest.mark.parametrize("address", FINE_ADDRESSES)
def test_private_and_public_addresses_are_fine(address: str) -> None:
    assert refusal(address, Policy()) == ""


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("169.254.1.1", "169.254.1.0/24"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
    ],
)
def test_an_allowed_network_lifts_the_floor_for_itself_only(address: str, allowed: str) -> None:
    assert refusal(address, policy([allowed])) == ""
    assert refusal("169.254.169.254", policy([allowed])) != ""


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_an_address_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(DialRefused):
        host_and_port(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://k8s.example.com", ("k8s.example.com", 443)),
        ("https://10.0.0.1:6443/clusters/a", ("10.0.0.1", 6443)),
        ("https://[fd00::1]:6443", ("fd00::1", 6443)),
    ],
)
def test_host_and_port_of_an_api_server(url: str, expected: tuple[str, int]) -> None:
    assert host_and_port(url) == expected


def test_check_returns_the_address_to_connect_to() -> None:
    assert check("https://10.1.2.3:6443") == "10.1.2.3"
    assert check("https://localhost:6443", ["127.0.0.0/8", "::1/128"]) in ("127.0.0.1", "::1")


@pytest.mark.parametrize("url", ["https://localhost", "https://127.0.0.1", "https://[::1]", "https://2130706433"])
def test_check_refuses_our_own_machine_under_every_name(url: str) -> None:
    with pytest.raises(DialRefused, match="loopback"):
        check(url)


def test_of_several_addresses_only_the_permitted_are_used() -> None:
    assert permitted("h", ["127.0.0.1", "10.0.0.1", "169.254.169.254"], Policy()) == ["10.0.0.1"]
    with pytest.raises(DialRefused, match="administrator"):
        permitted("h", ["127.0.0.1", "::1"], Policy())
    with pytest.raises(DialRefused):
        permitted("h", [], Policy())


# Our own database and broker, in networks for documentation: should the policy fail, nobody is dialled.
OWN = ("192.0.2.7", "2001:db8::7")


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "::ffff:192.0.2.7", "64:ff9b::c000:207", "2001:db8::7", "2001:db8::7%eth0"]
)
def test_our_own_database_and_broker_are_refused(address: str) -> None:
    assert "database or broker" in refusal(address, policy([], OWN))
    assert refusal(address, policy([])) == ""
    with pytest.raises(DialRefused, match="database or broker"):
        permitted("h", [address], policy(["192.168.0.0/16"], OWN))


def test_an_administrator_may_allow_the_network_of_our_own_database() -> None:
    assert permitted("h", ["192.0.2.7", "192.0.2.8"], policy(["192.0.2.7/32"], OWN)) == ["192.0.2.7", "192.0.2.8"]


def test_a_name_of_our_own_stands_for_all_its_addresses() -> None:
    own = policy([], ["localhost"]).own_addresses()
    assert own & {ip_address("127.0.0.1"), ip_address("::1")}


# The second is 192.0.2.7 as a name, which only the resolver can tell.
@pytest.mark.parametrize("host", ["192.0.2.7", "0xc0000207", "[2001:db8::7]"])
def test_a_connection_to_our_own_database_is_not_even_tried(host: str) -> None:
    async def dialled() -> None:
        transport = Transport(policy([], OWN))
        try:
            url = f"https://{host}:5432"
            target = Target(cluster_id=1, name="c", api_url=url, ca_pem="", token="t", cursors={}, deadline=5)
            await Connection(transport, target).get("/version")
        finally:
            await transport.close()

    with pytest.raises(ReadFailed, match="database or broker") as failed:
        asyncio.run(dialled())
    assert failed.value.problem.failure == Failure.DIAL_REFUSED


def test_while_our_own_names_cannot_be_resolved_no_address_is_safe() -> None:
    rules = policy([], ["does-not-exist.invalid"])
    for _ in range(2):
        with pytest.raises(DialRefused, match="cannot be resolved"):
            check("https://10.0.0.1", rules)


def test_a_policy_iterates_over_what_it_allows_and_stays_what_it_is() -> None:
    rules = policy(["10.0.0.0/8"], OWN)
    assert [str(network) for network in rules] == ["10.0.0.0/8"]
    assert policy(rules) is rules


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="htps:/@[]?#.0123456789ab", max_size=40).map(lambda s: "https://" + s))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    try:
        host, port = host_and_port(url)
    except DialRefused:
        return
    assert host
    assert 0 < port < 65_536
