"""Which advice follows from which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rules.causes import CLASSES, classify, diagnose

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
    ("bad-credentials", "AADSTS700016: Application was not found in the directory"),
    ("bad-credentials", "Error making API request. Code: 400. Errors: * invalid role or secret ID"),
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
    assert diagnose("it broke", "kubectl get x", own=()).hint == "kubectl get x"


@given(st.text())
def test_any_text_is_taken(cause: str) -> None:
    assert isinstance(diagnose(cause, "", own=()).hint, str)


NAME = st.from_regex(r"[a-z]{1,20}", fullmatch=True)
NUMBER = st.integers(0, 10**9)
REQUEST = st.uuids().map(str) | st.from_regex(r"[0-9A-F]{12}", fullmatch=True).filter(lambda id: not id.isalpha())


@given(
    key=NAME,
    item=st.integers(0, 99),
    port=NUMBER,
    request=REQUEST,
    seconds=NUMBER,
    keys=st.lists(NAME, min_size=1, max_size=40),
)
@pytest.mark.parametrize(
    "text",
    [
        "error processing spec.data[{item}] (key: {key}), err: Secret does not exist",
        'could not apply template: template: {port}:1: function "{key}" not defined ({key})',
        "no key could decrypt secret ({keys})",
        "secret is owned by another ExternalSecret, request id: {request}",
        "GET https://vault.example.com:{port}/v1/{key}: giving up after {item} attempt(s), {seconds}s",
    ],
)
def test_what_varies_never_changes_the_signature(
    text: str, key: str, item: int, port: int, request: str, seconds: int, keys: list[str]
) -> None:
    plain = text.format(key="a", item=0, port=1, request="1f0c6f8e", seconds=1, keys="a, b")
    varied = text.format(key=key, item=item, port=port, request=request, seconds=seconds, keys=", ".join(keys))
    assert diagnose(varied, "", own=("x",)).signature == diagnose(plain, "", own=("x",)).signature


@pytest.mark.parametrize("port", [401, 403, 404, 429, 500])
def test_a_port_is_no_status(port: int) -> None:
    assert classify(f"Get https://vault.example.com:{port}: it broke") is None


def test_other_words_are_another_cause() -> None:
    lacks, property_lacks = "Secret does not exist", "property does not exist, not found"
    assert diagnose(lacks, "", own=("x",)).signature != diagnose(property_lacks, "", own=("x",)).signature
