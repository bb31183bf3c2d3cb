"""What people get to read of an Event or a condition: the cause, and nothing that is a value or an identifier."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.scrubbing import CONDITION_LIMIT, EVENT_LIMIT, clean, scrub

TESTDATA = Path(__file__).parent.parent / "testdata"

SHOWN = [
    ("secret created", "secret created"),
    (
        'MountVolume.SetUp failed for volume "secrets" : rpc error: code = Unknown desc = failed to get '
        "secretproviderclass web/shop, error: not found",
        "failed to get secretproviderclass web/shop, error: not found",
    ),
    (
        '(combined from similar events): MountVolume.SetUp failed for volume "s" : rpc error: code = Aborted desc = no',
        "no",
    ),
    ("provider mount err: rpc error: code = Unknown desc = denied", "provider mount err: denied"),
    ("Get https://vault:8200/v1/db?access_token=CANARY-x: EOF", "Get https://vault:8200/v1/db?…: EOF"),
    ('Get "https://root:CANARY-pw@vault/v1/db": EOF', 'Get "https://vault/v1/db": EOF'),
    ("error calling fail: unexpected value CANARY-s3cr3t here", "error calling fail: …"),
    ("at <fail>: error calling fail: CANARY-only", "at : error calling fail: …"),
    ("bad input: unexpected value CANARY-x", "bad input: unexpected value …"),
    ("denied, RequestID: 7bdc25d1-694e-4984-a82a-16f6f1710c1c", "denied"),
    ("AccessDenied, request id: ABCDEF123456, try later", "AccessDenied, try later"),
    ("pod 7bdc25d1-694e-4984-a82a-16f6f1710c1c is gone", "pod … is gone"),
    (
        "User: arn:aws:iam::123456789012:role/eso is not authorized",
        "User: arn:aws:iam::…:role/eso is not authorized",
    ),
    (
        "failed to mount secrets store objects for pod web/shop-1, err: failed to mount objects, error: 403 Forbidden",
        "failed to mount objects, error: 403 Forbidden",
    ),
    ("Authorization: Bearer CANARYabc.def-ghi", "Authorization: … …"),
    ("X-Vault-Token: CANARY.abc", "X-Vault-Token: …"),
    ("call with password=CANARY-x failed", "call with password=… failed"),
    ('body {"api_token": "CANARY", "name": "db"}', 'body {"api_token": "…", "name": "db"}'),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.CANARY rejected", "jwt … rejected"),
    ("token hvs.CANARYabcdefgh was revoked", "token … was revoked"),
    ("key AKIAABCDEFGHIJKLMNOP is disabled", "key … is disabled"),
    ("digest 74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b differs", "digest … differs"),
    ("value CANARYq9Zr3Lk2Xw8Tn5Vb7Yh1 refused", "value … refused"),
    ('bad value "' + "CANARY " * 12 + '" given', 'bad value "…" given'),
    ("password: hunter2longer", "password: …"),
    ("secret: hunter2", "secret: …"),
    ("client_secret: 'aB3xY9' is wrong", "client_secret: '…' is wrong"),
    ("clientSecret : aB3xY9", "clientSecret : …"),
    ("login (password: hunter2) failed", "login (password: …) failed"),
    ("token: s.abcdEFGH12345678", "token: …"),
    ("token: token.hunter2 given", "token: … given"),
    ("password: :hunter2", "password: …"),
    ("password_for_the_db: hunter2", "password_for_the_db: …"),
    ("n" * 90 + "_TOKEN=hunter2", "n" * 90 + "_TOKEN=…"),
    ("password=hunter2,more&x failed", "password=… failed"),
    ('password: "hun\\"ter2" given', 'password: "…" given'),
    ('password: "hunter2 and it was cut', 'password: "…"'),
    ("password: |\n  hunter2", "password: |; …"),
    ("secret: hunter2: not accepted", "secret: …: not accepted"),
    ("postgres://app:hunter2@db:5432/x failed", "postgres://db:5432/x failed"),
    ("postgres://app:hun@ter/2?@db:5432/x failed", "postgres://db:5432/x failed"),
    ("redis://:hunter2@h", "redis://h"),
    ("amqp+ssl://u:p@mq: refused", "amqp+ssl://mq: refused"),
    ("dsn app:hunter2@tcp(db:3306)/x failed", "dsn tcp(db:3306)/x failed"),
    (
        "cannot unmarshal !!str `hunter2` into map[string]interface {}",
        "cannot unmarshal !!str … into map[string]interface {}",
    ),
    ("cannot unmarshal !!str `hun`t into er2...` into map", "cannot unmarshal !!str … into map"),
    ("cannot unmarshal !!binary `hunter2", "cannot unmarshal !!binary …"),
    ('strconv.Atoi: parsing "hunter2": invalid syntax', "strconv.Atoi: parsing …: invalid syntax"),
    ('got {"user":"hunter2"}', 'got {"user":"…"}'),
    ("got {'user': 'hunter2', 'pin': 1234}", "got {'user': '…', 'pin': …}"),
    ('got {"a":{"users":["hunter2","x"],"b":null}}', 'got {"a":{"users":…,"b":…}}'),
    ('got "{\\"user\\":\\"hunter2\\"}"', 'got "{\\"user\\":\\"…\\"}"'),
    ('got {"user":"hunter2 and it was cut', 'got {"user":"…"'),
    ("got map[user:hunter2 password:x y]", "got map[…]"),
    ("<html><head><title>502</title></head>Bad Gateway</html>", "502 Bad Gateway"),
    ("could not read db%!p(MISSING)assword", "could not read db…password"),
    ("a\nb\r\n\tc", "a; b; c"),
    ("evil \u202etxt.exe\u202c \u200bx\x00y", "evil txt.exe xy"),
]

KEPT = [
    'error processing spec.data[0] (key: prod/db), err: could not get SecretStore "vault", '
    'SecretStore.external-secrets.io "vault" not found',
    'error processing spec.data[0] (key: db), err: secrets "db" is forbidden: User '
    '"system:serviceaccount:remote-provider-forbidden:eso-reader" cannot get resource "secrets" in API group ""',
    'using cluster store "cluster-store-denies-namespace" is not allowed from namespace '
    '"es-cluster-store-denies-namespace": denied by spec.condition',
    "no key could decrypt secret (password)",
    'failed update: Resource "db" already exists and is not managed by SealedSecret',
    "error accessing external store: dial tcp 127.0.0.1:11151: connect: connection refused",
    'template: config.yaml:1: function "bogus" not defined (config.yaml)',
    "error retrieving secret: secret not found",
    "could not get secret: AccessDeniedException: User is not authorized",
    'cannot read token: Get "https://vault:8200/v1/db": dial tcp: lookup vault: no such host',
    "failed to create token: permission denied",
    'failed to list secrets: Unauthorized, {"errors":["permission denied"]}',
    'answer 400 {"error":"invalid_grant","error_description":"bad assertion","code": 7}',
    "references non-existent secret key: username",
    "ClusterSecretStore: vault is not ready",
    "ExternalSecret: db is not ready",
    "see https://vault:8200/v1/a: user@example.com may not",
    "secret retained due to DeletionPolicy=Retain",
    "unable to update secret db: secret is immutable",
    "failed to get data in spc very-long-namespace-name-of-a-team/shop-production for secret shop-database-credentials",
]


@pytest.mark.parametrize(("text", "shown"), SHOWN, ids=lambda value: str(value)[:50])
def test_values_identifiers_and_wrappers_are_gone(text: str, shown: str) -> None:
    assert scrub(text) == shown


@pytest.mark.parametrize("text", KEPT, ids=lambda value: str(value)[:50])
def test_a_cause_stays_as_the_controller_wrote_it(text: str) -> None:
    assert scrub(text) == text


def recorded_causes() -> list[tuple[str, str]]:
    """Case folder and a text that its expectations want to read in the cause."""
    found = []
    for file in sorted(TESTDATA.rglob("case.yaml")):
        words = _values_of(yaml.safe_load(file.read_text()), "cause_contains")
        found += [(str(file.parent), word) for word in dict.fromkeys(words)]
    return found


def _values_of(node: Any, wanted: str) -> list[str]:
    if isinstance(node, list):
        return [word for inner in node for word in _values_of(inner, wanted)]
    if not isinstance(node, dict):
        return []
    here = node.get(wanted, [])
    words = [here] if isinstance(here, str) else list(here)
    return words + [word for key, inner in node.items() if key != wanted for word in _values_of(inner, wanted)]


@pytest.mark.parametrize(("folder", "cause"), recorded_causes(), ids=str)
def test_what_a_recorded_case_wants_to_read_survives(folder: str, cause: str) -> None:
    messages = []
    for file in [*Path(folder).rglob("events.json"), *Path(folder).rglob("objects.json")]:
        messages += _values_of(json.loads(file.read_text()), "message") + _values_of(
            json.loads(file.read_text()), "reason"
        )

    assert [message for message in messages if cause in scrub(message)]


def test_what_a_recorded_case_forbids_is_nowhere() -> None:
    for file in TESTDATA.rglob("case.yaml"):
        forbidden = ["CANARY", *_values_of(yaml.safe_load(file.read_text()), "must_not_contain")]
        for events in file.parent.rglob("events.json"):
            for message in _values_of(json.loads(events.read_text()), "message"):
                assert [word for word in forbidden if word in scrub(message)] == [], file


@settings(deadline=None)
@given(st.text(max_size=2_000), st.sampled_from([EVENT_LIMIT, CONDITION_LIMIT]))
def test_whatever_the_text_the_result_is_one_short_visible_line(text: str, limit: int) -> None:
    result = scrub(text, limit)

    assert len(result) <= limit
    assert result.isprintable()


@settings(deadline=None)
@given(st.text(max_size=400))
def test_scrubbing_twice_changes_nothing_more_that_matters(text: str) -> None:
    assert len(scrub(scrub(text))) <= len(scrub(text)) + 1


@settings(deadline=None)
@given(st.text(max_size=50), st.integers(min_value=1, max_value=60))
def test_clean_text_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit
    assert clean(text, limit).isprintable()


HOSTILE = [
    "<a" * 4_000,
    '"' * 8_000,
    "https://" * 1_000,
    "request id " * 700,
    "a-" * 4_000,
    "token" * 1_600,
    "=-" * 4_000,
    "password: '" * 800,
    '{"a":' * 1_600,
    '{"' + "\\" * 8_000,
    "a://:" * 1_600,
    "a:" * 4_000,
    "unmarshal !a " * 600,
    "map[a:" * 1_300,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda value: value[:12])
def test_texts_made_to_keep_patterns_busy_come_to_an_end(text: str) -> None:
    """A pattern that backtracks over such a text takes minutes."""
    assert len(scrub(text, CONDITION_LIMIT)) <= CONDITION_LIMIT
