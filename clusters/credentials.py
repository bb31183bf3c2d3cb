"""Credentials at rest: sealed for the workers' key, so that whoever registers a cluster cannot read them back.

A sealed credential is `FORMAT`, the first eight bytes of the SHA-256 of the public key, and a libsodium sealed box
(X25519, XSalsa20-Poly1305) around JSON. The address of the API server is inside: a row that is copied to another
cluster, or a cluster whose address is changed, opens nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from clusters.entries import ClusterEntry
from clusters.models import Cluster
from clusters.observations import ReadCursor, Target
from clusters.tagging import Tag, no_tag

FORMAT = b"\x01"
KEY_ID_BYTES = 8

Sealed = bytes | memoryview  # as Django gives binary columns


class CredentialError(Exception):
    """A credential cannot be used. The message names what to look at and holds nothing of the credential."""


class KeyMissing(CredentialError):
    """This process has no key for what it was asked to do, or one that is no key."""


class OtherKey(CredentialError):
    """Sealed for another key pair."""


class Damaged(CredentialError):
    """Not what `seal` made."""


class OtherCluster(CredentialError):
    """Sealed for another address."""


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What authenticates us at `api_url`: a bearer token, or a client certificate with its key (both PEM)."""

    api_url: str
    token: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def __repr__(self) -> str:
        return f"Payload({self.api_url!r})"


class KeyPair(NamedTuple):
    """Both in base64, as settings hold them."""

    public_key: str
    private_key: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public_key!r})"


def new_key_pair() -> KeyPair:
    private = PrivateKey.generate()
    return KeyPair(*(base64.b64encode(bytes(key)).decode() for key in (private.public_key, private)))


def payload_of(entry: ClusterEntry) -> Payload:
    return Payload(
        api_url=entry.api_url,
        token=entry.token,
        client_certificate=entry.client_certificate,
        client_key=entry.client_key,
    )


def seal(payload: Payload, public_key: str) -> bytes:
    """Raises KeyMissing."""
    key = PublicKey(_raw(public_key, "CREDENTIAL_PUBLIC_KEY"))
    return FORMAT + _key_id(key) + bytes(SealedBox(key).encrypt(msgspec.json.encode(payload)))


def open_sealed(sealed: Sealed, private_key: str, *, api_url: str) -> Payload:
    """The credential for the cluster at `api_url`. Raises a CredentialError."""
    payload = _opened(bytes(sealed), PrivateKey(_raw(private_key, "CREDENTIAL_PRIVATE_KEY")))
    if payload.api_url != api_url:
        raise OtherCluster("The stored credential belongs to another address. Register the cluster again.")
    return payload


def open_target(
    cluster: Cluster, private_key: str, cursors: Mapping[str, ReadCursor], deadline: float, tag: Tag = no_tag
) -> Target:
    """What reading the cluster needs, its credential opened. Raises a CredentialError."""
    credential = getattr(cluster, "credential", None)
    if credential is None:
        raise CredentialError("No credential is stored for this cluster. Register it again.")
    payload = open_sealed(credential.sealed, private_key, api_url=cluster.api_url)
    return Target(
        cluster_id=cluster.pk,
        name=cluster.name,
        api_url=cluster.api_url,
        ca_pem=cluster.ca_pem,
        token=payload.token,
        client_certificate=payload.client_certificate,
        client_key=payload.client_key,
        cursors=cursors,
        deadline=deadline,
        secret_namespaces=cluster.secret_namespaces,
        tag=tag,
    )


def reseal(sealed: Sealed, old_private_key: str, new_public_key: str) -> bytes:
    """The same credential for another key pair. Raises a CredentialError."""
    old = PrivateKey(_raw(old_private_key, "The old private key"))
    return seal(_opened(bytes(sealed), old), new_public_key)


def is_sealed_for(sealed: Sealed, public_key: str) -> bool:
    """Whether `sealed` names this key pair; says nothing about its content. Raises KeyMissing."""
    return bytes(sealed).startswith(FORMAT + _key_id(PublicKey(_raw(public_key, "CREDENTIAL_PUBLIC_KEY"))))


def _opened(sealed: bytes, key: PrivateKey) -> Payload:
    head, box = sealed[: 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES :]
    if head[:1] != FORMAT:
        raise Damaged("The stored credential is damaged. Register the cluster again.")
    if head[1:] != _key_id(key.public_key):
        raise OtherKey("The stored credential was sealed for another key pair (see manage.py resealcredentials).")
    try:
        return msgspec.json.decode(SealedBox(key).decrypt(box), type=Payload)
    except (CryptoError, msgspec.MsgspecError, UnicodeDecodeError):
        raise Damaged("The stored credential is damaged. Register the cluster again.") from None


def _key_id(key: PublicKey) -> bytes:
    return hashlib.sha256(bytes(key)).digest()[:KEY_ID_BYTES]


def _raw(key: str, name: str) -> bytes:
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != PrivateKey.SIZE:
        raise KeyMissing(f"{name} is not set, or is not 32 bytes in base64 (see manage.py sealkeys).")
    return raw
