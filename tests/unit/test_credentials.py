"""What is sealed can be opened by the workers only, and for the address only that it was given for."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey

from clusters.credentials import (
    CredentialError,
    Damaged,
    KeyMissing,
    OtherCluster,
    OtherKey,
    Payload,
    is_sealed_for,
    new_key_pair,
    open_sealed,
    payload_of,
    reseal,
    seal,
)
from clusters.entries import ClusterEntry

URL = "https://k8s.test:6443"
PAYLOAD = Payload(api_url=URL, token="CANARY-token")
PAIR, OTHER_PAIR = new_key_pair(), new_key_pair()


def test_what_is_sealed_opens() -> None:
    assert open_sealed(seal(PAYLOAD, PAIR.public_key), PAIR.private_key, api_url=URL) == PAYLOAD


def test_sealing_takes_the_public_key_only_and_shows_nothing() -> None:
    sealed = seal(PAYLOAD, PAIR.public_key)
    assert b"CANARY" not in sealed
    assert URL.encode() not in sealed
    assert sealed != seal(PAYLOAD, PAIR.public_key)


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_every_payload_survives(token: str, certificate: str, key: str) -> None:
    payload = Payload(api_url=URL, token=token, client_certificate=certificate, client_key=key)
    assert open_sealed(seal(payload, PAIR.public_key), PAIR.private_key, api_url=URL) == payload


def test_a_payload_has_the_credential_of_its_entry() -> None:
    entry = ClusterEntry(name="a", api_url=URL, token="t", client_certificate="c", client_key="k")
    assert payload_of(entry) == Payload(api_url=URL, token="t", client_certificate="c", client_key="k")


def test_a_credential_opens_for_its_own_address_only() -> None:
    with pytest.raises(OtherCluster):
        open_sealed(seal(PAYLOAD, PAIR.public_key), PAIR.private_key, api_url="https://evil.test")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(OtherKey):
        open_sealed(seal(PAYLOAD, PAIR.public_key), OTHER_PAIR.private_key, api_url=URL)


def test_a_forged_key_id_opens_nothing() -> None:
    sealed, others = seal(PAYLOAD, PAIR.public_key), seal(PAYLOAD, OTHER_PAIR.public_key)
    with pytest.raises(Damaged):
        open_sealed(others[:9] + sealed[9:], OTHER_PAIR.private_key, api_url=URL)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_opens_nothing(place: int, change: int) -> None:
    sealed = bytearray(seal(PAYLOAD, PAIR.public_key))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(CredentialError) as error:
        open_sealed(bytes(sealed), PAIR.private_key, api_url=URL)
    assert "CANARY" not in str(error.value)


@given(st.binary(max_size=80))
def test_nothing_else_opens(sealed: bytes) -> None:
    with pytest.raises(CredentialError):
        open_sealed(sealed, PAIR.private_key, api_url=URL)


@pytest.mark.parametrize("key", ["", "no base64!", "ä", base64.b64encode(b"short").decode(), "A" * 44])
def test_a_key_that_is_no_key_is_named(key: str) -> None:
    with pytest.raises(KeyMissing, match="CREDENTIAL_PUBLIC_KEY"):
        seal(PAYLOAD, key)
    with pytest.raises(KeyMissing, match="CREDENTIAL_PRIVATE_KEY"):
        open_sealed(b"", key, api_url=URL)


def test_credentials_move_to_another_key_pair() -> None:
    sealed = seal(PAYLOAD, PAIR.public_key)
    moved = reseal(sealed, PAIR.private_key, OTHER_PAIR.public_key)
    assert open_sealed(moved, OTHER_PAIR.private_key, api_url=URL) == PAYLOAD
    assert is_sealed_for(moved, OTHER_PAIR.public_key)
    assert not is_sealed_for(sealed, OTHER_PAIR.public_key)


def test_a_new_key_pair_belongs_together() -> None:
    pair = new_key_pair()
    assert bytes(PrivateKey(base64.b64decode(pair.private_key)).public_key) == base64.b64decode(pair.public_key)
    assert pair.private_key not in repr(pair)


def test_secrets_are_not_shown() -> None:
    assert "CANARY" not in f"{PAYLOAD} {PAYLOAD!r}"
