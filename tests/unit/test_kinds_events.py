"""Kubernetes Events: which are ours, and what of them is kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.facts import ResourceKey
from clusters.kinds import JUDGED_KINDS
from clusters.kinds.events import keeper, note, selectors
from clusters.observations import EventNote


def event(**fields: Any) -> EventNote | None:
    return note(whole(**fields))


def whole(**fields: Any) -> bytes:
    document = {
        "metadata": {"uid": "u-1", "resourceVersion": "5", "creationTimestamp": "2026-11-24T04:00:00Z"},
        "involvedObject": {"kind": "ExternalSecret", "namespace": "shop", "name": "db", "uid": "o-1"},
        "type": "Warning",
        "reason": "UpdateFailed",
        "message": "it failed",
        "source": {"component": "external-secrets"},
        **fields,
    }
    return json.dumps(document).encode()


def pod(reason: str, message: str) -> EventNote | None:
    return event(involvedObject={"kind": "Pod", "namespace": "shop", "name": "shop-1"}, reason=reason, message=message)


def test_an_event_is_filed_under_what_it_is_about() -> None:
    kept = event()

    assert kept is not None
    assert kept.involved == ResourceKey("ExternalSecret", "shop", "db")
    assert (kept.involved_uid, kept.component, kept.type, kept.count) == ("o-1", "external-secrets", "Warning", 1)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ExternalSecret", "Created"),
        ("ExternalSecret", "Updated"),
        ("SealedSecret", "Unsealed"),
        ("PushSecret", "Synced"),
    ],
)
def test_good_news_is_kept_as_well(kind: str, reason: str) -> None:
    """Rotations are told by it."""
    involved = {"kind": kind, "namespace": "shop", "name": "db", "uid": "o-1"}
    kept = keeper(JUDGED_KINDS)(whole(type="Normal", reason=reason, message="secret updated", involvedObject=involved))

    assert kept is not None
    assert (kept.type, kept.reason, kept.message) == ("Normal", reason, "secret updated")
    assert kept.involved == ResourceKey(kind, "shop", "db")
    assert all("type=" not in s["fieldSelector"] or "kind=Pod" in s["fieldSelector"] for s in selectors(JUDGED_KINDS))


@pytest.mark.parametrize(
    ("reason", "message", "ours"),
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "s" : failed to mount secrets store objects for pod',
            True,
        ),
        ("FailedMount", "failed to get secretproviderclass a/b, error: not found", True),
        ("FailedMount", "driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers", True),
        ("FailedMount", 'MountVolume.SetUp failed for volume "cfg" : configmap "shop" not found', False),
        ("FailedToCreateSecret", "timed out waiting for the condition", True),
        ("MountRotationFailed", "provider mount err", True),
        ("SecretRotationFailed", "timed out waiting for the condition", True),
        ("BackOff", "Back-off restarting failed container, secrets-store", False),
    ],
)
def test_of_pods_only_what_concerns_our_mounts_is_kept(reason: str, message: str, ours: bool) -> None:
    assert (pod(reason, message) is not None) == ours


@pytest.mark.parametrize(
    ("fields", "first", "last", "count"),
    [
        ({"firstTimestamp": "2026-11-24T05:00:00Z", "lastTimestamp": "2026-11-24T06:00:00Z", "count": 7}, 5, 6, 7),
        ({"eventTime": "2026-11-24T07:00:00.123456Z"}, 7, 7, 1),
        (
            {"eventTime": "2026-11-24T07:00:00Z", "series": {"count": 3, "lastObservedTime": "2026-11-24T08:00:00Z"}},
            7,
            8,
            3,
        ),
        ({"firstTimestamp": None, "lastTimestamp": None, "count": None}, 4, 4, 1),
        ({"count": -5}, 4, 4, 1),
    ],
    ids=str,
)
def test_times_and_counts_come_from_either_form_of_the_api(fields: Any, first: int, last: int, count: int) -> None:
    kept = event(**fields)

    assert kept is not None
    assert kept.first_at is not None
    assert kept.last_at is not None
    assert (kept.first_at.hour, kept.last_at.hour, kept.count) == (first, last, count)
    assert kept.first_at.tzinfo == UTC == datetime.now(UTC).tzinfo


def test_no_kind_that_is_left_out_is_one_of_ours() -> None:
    others, pods = (selector["fieldSelector"] for selector in selectors(JUDGED_KINDS))
    left_out = {part.removeprefix("involvedObject.kind!=") for part in others.split(",")}

    assert left_out & set(JUDGED_KINDS) == {"Pod"}  # asked for by the other request
    assert pods == "involvedObject.kind=Pod,type=Warning"


def test_pods_are_asked_for_where_there_can_be_mounts() -> None:
    assert len(selectors(["ExternalSecret"])) == 1
    assert len(selectors(["SecretProviderClassPodStatus"])) == 2


def test_events_of_other_kinds_that_came_along_are_dropped() -> None:
    item = json.dumps({"metadata": {}, "involvedObject": {"kind": "SecretStore", "name": "vault"}}).encode()

    assert keeper(["SecretStore"])(item) is not None
    assert keeper(["ExternalSecret"])(item) is None
