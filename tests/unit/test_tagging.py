"""Tags: equal for equal texts under one key, and of use to nobody without it."""

import base64
import hmac
from hashlib import sha256

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from clusters.credentials import Payload, seal
from clusters.models import Cluster, Credential
from clusters.tagging import comparable, no_tag, tagger
from monitoring.pipeline import target_of
from secretsdash import environment

KEY = bytes(range(32))

keys = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(codec="utf-8"))


@given(key=keys, text=texts, other=texts)
def test_tags_of_one_key_are_equal_exactly_for_equal_texts(key: bytes, text: str, other: str) -> None:
    tag = tagger(key)

    assert (tag(text) == tagger(key)(other)) == (text == other)
    assert comparable(tag(text), tag(other))
    assert comparable(f"sha3.{tag(text)}", f"sha3.{tag(other)}")


@given(key=keys, other=keys, text=texts)
def test_tags_of_two_keys_are_not_comparable(key: bytes, other: bytes, text: str) -> None:
    assert comparable(tagger(key)(text), tagger(other)(text)) == (key == other)


def test_a_tag_is_a_key_id_and_an_hmac() -> None:
    key_id, _, code = tagger(KEY)("1bed8bcbcb4547ff").partition(".")
    assert key_id == sha256(KEY).hexdigest()[:8]
    assert code == hmac.new(KEY, b"1bed8bcbcb4547ff", "sha256").hexdigest()[:32]


@given(text=texts)
def test_without_a_key_there_is_no_tag(text: str) -> None:
    assert tagger(b"")(text) == no_tag(text) == ""


@pytest.mark.parametrize(
    ("first", "second", "may"),
    [
        ("sha3.k.a", "sha3.k.b", True),
        ("sha3.k.a", "md5.k.a", False),
        ("sha3.k.a", "sha3.l.a", False),
        ("k.a", "k.b", True),
        ("k.a", "sha3.k.a", False),
        ("", "", False),
        ("sha3.k.a", "", False),
        ("a", "b", False),
    ],
)
def test_what_may_be_compared(first: str, second: str, may: bool) -> None:
    assert comparable(first, second) == comparable(second, first) == may


def test_the_setting_becomes_the_tag_of_what_is_read(settings) -> None:
    cluster = Cluster(name="one", api_url="https://k8s.test")
    payload = Payload(api_url=cluster.api_url, token="t")
    Credential(cluster=cluster, sealed=seal(payload, settings.CREDENTIAL_PUBLIC_KEY))
    for key in (KEY, b""):
        settings.TAG_KEY = key
        assert target_of(cluster, {}).tag("text") == tagger(key)("text")


@pytest.mark.parametrize("value", ["not-to-be-repeated", base64.b64encode(KEY[:31]).decode()])
def test_a_key_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TAG_KEY", value)
    with pytest.raises(ImproperlyConfigured, match="TAG_KEY") as refusal:
        environment.key("TAG_KEY")
    assert value not in str(refusal.value)


@pytest.mark.parametrize(("value", "key"), [(base64.b64encode(KEY).decode(), KEY), ("", b"")])
def test_a_key_is_read_from_base64(monkeypatch: pytest.MonkeyPatch, value: str, key: bytes) -> None:
    monkeypatch.setenv("TAG_KEY", value)
    assert environment.key("TAG_KEY") == key
