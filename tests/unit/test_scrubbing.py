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
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda value: value[:12])
def test_texts_made_to_keep_patterns_busy_come_to_an_end(text: str) -> None:
    """A pattern that backtracks over such a text takes minutes."""
    assert len(scrub(text, CONDITION_LIMIT)) <= CONDITION_LIMIT
