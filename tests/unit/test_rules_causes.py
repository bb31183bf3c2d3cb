"""Which advice follows from which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rules.causes import CLASSES, classify, hint

WORDS = [
    ("store-denies-namespace", 'using cluster store "x" is not allowed from namespace "y": denied by spec.condition'),
    ("store-absent", 'could not get SecretStore "vault", SecretStore.external-secrets.io "vault" not found'),
    ("store-absent", 'unable to get generator: Password.generators.external-secrets.io "gone" not found'),
    ("store-not-ready", 'error processing spec.data[0] (key: a), err: SecretStore "vault" is not ready'),
    ("store-not-ready", 'ClusterSecretStore "vault" is not ready'),
    ("target-immutable", "unable to update secret db: secret is immutable"),
    ("target-conflict", "secret is owned by another ExternalSecret: first"),
    ("target-conflict", 'failed update: Resource "plain" already exists and is not managed by SealedSecret'),
    ("undecryptable", "no key could decrypt secret (password)"),
    ("damaged", "illegal base64 data at input byte 0 (a)"),
    ("template-error", 'template: cfg:1: function "bogus" not defined (cfg)'),
    ("provider-throttled", "ThrottlingException: Rate exceeded"),
    ("bad-credentials", "cannot log in: Code: 401. Errors: Unauthorized"),
    ("provider-forbidden", "Error making API request. Code: 403. Errors: permission denied"),
    ("provider-forbidden", "AccessDeniedException: User is not authorized to perform: secretsmanager:GetSecretValue"),
    ("provider-not-found", "error processing spec.data[0] (key: foo), err: Secret does not exist"),
    ("provider-not-found", "rpc error: code = NotFound desc = Secret not found"),
    ("provider-timeout", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    ("provider-unreachable", "dial tcp 10.0.0.1:8200: connect: connection refused"),
    ("provider-certificate", "x509: certificate signed by unknown authority"),
    ("provider-unavailable", "endpoint gave error 503 Service Unavailable"),
]


@pytest.mark.parametrize(("id", "cause"), WORDS)
def test_advice(id: str, cause: str) -> None:
    found = classify(cause)
    assert found is not None
    assert found.id == id


def test_every_class_is_seen() -> None:
    assert {id for id, _ in WORDS} == {found.id for found in CLASSES}


def test_words_that_tell_nothing_leave_the_command() -> None:
    assert classify("could not get secret data from provider") is None
    assert hint("it broke", "kubectl get x") == "kubectl get x"


@given(st.text())
def test_any_text_is_taken(cause: str) -> None:
    assert isinstance(hint(cause, ""), str)
