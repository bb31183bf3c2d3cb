"""One page of a list: what is known, what is new, and what spoils it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count, repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.connection import Answer, ReadFailed
from clusters.facts import SecretFacts
from clusters.kinds import BY_NAME
from clusters.kinds.base import fingerprint
from clusters.listing import MAX_PAGES, Content, ListRequest, not_read, read_kind, take_page
from clusters.observations import Failure, Observation, Outcome, ReadCursor
from clusters.tagging import no_tag, tagger

KIND = BY_NAME["ExternalSecret"]


def request_for(kind: str = "ExternalSecret") -> ListRequest:
    watched = BY_NAME[kind]
    return ListRequest("/apis/x", {}, watched.accept, watched.list_kind, watched.observe)


def item(name: str, version: str = "1", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": version}, **more}


def page(items: Any, kind: str = "ExternalSecretList", **metadata: Any) -> bytes:
    return json.dumps({"kind": kind, "items": items, "metadata": {"resourceVersion": "99", **metadata}}).encode()


def take(body: bytes, known: frozenset[int] = frozenset(), kind: str = "ExternalSecret") -> Content:
    content = Content(known)
    take_page(body, request_for(kind), content)
    return content


def names(content: Content) -> list[str]:
    return [entry.key.name for entry in content.new if isinstance(entry, Observation)]


def test_known_states_are_unchanged_and_all_others_are_observed() -> None:
    known = frozenset({fingerprint("uid-a", "1"), fingerprint("uid-b", "1"), fingerprint("uid-gone", "1")})
    content = take(page([item("a"), item("b", "2"), item("c")]), known)

    assert content.unchanged == {fingerprint("uid-a", "1")}
    assert names(content) == ["b", "c"]


def test_a_page_without_news_is_not_observed_at_all() -> None:
    """The item of an unchanged object is not looked at again: that is what makes it cheap."""
    seen = []
    known = frozenset({fingerprint("uid-a", "1")})
    content = Content(known)
    request = ListRequest("/apis/x", {}, KIND.accept, KIND.list_kind, lambda entry: seen.append(entry))
    take_page(page([item("a")]), request, content)

    assert seen == []
    assert content.unchanged == known


def test_an_item_of_the_wrong_shape_is_one_observation_with_a_problem_among_others() -> None:
    content = take(page([item("a"), item("b", spec=7), item("c")]))

    assert names(content) == ["a", "b", "c"]
    assert [bool(entry.facts.problem) for entry in content.new if isinstance(entry, Observation)] == [
        False,
        True,
        False,
    ]


def test_an_item_with_odd_metadata_spoils_neither_the_page_nor_what_is_known() -> None:
    odd = {"metadata": {"name": "odd", "uid": 5, "resourceVersion": None}}
    content = take(page([item("a"), odd, item("c")]), frozenset({fingerprint("uid-a", "1")}))

    assert content.unchanged == {fingerprint("uid-a", "1")}
    assert names(content) == ["odd", "c"]


@pytest.mark.parametrize("items", [None, []])
def test_no_items_may_be_null(items: Any) -> None:
    assert take(page(items, "PartialObjectMetadataList"), kind="SealingKey").new == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"kind":"ExternalSecretList"}',
        b'{"kind":"ExternalSecretList","metadata":{},"items":{}}',
        b'{"kind":"ExternalSecretList","metadata":{},"items":[',
        page([item("a")], "SecretStoreList"),
        page([item("a")], "ExternalSecret"),
        page([{"kind": "Secret", "metadata": {"name": "a"}, "data": {"password": "Q0FOQVJZ"}}], "SecretList"),
        b'{"kind":"Status","status":"Failure","metadata":{}}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_page_that_is_not_the_wanted_list_brings_nothing(body: bytes) -> None:
    content = Content(frozenset())
    with pytest.raises(ReadFailed) as failed:
        take_page(body, request_for(), content)

    assert failed.value.problem.failure == Failure.BAD_ANSWER
    assert (content.new, content.unchanged) == ([], set())


def test_secrets_that_come_instead_of_their_metadata_are_never_looked_at() -> None:
    """An API server that does not know the Accept header sends whole Secrets: refused by the kind of the list."""
    label = {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}
    secret = {
        "metadata": {"name": "k", "uid": "u", "resourceVersion": "1", "labels": label},
        "data": {"tls.key": "Q0E="},
    }
    with pytest.raises(ReadFailed):
        take(page([secret], "SecretList"), kind="SealingKey")


class Pages:
    """Answers with these pages, one after the other."""

    def __init__(self, *pages: bytes) -> None:
        self._pages = iter(pages)

    async def get(self, path: str, params: Mapping[str, str], accept: str) -> Answer:
        return Answer({}, next(self._pages))


def test_an_item_without_a_name_spoils_a_list_in_which_every_item_counts() -> None:
    """Left out, its resource would look deleted."""
    pages = Pages(page([item("a"), {"metadata": {"uid": "u"}}]))
    with pytest.raises(ReadFailed) as failed:
        asyncio.run(read_kind(pages, KIND, "v1", ReadCursor()))  # type: ignore[arg-type]

    assert failed.value.problem.failure == Failure.BAD_ANSWER


def test_an_item_without_a_name_is_skipped_in_a_list_that_is_filtered() -> None:
    pages = Pages(page([{"metadata": {"uid": "u"}}], "DaemonSetList"))
    result = asyncio.run(read_kind(pages, BY_NAME["DaemonSet"], "v1", ReadCursor()))  # type: ignore[arg-type]

    assert (result.outcome, result.observations) == (Outcome.COMPLETE, ())


def test_an_object_that_is_listed_twice_is_one_observation() -> None:
    """Deployments are asked for by two labels, and some carry both."""
    deployment = item(
        "external-secrets", spec={"template": {"spec": {"containers": [{"image": "x/external-secrets:1"}]}}}
    )
    pages = Pages(page([deployment], "DeploymentList"), page([deployment], "DeploymentList"))
    result = asyncio.run(read_kind(pages, BY_NAME["Deployment"], "v1", ReadCursor()))  # type: ignore[arg-type]

    assert len(result.observations) == 1


def test_what_is_read_is_tagged_with_the_tag_of_the_target() -> None:
    data_hash = "97a15070f5f8c3bfe47678c5409471f6"
    secret = item("db")
    secret["metadata"]["annotations"] = {"reconcile.external-secrets.io/data-hash": data_hash}
    tag = tagger(b"k" * 32)
    for how, wanted in ((tag, f"md5.{tag(data_hash)}"), (no_tag, "")):
        pages = Pages(page([secret], "PartialObjectMetadataList"))
        result = asyncio.run(read_kind(pages, BY_NAME["Secret"], "v1", ReadCursor(), tag=how))  # type: ignore[arg-type]

        [observation] = result.observations
        assert isinstance(observation.facts, SecretFacts)
        assert observation.facts.data_tag == wanted


class Namespaces:
    """Lists Secrets by namespace, except where that is forbidden."""

    def __init__(self, forbidden: str = "") -> None:
        self.paths: list[str] = []
        self._forbidden = forbidden

    async def get(self, path: str, params: Mapping[str, str], accept: str) -> Answer:
        self.paths.append(path)
        namespace = path.split("/")[4]
        if namespace == self._forbidden:
            raise ReadFailed(Failure.SERVER_ERROR, "secrets is forbidden", status=403)
        entry = {"metadata": {"name": "db", "namespace": namespace, "uid": namespace, "resourceVersion": "1"}}
        return Answer({}, page([entry], "PartialObjectMetadataList"))


def test_a_kind_is_read_in_the_given_namespaces_only() -> None:
    server = Namespaces()
    result = asyncio.run(read_kind(server, BY_NAME["Secret"], "v1", ReadCursor(), ("shop", "web")))  # type: ignore[arg-type]

    assert server.paths == ["/api/v1/namespaces/shop/secrets", "/api/v1/namespaces/web/secrets"]
    assert [str(entry.key) for entry in result.observations] == ["Secret shop/db", "Secret web/db"]
    assert result.namespaces == ("shop", "web")


def test_one_forbidden_namespace_makes_the_kind_forbidden_and_is_named() -> None:
    with pytest.raises(ReadFailed) as failed:
        asyncio.run(read_kind(Namespaces("web"), BY_NAME["Secret"], "v1", ReadCursor(), ("shop", "web")))  # type: ignore[arg-type]

    result = not_read("Secret", failed.value)
    assert result.outcome == Outcome.FORBIDDEN
    assert result.problem is not None
    assert result.problem.message == "The credential may not list secrets in the namespace web."
    assert (result.observations, result.namespaces) == ((), ())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "items", "uid"]), inner),
    max_leaves=8,
)
PAGES = st.binary(max_size=60) | st.builds(
    lambda items, metadata: json.dumps({"kind": "ExternalSecretList", "items": items, "metadata": metadata}).encode(),
    st.lists(JSON_VALUES | st.builds(item, st.text(max_size=5)), max_size=4),
    st.just({}) | JSON_VALUES,
)


@settings(deadline=None)
@given(PAGES)
def test_any_page_is_taken_or_refused(body: bytes) -> None:
    content = Content(frozenset())
    with suppress(ReadFailed):
        take_page(body, request_for(), content)

    assert all(isinstance(entry, Observation) for entry in content.new)


class Endless:
    """Answers every page with one that says there is more."""

    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens
        self.asked = 0

    async def get(self, path: str, params: Mapping[str, str], accept: str) -> Answer:
        self.asked += 1
        return Answer({}, page([], **{"continue": next(self._tokens)}))


@pytest.mark.parametrize(
    ("tokens", "pages"), [(repeat("same"), 2), (map(str, count()), MAX_PAGES)], ids=["same", "new"]
)
def test_a_list_without_an_end_is_given_up(tokens: Iterator[str], pages: int) -> None:
    server = Endless(tokens)
    with pytest.raises(ReadFailed) as failed:
        asyncio.run(read_kind(server, KIND, "v1", ReadCursor()))  # type: ignore[arg-type]

    assert failed.value.problem.failure == Failure.INTERRUPTED
    assert server.asked == pages


def test_the_continue_token_and_the_version_come_from_the_metadata() -> None:
    metadata = take_page(page([], **{"continue": "next"}), request_for(), Content(frozenset()))

    assert (metadata.continue_, metadata.resource_version) == ("next", "99")
