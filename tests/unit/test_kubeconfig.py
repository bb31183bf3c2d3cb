"""Only an address and an inline credential come out of a kubeconfig; everything else is refused with its reason."""

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clusters.entries import (
    ClusterEntry,
    InvalidField,
    check_name,
    check_token,
    check_url,
    entry_from_fields,
)
from clusters.kubeconfig import (
    MAX_BYTES,
    REFUSED_KEYS,
    Parsed,
    ParseError,
    name_from_context,
    parse,
    read_tree,
)
from tests.kubeconfigs import CA, CA_KEY, CLIENT, CLIENT_KEY, TOKEN, b64, config


def parsed(value: Any, contexts: list[str] | None = None) -> Parsed:
    return parse(yaml.safe_dump(value), contexts)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def complaints(text: str) -> str:
    """Everything that the parser says about `text`."""
    try:
        return " ".join(refused.reason for refused in parse(text).refusals)
    except ParseError as error:
        return str(error)


def refusal(value: Any) -> str:
    result = parsed(value)
    assert result.entries == ()
    return result.refusals[0].reason


def test_a_token_and_a_ca_are_taken() -> None:
    result = parsed(config())
    assert result.refusals == ()
    assert result.entries == (
        ClusterEntry(name="prod-eu", api_url="https://k8s.test:6443", ca_pem=CA, token=TOKEN, context="prod-eu"),
    )


def test_json_is_taken_too() -> None:
    assert parse(json.dumps(config())) == parsed(config())


def test_a_client_certificate_with_its_key_is_taken() -> None:
    user = {"token": None, "client-certificate-data": b64(CLIENT), "client-key-data": b64(CLIENT_KEY)}
    [entry] = parsed(config(user=user)).entries
    assert (entry.token, entry.client_certificate, entry.client_key) == ("", CLIENT, CLIENT_KEY)


def test_without_a_ca_the_systems_trust_store_counts() -> None:
    assert parsed(config(cluster={"certificate-authority-data": None})).entries[0].ca_pem == ""


def test_only_the_certificates_of_a_ca_are_kept() -> None:
    entry = parsed(config(cluster={"certificate-authority-data": b64(f"# a note\n{CA}\nmore\n")})).entries[0]
    assert entry.ca_pem == CA


CLUSTER_REFUSALS: dict[str, Any] = {
    "certificate-authority": "/etc/passwd",
    "insecure-skip-tls-verify": True,
    "proxy-url": "http://proxy.test",
    "tls-server-name": "other",
}
USER_REFUSALS: dict[str, Any] = {
    "exec": {"command": "/bin/sh", "apiVersion": "client.authentication.k8s.io/v1"},
    "auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/sh"}},
    "tokenFile": "/proc/self/environ",
    "client-certificate": "/etc/passwd",
    "client-key": "/etc/passwd",
    "username": "admin",
    "password": "CANARY-password",
    "as": "system:admin",
    "as-uid": "1",
    "as-groups": ["system:masters"],
    "as-user-extra": {"a": ["b"]},
}


def test_every_refused_key_has_a_case() -> None:
    assert CLUSTER_REFUSALS.keys() | USER_REFUSALS.keys() == REFUSED_KEYS.keys()


@pytest.mark.parametrize("key", CLUSTER_REFUSALS)
def test_settings_of_a_cluster_that_are_refused(key: str) -> None:
    assert REFUSED_KEYS[key] in refusal(config(cluster={key: CLUSTER_REFUSALS[key]}))


@pytest.mark.parametrize("key", USER_REFUSALS)
def test_settings_of_a_user_that_are_refused(key: str) -> None:
    assert REFUSED_KEYS[key] in refusal(config(user={key: USER_REFUSALS[key]}))


@pytest.mark.parametrize("key", USER_REFUSALS)
def test_a_refused_setting_is_refused_beside_the_wrong_body_too(key: str) -> None:
    assert refusal(config(cluster={key: USER_REFUSALS[key]}))


@pytest.mark.parametrize("value", [False, "false", ""])
def test_verification_that_is_not_skipped_changes_nothing(value: Any) -> None:
    assert parsed(config(cluster={"insecure-skip-tls-verify": value})).entries


