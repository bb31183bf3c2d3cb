"""Watches, and the versions that they begin at."""

from typing import Any

from tests.integration.contract.server import CORE, IN_NAMESPACE, METADATA, METADATA_LIST, Client, fill


def test_a_version_from_the_future_is_refused_by_lists_and_silent_in_watches(client: Client) -> None:
    future = int(client.version()) + 100_000
    answer = client.get(IN_NAMESPACE, resourceVersion=future, resourceVersionMatch="NotOlderThan")
    assert answer.code == 504
    assert answer.json["reason"] == "Timeout"
    assert answer.json["message"].startswith("Timeout: Too large resource version")
    watch = client.get(IN_NAMESPACE, watch="true", resourceVersion=future, timeoutSeconds=1)
    assert (watch.code, watch.body) == (200, b"")


def test_a_forgotten_version_ends_a_watch_with_an_error_event(client: Client) -> None:
    watch = client.get(IN_NAMESPACE, watch="true", resourceVersion=1, timeoutSeconds=2)
    assert watch.code == 200
    (event,) = watch.lines
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")


def test_versions_that_cannot_be_read(client: Client) -> None:
    assert client.get(IN_NAMESPACE, resourceVersion="abc").code == 400
    assert client.get(IN_NAMESPACE, resourceVersionMatch="NotOlderThan").code == 422


def test_a_watch_tells_what_happened_since_a_version(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    fill(client, "b")
    client.patch(f"{IN_NAMESPACE}/a", {"spec": {"refreshInterval": "2h"}})
    client.send("DELETE", f"{IN_NAMESPACE}/b")
    events = client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1).lines
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    assert {event["object"]["kind"] for event in events} == {"ExternalSecret"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(begin)


def test_a_watch_that_finds_nothing_is_empty(client: Client) -> None:
    fill(client, "a")
    assert client.get(IN_NAMESPACE, watch="true", resourceVersion=client.version(), timeoutSeconds=1).body == b""


def test_a_watch_without_a_version_begins_with_everything(client: Client) -> None:
    fill(client, "ab")
    events = client.get(IN_NAMESPACE, watch="true", timeoutSeconds=1).lines
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


def test_a_bookmark_comes_from_three_seconds_on(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    another_kind_changes(client)
    assert bookmarks(client, begin, seconds=2) == []
    # Best effort by the API's contract: on a busy machine the real server lets one slip, or sends two.
    found = next((found for _ in range(4) if (found := bookmarks(client, begin, seconds=3))), [])
    assert {event["type"] for event in found} == {"BOOKMARK"}
    assert found[-1]["object"]["kind"] == "ExternalSecret"
    assert int(found[-1]["object"]["metadata"]["resourceVersion"]) > int(begin)


def bookmarks(client: Client, begin: str, seconds: int) -> list[Any]:
    query: dict[str, Any] = {"watch": "true", "resourceVersion": begin, "timeoutSeconds": seconds}
    return client.get(IN_NAMESPACE, allowWatchBookmarks="true", **query).lines


def another_kind_changes(client: Client) -> None:
    """Raise the version of the whole server; the list makes the cache of ExternalSecrets take notice."""
    client.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    client.version()


def test_no_bookmark_where_nothing_at_all_was_written(client: Client) -> None:
    fill(client, "a")
    # The real server writes something of its own now and then, such as its lease; not in every three seconds.
    assert any(bookmarks(client, client.version(), seconds=3) == [] for _ in range(4))


def test_no_bookmark_unless_asked_for(client: Client) -> None:
    begin = client.version()
    another_kind_changes(client)
    assert client.get(IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=3).body == b""


def test_a_selector_turns_changes_into_arrivals_and_departures(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}})
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "y"}}})
    events = client.get(
        IN_NAMESPACE, watch="true", resourceVersion=begin, timeoutSeconds=1, labelSelector="team=x"
    ).lines
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]


def test_watches_of_metadata(client: Client) -> None:
    fill(client, "a")
    begin = client.version()
    client.patch(f"{IN_NAMESPACE}/a", {"metadata": {"labels": {"team": "x"}}})
    query: dict[str, Any] = {"watch": "true", "resourceVersion": begin, "timeoutSeconds": 1}
    (event,) = client.get(IN_NAMESPACE, METADATA, **query).lines
    assert (event["type"], event["object"]["kind"]) == ("MODIFIED", "PartialObjectMetadata")
    assert "spec" not in event["object"]
    silent = client.get(IN_NAMESPACE, METADATA_LIST, **query)
    assert (silent.code, silent.body) == (200, b"")
