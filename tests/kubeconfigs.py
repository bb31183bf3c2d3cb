"""A good kubeconfig to spoil, with certificates made for this run."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "CANARY-token-1234567890"


def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder(subject, subject, key.public_key(), 7, begin, begin + timedelta(days=3650))
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, key.private_bytes(*form).decode()


CA, CA_KEY = certificate("ca")
CLIENT, CLIENT_KEY = certificate("client")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(
    cluster: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    name: str = "prod-eu",
) -> dict[str, Any]:
    """A good kubeconfig with what is given added; None as a value takes a key away."""

    def merged(base: dict[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
        return {key: value for key, value in {**base, **(extra or {})}.items() if value is not None}

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": name,
        "clusters": [
            {
                "name": "c",
                "cluster": merged({"server": "https://k8s.test:6443/", "certificate-authority-data": b64(CA)}, cluster),
            }
        ],
        "users": [{"name": "u", "user": merged({"token": TOKEN}, user)}],
        "contexts": [{"name": name, "context": merged({"cluster": "c", "user": "u", "namespace": "default"}, context)}],
    }