OTHER_REFUSALS = {
    "unknown setting of the cluster": (config(cluster={"http-headers": {}}), "(http-headers)"),
    "unknown setting of the user": (config(user={"new-way": "x"}), "(new-way)"),
    "unknown setting of the context": (config(context={"as": "admin"}), "impersonates"),
    "no credential": (config(user={"token": None}), "token needs"),
    "two credentials": (config(user={"client-certificate-data": b64(CLIENT)}), "one of the two"),
    "no server": (config(cluster={"server": None}), "server must be"),
    "plain http": (config(cluster={"server": "http://k8s.test"}), "server must begin with https://"),
    "server is a list": (config(cluster={"server": ["https://k8s.test"]}), "server must be text"),
    "CA is no certificate": (config(cluster={"certificate-authority-data": b64("no")}), "does not hold certificates"),
    "CA is no base64": (config(cluster={"certificate-authority-data": "%%%"}), "is not base64"),
    "CA with a key": (config(cluster={"certificate-authority-data": b64(CA + CA_KEY)}), "holds a private key"),
    "token with a line break": (config(user={"token": "a\nb"}), "token must be"),
    "token is a list": (config(user={"token": ["a"]}), "token must be text"),
    "certificate without key": (
        config(user={"token": None, "client-certificate-data": b64(CLIENT)}),
        "client-key-data is not an unencrypted private key",
    ),
    "key of another certificate": (
        config(user={"token": None, "client-certificate-data": b64(CLIENT), "client-key-data": b64(CA_KEY)}),
        "client-key-data does not belong",
    ),
    "key without certificate": (config(user={"client-key-data": b64(CLIENT_KEY)}), "without a client certificate"),
    "no such cluster": (config(context={"cluster": "other"}), "no such cluster"),
    "no such user": (config(context={"user": None}), "no such user"),
    "a name too long": (config(name="x" * 64), "name must be"),
}


@pytest.mark.parametrize("case", OTHER_REFUSALS)
def test_other_refusals(case: str) -> None:
    value, reason = OTHER_REFUSALS[case]
    assert reason in refusal(value)


def test_all_reasons_are_told_at_once() -> None:
    reason = refusal(config(cluster={"proxy-url": "http://p"}, user={"exec": {}, "token": None, "tokenFile": "/x"}))
    assert [part in reason for part in ("proxy-url", "exec", "tokenFile")] == [True] * 3


def test_only_the_contexts_asked_for_are_read() -> None:
    value = config()
    value["contexts"].append({"name": "broken", "context": {"cluster": "none", "user": "u"}})
    assert [entry.name for entry in parsed(value, ["prod-eu"]).entries] == ["prod-eu"]
    assert parsed(value, ["prod-eu"]).refusals == ()
    assert [refused.context for refused in parsed(value).refusals] == ["broken"]
    assert [refused.reason for refused in parsed(value, ["absent"]).refusals] == ["the file has no such context"]


@pytest.mark.parametrize("plural", ["clusters", "users", "contexts"])
def test_a_name_that_stands_twice_is_refused(plural: str) -> None:
    value = config()
    value[plural].append(deepcopy(value[plural][0]))
    assert "more than once" in refusal(value)


def test_two_contexts_that_would_have_one_name_are_refused() -> None:
    value = config(name="prod/eu")
    value["contexts"].append({**deepcopy(value["contexts"][0]), "name": "prod:EU"})
    result = parsed(value)
    assert [entry.name for entry in result.entries] == ["prod-eu"]
    assert "its name prod-EU is that of context prod/eu too" in result.refusals[0].reason


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("kind-local", "kind-local"),
        ("arn:aws:eks:eu-west-1:123456789012:cluster/prod", "arn-aws-eks-eu-west-1-123456789012-cluster-prod"),
        ("default/api-test:6443/admin", "default-api-test-6443-admin"),
        ("(prod)", "prod"),
    ],
)
def test_names_from_contexts(context: str, name: str) -> None:
    assert name_from_context(context) == name
    assert check_name(name) == name


NO_TREE = {
    "no YAML": "a: [",
    "tab": "a:\n\t- b",
    "two documents": "a: b\n---\na: b",
    "empty": "",
    "duplicate key": "contexts: []\ncontexts: []",
    "key is a list": "? [a]\n: b",
    "merge key": "a: {<<: {b: c}}",
    "alias": "a: &x [1]\nb: *x",
    "anchor": "a: &x [1]",
    "anchor of a scalar": "a: &x b",
    "tag": "a: !!python/object/apply:os.system [id]",
    "string tag": "a: !!str b",
    "deep": "[" * 20 + "]" * 20,
    "very deep": "[" * 100_000,
    "many": "[" + "a," * 200_000 + "]",
    "long": "a" * (MAX_BYTES + 1),
    "NUL": "a: \0",
    "lone surrogate": "a: \ud800",
}


@pytest.mark.parametrize("case", NO_TREE)
def test_what_is_no_plain_yaml(case: str) -> None:
    with pytest.raises(ParseError):
        read_tree(NO_TREE[case])


