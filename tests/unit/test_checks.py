"""Combinations of settings that `manage.py check` refuses."""

import base64
from typing import Any

import pytest
from nacl.public import PrivateKey

from secretsdash import checks

ONE, OTHER = PrivateKey.generate(), PrivateKey.generate()
CASES: list[tuple[str, dict[str, Any]]] = [
    (
        "secretsdash.E001",
        {
            "CREDENTIAL_PRIVATE_KEY": base64.b64encode(bytes(ONE)).decode(),
            "CREDENTIAL_PUBLIC_KEY": base64.b64encode(bytes(OTHER.public_key)).decode(),
        },
    ),
    ("secretsdash.E002", {"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "secrets.example.com"]}),
    ("secretsdash.E002", {"DEBUG": True, "ALLOWED_HOSTS": ["*"]}),
    ("secretsdash.E003", {"BEHIND_TLS_PROXY": True, "CSRF_TRUSTED_ORIGINS": ["http://secrets.example.com"]}),
    ("secretsdash.E004", {"DIAL_ALLOWED_NETWORKS": ["0.0.0.0/0"]}),
    ("secretsdash.E004", {"DIAL_ALLOWED_NETWORKS": ["10.0.0.0/8", "::/0"]}),
]
ALL = (
    checks.check_credential_keys,
    checks.check_debug_stays_at_home,
    checks.check_trusted_origins_use_tls,
    checks.check_dialled_networks,
)


@pytest.mark.parametrize(("identifier", "changed"), CASES)
def test_the_combination_is_refused(settings, identifier: str, changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)
    assert [message.id for check in ALL for message in check()] == [identifier]


def test_the_settings_of_the_tests_are_fine() -> None:
    assert [message for check in ALL for message in check()] == []


def test_a_process_with_the_public_key_alone_is_fine(settings) -> None:
    settings.CREDENTIAL_PRIVATE_KEY = ""
    assert checks.check_credential_keys() == []
