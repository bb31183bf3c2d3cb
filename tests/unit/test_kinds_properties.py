"""Whatever JSON a cluster sends as an item, `observe` gives an Observation or None and never raises."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.facts import FACTS_TYPES, facts_from_json, facts_to_json
from clusters.kinds import WATCHED_KINDS
from clusters.kinds.base import Item, WatchedKind, fingerprint
from clusters.kinds.events import note
from clusters.kinds.sealed_secrets import DEFAULT_CONTROLLER, observe_certificate
from clusters.observations import EventNote, Observation
from clusters.tagging import tagger

TAG = tagger(b"k" * 32)
TESTDATA = Path(__file__).parent.parent / "testdata"
LISTED = [watched for watched in WATCHED_KINDS if watched.listed]

# Names that the decoders know, so that generated documents go deeper than their first field.
FIELDS = [
    "metadata", "spec", "status", "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "labels", "annotations", "ownerReferences", "managedFields", "fieldsV1", "f:spec", "time",
    "manager", "conditions", "type", "message", "reason", "lastTransitionTime", "refreshInterval", "secretStoreRef",
    "data", "dataFrom", "sourceRef", "storeRef", "target", "manifest", "syncWindows", "windows", "refreshTime",
    "syncedResourceVersion", "provider", "vault", "server", "encryptedData", "template", "parameters", "objects",
    "secretObjects", "secretName", "podName", "drivers", "containers", "image", "args", "env", "value", "replicas",
    "involvedObject", "kind", "count", "series", "lastTimestamp", "failedNamespaces", "selector", "secret",
    "sealedsecrets.bitnami.com/sealed-secrets-key", "sealedsecrets.bitnami.com/cluster-wide",
    "f:encryptedData", "f:data", "f:password", "subresource", "apiVersion", "find", "name", "path", "tags", "regexp",
    "volumes", "csi", "driver", "volumeAttributes", "secretProviderClass", "volumeMounts", "subPath", "nodeName",
    "phase", "length", "digits", "symbols", "symbolCharacters", "allowRepeat", "noUpper", "controller", "app",
    "keyvaultName", "tenantId", "reconcile.external-secrets.io/data-hash",
    "kubectl.kubernetes.io/last-applied-configuration", "remoteRef", "extract", "key", "property", "version",
    "conversionStrategy", "aws", "gcpsm", "azurekv", "region", "role", "projectID", "vaultUrl", "vaults", "secretKey",
]  # fmt: skip
WORDS = [
    "", "db", "True", "False", "Ready", "Synced", "1h", "1-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2",
    "1-2f2c636d06132f67992c15a1daeb0a5f", "2026-11-24T04:16:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00",
    "https://vault:8200", "http://[::1", "https://a:b@c?d", "--key-ttl", "external-secrets:v1", "secrets-store/driver",
    "objectName: x", "\u202edb", "<b>", "\x00", "CSINode", "Pod", "FailedMount", "-----BEGIN CERTIFICATE-----",
    "secrets-store.csi.k8s.io", "AgBy3i4OJSWK", "97a15070f5f8c3bfe47678c5409471f6", "external-secrets.io/v1beta1",
    "azure", "aws", "objectName: arn:aws:x", "vault-csi-provider:1", "csi-secrets-store",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=8)), inner)
    ),
    max_leaves=25,
)


@st.composite
def items(draw: st.DrawFn) -> bytes:
    """Objects with plausible metadata and wild content, wild objects, and bytes that are no JSON."""
    document: Any = draw(VALUES)
    if draw(st.booleans()):
        wild = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
        document = {**wild, "metadata": {"name": "db", "namespace": "shop", **draw(st.just({}) | st.just(wild))}}
    encoded = json.dumps(document).encode("utf-8", "surrogatepass")
    return draw(st.just(encoded) | st.binary(max_size=40) | st.just(encoded[: len(encoded) // 2]))


def examples(kind: str) -> list[Any]:
    """A few objects of one kind that real controllers wrote, of different shapes."""
    file_name, wanted = ("secrets.json", None) if kind in ("Secret", "SealingKey") else ("objects.json", kind)
    found = (json.loads(file.read_text())["items"] or [] for file in sorted(TESTDATA.rglob(file_name)))
    wanted = "Pod" if wanted == "DriverPod" else wanted
    ours = [item for group in found for item in group if wanted is None or item["kind"] == wanted]
    return ours[:: max(1, len(ours) // 5)]


def events() -> list[Any]:
    found = (json.loads(file.read_text())["items"] or [] for file in sorted(TESTDATA.rglob("events.json")))
    return [group[0] for group in found if group][::10]


EXAMPLES = {watched.kind: examples(watched.kind) for watched in LISTED} | {"Event": events()}


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """A real object of `kind` in which one value somewhere was replaced."""
    if not EXAMPLES[kind]:
        return draw(items())
    document = json.loads(json.dumps(draw(st.sampled_from(EXAMPLES[kind]))))
    place: Any = document
    while True:
        entries = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = draw(st.sampled_from(entries))
        inner = place[step]
        if not inner or not isinstance(inner, dict | list) or draw(st.integers(0, 3)) == 0:
            place[step] = draw(VALUES)
            return json.dumps(document).encode("utf-8", "surrogatepass")
        place = inner


@pytest.mark.parametrize("watched", LISTED, ids=lambda watched: watched.kind)
@settings(deadline=None)
@given(data=st.data())
def test_observe_survives_any_damage_to_a_real_object(watched: WatchedKind, data: st.DataObject) -> None:
    observation = watched.observing(TAG)(data.draw(damaged(watched.kind)))

    if observation is not None:
        check_observation(observation)


@settings(deadline=None)
@given(item=damaged("Event"))
def test_noting_survives_any_damage_to_a_real_event(item: bytes) -> None:
    event = note(item)

    if event is not None:
        check_event(event)


@pytest.mark.parametrize("watched", LISTED, ids=lambda watched: watched.kind)
@settings(deadline=None)
@given(item=items())
def test_observe_never_raises_and_what_it_gives_can_be_stored(watched: WatchedKind, item: bytes) -> None:
    observation = watched.observing(TAG)(item)

    if observation is not None:
        check_observation(observation)


@settings(deadline=None)
@given(item=items())
def test_noting_an_event_never_raises_and_what_it_gives_can_be_stored(item: bytes) -> None:
    event = note(item)

    if event is not None:
        check_event(event)


@settings(deadline=None)
@given(pem=st.binary(max_size=200) | st.just(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
def test_a_certificate_that_is_none_is_a_value_error(pem: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own texts
        observe_certificate(pem, DEFAULT_CONTROLLER)


def check_observation(observation: Observation) -> None:
    kind, namespace, name = observation.key
    assert 1 <= len(name) <= 253
    assert len(namespace) <= 253
    assert len(observation.uid) <= 80
    assert -(2**63) <= observation.fingerprint < 2**63
    assert type(observation.facts) is FACTS_TYPES[kind]
    # Postgres holds neither NUL nor, in JSON, a lone surrogate.
    # A character above U+FFFF is a pair of surrogates in ASCII JSON, so look at the text itself.
    stored = json.dumps(json.loads(msgspec.json.encode(facts_to_json(observation.facts))), ensure_ascii=False)
    assert "\\u0000" not in stored
    assert not any("\ud800" <= character <= "\udfff" for character in stored)
    assert facts_from_json(kind, json.loads(stored)) == observation.facts
    assert len(set(observation.references)) == len(observation.references)
    for _, target in observation.references:
        assert 1 <= len(target.name) <= 253
        assert target.name.isprintable()


def check_event(event: EventNote) -> None:
    assert len(event.message) <= 300
    assert event.message.isprintable()
    assert 1 <= event.count < 2**31
    assert len(event.reason) <= 130
    assert event.involved.name


WRONG_FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("ExternalSecret", {"spec": {"refreshInterval": 60}}, "spec.refreshInterval"),
    ("ExternalSecret", {"spec": {"data": [{"sourceRef": "CANARY-x"}]}}, "spec.data[0].sourceRef"),
    ("ExternalSecret", {"status": {"refreshTime": "CANARY-x"}}, "status.refreshTime"),
    ("SecretStore", {"spec": {"provider": ["CANARY-x"]}}, "spec.provider"),
    ("SealedSecret", {"status": {"observedGeneration": "CANARY-x"}}, "status.observedGeneration"),
    ("Pod", {"spec": {"volumes": [{"csi": "CANARY-x"}]}}, "spec.volumes[0].csi"),
    ("Secret", {"data": "CANARY-x", "metadata": {"ownerReferences": "CANARY-x"}}, "metadata.ownerReferences"),
    ("Password", {"spec": {"length": "CANARY-x"}}, "spec.length"),
    ("SecretProviderClass", {"spec": {"parameters": "CANARY-x"}}, "spec.parameters"),
    ("CSINode", {"spec": {"drivers": {"CANARY-x": 1}}}, "spec.drivers"),
]


@pytest.mark.parametrize(("kind", "content", "field"), WRONG_FIELDS, ids=lambda value: str(value)[:40])
def test_an_object_of_the_wrong_shape_keeps_its_name_and_says_which_field(
    kind: str, content: dict[str, Any], field: str
) -> None:
    metadata = {"name": "db", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"}
    observation = observe(kind, {**content, "metadata": {**metadata, **content.get("metadata", {})}})

    assert observation is not None
    assert observation.key == (kind, "shop", "db")
    assert observation.fingerprint == fingerprint("u-1", "7")
    assert observation.facts.problem == f"The field {field} does not have the type that its kind promises."


def test_an_object_with_odd_metadata_keeps_its_name_and_a_stable_fingerprint() -> None:
    odd = {"metadata": {"name": "db", "uid": 7, "resourceVersion": [1], "labels": "none"}}
    first, again = observe("CSINode", odd), observe("CSINode", odd)

    assert first is not None
    assert again is not None
    assert first.uid == ""
    assert first.fingerprint == again.fingerprint
    assert first.facts.problem


@pytest.mark.parametrize("name", ["", "a/b", "x" * 254, "db\x00", "\u202edb", 7, None])
def test_an_object_without_a_usable_name_is_none(name: Any) -> None:
    assert observe("ExternalSecret", {"metadata": {"name": name}}) is None


def test_times_that_no_controller_can_mean_are_unknown() -> None:
    metadata = {"name": "db", "creationTimestamp": "0001-01-01T00:00:00Z", "deletionTimestamp": "9999-12-31T00:00:00Z"}
    observation = observe("CSINode", {"metadata": metadata})

    assert observation is not None
    assert observation.created_at is None
    assert observation.facts.deleting_since is None


def test_times_with_an_offset_are_stored_in_utc() -> None:
    observation = observe("CSINode", {"metadata": {"name": "n", "creationTimestamp": "2026-11-24T06:00:00+02:00"}})

    assert observation is not None
    assert observation.created_at == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert observation.created_at.tzinfo is UTC


def observe(kind: str, document: Any) -> Observation | None:
    item: Item = json.dumps(document).encode()
    return next(watched for watched in WATCHED_KINDS if watched.kind == kind).observe(item)