NO_KUBECONFIG = {
    "text": "hello",
    "list": "- a",
    "another kind": "kind: Pod\ncontexts: []",
    "no contexts": "kind: Config\ncontexts: null",
    "contexts no list": "contexts: {a: b}",
    "context without name": "contexts: [{context: {}}]",
    "context no mapping": "contexts: [a]",
}


@pytest.mark.parametrize("case", NO_KUBECONFIG)
def test_what_is_no_kubeconfig(case: str) -> None:
    with pytest.raises(ParseError):
        parse(NO_KUBECONFIG[case])


def test_scalars_stay_what_was_written() -> None:
    tree = read_tree("a: yes\nb: 1:30\nc: 2026-01-01\nd: 0x1f\ne:\nf: 'x'")
    assert tree == {"a": "yes", "b": "1:30", "c": "2026-01-01", "d": "0x1f", "e": "", "f": "x"}


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://K8S.test", "https://k8s.test"),
        ("https://k8s.test:443/", "https://k8s.test"),
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
        ("https://[2001:DB8::1]:6443", "https://[2001:db8::1]:6443"),
        ("https://rancher.test/k8s/clusters/c-abc12", "https://rancher.test/k8s/clusters/c-abc12"),
    ],
)
def test_addresses_are_normalised(url: str, normal: str) -> None:
    assert check_url(url) == normal
    assert check_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "k8s.test",
        "http://k8s.test",
        "file:///etc/passwd",
        "https://",
        "https://:6443",
        "https://user@k8s.test",
        "https://user:CANARY-password@k8s.test",
        "https://k8s.test@evil.test",
        "https://k8s.test?a=b",
        "https://k8s.test?",
        "https://k8s.test#a",
        "https://k8s.test:0",
        "https://k8s.test:65536",
        "https://k8s.test:x",
        "https://k8s.test/../x",
        "https://k8s.test//x",
        "https://k8s.test/%2e%2e",
        "https://k8s.test\\@evil.test",
        "https://k8s .test",
        "https://k8s.test\n",
        "https://k8s..test",
        "https://-k8s.test",
        "https://[fe80::1%25eth0]",
        "https://[::1",
        "https://[x]",
        "https://höst.test",
        "https://" + "a" * 500,
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidField) as error:
        check_url(url)
    assert error.value.field == "api_url"
    assert "CANARY" not in str(error.value)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "a\x00", "ä", "x" * (16 * 1024 + 1)])
def test_tokens_that_are_refused(token: str) -> None:
    with pytest.raises(InvalidField):
        check_token(token)


def test_secrets_are_not_shown() -> None:
    entry = entry_from_fields(name="a", api_url="https://a", token=TOKEN)
    assert "CANARY" not in f"{entry} {entry!r} {[entry]}"


# Characters that JSON may hold and YAML may hold unescaped.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"], max_codepoint=0xD7FF), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.sampled_from(["c", "u", TOKEN, "https://x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["name", "cluster", "user", "token"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(st.text(max_size=400))
def test_no_text_raises_anything_but_a_parse_error(text: str) -> None:
    try:
        parse(text)
    except ParseError:
        return


@given(st.sampled_from(["clusters", "users", "contexts", "kind"]), JSON)
def test_no_structure_raises_anything_but_a_parse_error(key: str, value: Any) -> None:
    assert "CANARY" not in complaints(as_json({**config(), key: value}))


@given(st.sampled_from(["server", "certificate-authority-data", "token", "client-key-data"]), JSON)
def test_no_value_raises_anything_but_a_parse_error(key: str, value: Any) -> None:
    assert "CANARY" not in complaints(as_json(config(cluster={key: value}, user={key: value})))


@given(st.sampled_from(sorted({**CLUSTER_REFUSALS, **USER_REFUSALS})), JSON, st.booleans())
def test_what_runs_opens_or_impersonates_is_never_accepted(key: str, value: Any, in_user: bool) -> None:
    body = {key: value}
    try:
        result = parse(as_json(config(user=body) if in_user else config(cluster=body)))
    except ParseError:  # a merge key
        return
    harmless = (
        value is None or value in ("", "null", "~") or (key == "insecure-skip-tls-verify" and value in (False, "false"))
    )
    assert bool(result.entries) == harmless


@given(st.dictionaries(TEXT.filter(lambda key: key != "<<"), TEXT, min_size=1, max_size=3))
def test_unknown_settings_of_a_user_are_refused(extra: dict[str, str]) -> None:
    known = {"token", "client-certificate-data", "client-key-data", "extensions"}
    harmless = all(key in known or value in ("", "null", "~") for key, value in extra.items())
    result = parse(as_json(config(user={key: value for key, value in extra.items() if key not in known})))
    assert bool(result.entries) == harmless
