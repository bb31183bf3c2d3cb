"""Objects that real controllers wrote, through the decoders: what a rule needs is there, what is a value is not."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from clusters.facts import FACTS_TYPES, RefreshedFacts, Relation, SecretFacts, facts_from_json, facts_to_json
from clusters.kinds import BY_NAME, WATCHED_KINDS
from clusters.kinds.events import note
from clusters.kinds.sealed_secrets import DEFAULT_CONTROLLER, observe_certificate
from clusters.observations import EventNote, Observation
from clusters.tagging import tagger

TAG = tagger(b"k" * 32)
TESTDATA = Path(__file__).parent.parent / "testdata"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
FAMILIES = ("external_secrets", "sealed_secrets", "secrets_store_csi")
# Cases in which the present generation or metadata is not synced: the formula must differ there, and only there.
NOT_SYNCED = {"bad-duration", "created-once-changed", "deletion-stuck", "interval-zero-changed", "out-of-date"}


class Recorded(NamedTuple):
    case: str
    kind: str
    item: dict[str, Any]


@cache
def recorded() -> tuple[Recorded, ...]:
    return tuple(_walk())


def _walk() -> Iterator[Recorded]:
    for family in FAMILIES:
        for file in sorted((TESTDATA / family).rglob("*.json")):
            case = file.relative_to(TESTDATA / family).parts[0]
            if file.name != "certs.json":
                for item in json.loads(file.read_text())["items"] or ():
                    for kind in _kinds(file.name, item):
                        yield Recorded(case, kind, item)


def _kinds(file: str, item: dict[str, Any]) -> tuple[str, ...]:
    """As which of our kinds the object is read."""
    if file == "events.json":
        return ("Event",)
    if file == "secrets.json":
        return ("SealingKey", "Secret")
    return ("Pod", "DriverPod") if item["kind"] == "Pod" else (item["kind"],)


def observed() -> Iterator[tuple[Recorded, Observation]]:
    for entry in recorded():
        if entry.kind in BY_NAME:
            observation = BY_NAME[entry.kind].observing(TAG)(json.dumps(entry.item).encode())
            if observation is not None:
                yield entry, observation


def noted() -> Iterator[tuple[Recorded, EventNote]]:
    for entry in recorded():
        if entry.kind == "Event":
            event = note(json.dumps(entry.item).encode())
            assert event is not None, entry
            yield entry, event


def test_there_is_something_recorded_of_most_kinds() -> None:
    kinds = {observation.key.kind for _, observation in observed()}

    assert kinds >= set(FACTS_TYPES) - {"ClusterPushSecret", "SealingCertificate"}
    assert sum(1 for _ in noted()) > 200


def test_every_recorded_object_of_a_kind_that_skips_nothing_becomes_an_observation() -> None:
    whole = {watched.kind for watched in WATCHED_KINDS if watched.listed and not watched.filtered}
    expected = [entry for entry in recorded() if entry.kind in whole]

    assert len(expected) > 200
    assert len([entry for entry, observation in observed() if observation.key.kind in whole]) == len(expected)


def test_no_recorded_object_has_a_problem() -> None:
    problems = [(entry.case, observation.key, observation.facts.problem) for entry, observation in observed()]

    assert [problem for problem in problems if problem[2]] == []


def test_the_recorded_canaries_reach_no_observation_and_no_event() -> None:
    everything = json.dumps([entry.item for entry in recorded()])
    kept = [msgspec.json.encode(observation).decode() for _, observation in observed()]
    kept += [msgspec.json.encode(event).decode() for _, event in noted()]

    assert "CANARY" in everything
    assert [text for text in kept if "CANARY" in text] == []


def test_no_hash_of_data_reaches_an_observation() -> None:
    kept = "".join(msgspec.json.encode(observation).decode() for _, observation in observed())
    annotations = [entry.item["metadata"].get("annotations") or {} for entry in recorded() if entry.kind == "Secret"]
    hashes = {found[DATA_HASH] for found in annotations if DATA_HASH in found}

    assert len(hashes) > 20
    assert [digest for digest in hashes if digest in kept] == []
    assert sum(1 for _, observation in observed() if getattr(observation.facts, "data_tag", "")) > 20


def test_two_clusters_with_one_value_have_one_tag_and_with_two_values_two() -> None:
    tags = {"two-clusters-equal": set[str](), "two-clusters-differ": set[str]()}
    for entry, observation in observed():
        if isinstance(observation.facts, SecretFacts) and entry.case in tags and observation.facts.data_tag:
            tags[entry.case].add(observation.facts.data_tag)

    assert {case: len(found) for case, found in tags.items()} == {"two-clusters-equal": 1, "two-clusters-differ": 2}


def test_a_recorded_external_secret_names_its_keys() -> None:
    [synced] = [o for entry, o in observed() if entry.case == "synced" and isinstance(o.facts, RefreshedFacts)]
    assert isinstance(synced.facts, RefreshedFacts)

    assert [(key.store.name, key.key) for key in synced.facts.keys] == [(synced.facts.stores[0].name, "prod/db")]
    assert any(reference.relation == Relation.KEY for reference in synced.references)


def test_ciphertext_reaches_no_observation() -> None:
    kept = "".join(msgspec.json.encode(observation).decode() for _, observation in observed())
    sealed = [entry.item for entry in recorded() if entry.kind == "SealedSecret"]
    ciphertexts = {value for item in sealed for value in item["spec"]["encryptedData"].values() if len(value) > 20}

    assert ciphertexts
    assert [value for value in ciphertexts if value[:20] in kept] == []


def test_facts_survive_storage() -> None:
    for _, observation in observed():
        stored = json.loads(json.dumps(facts_to_json(observation.facts), default=str))

        assert facts_from_json(observation.key.kind, stored) == observation.facts


def test_the_expected_version_is_what_the_controller_wrote_unless_it_has_not_synced() -> None:
    differing, equal = set(), 0
    for entry, observation in observed():
        facts = observation.facts
        if isinstance(facts, RefreshedFacts) and facts.synced_version:
            if facts.expected_version == facts.synced_version:
                equal += 1
            else:
                differing.add(entry.case)

    assert equal > 50
    assert differing == NOT_SYNCED


def test_references_lead_to_what_was_recorded_beside_them() -> None:
    """Stores and classes that a case has are found by the keys that references name."""
    keys = {observation.key for _, observation in observed()}
    targets = {reference.target for _, observation in observed() for reference in observation.references}

    assert {key for key in keys if key.kind == "SecretStore"} & targets
    assert {key for key in keys if key.kind == "ClusterSecretStore"} <= targets | keys
    assert {key for key in keys if key.kind == "SecretProviderClass"} & targets
    assert {key for key in keys if key.kind == "CSINode"} & targets


@pytest.mark.parametrize("file", sorted((TESTDATA / "sealed_secrets").rglob("certs.json")), ids=str)
def test_certificates_are_read_as_openssl_reads_them(file: Path) -> None:
    for certificate in json.loads(file.read_text()):
        observation = observe_certificate(certificate["pem"].encode(), DEFAULT_CONTROLLER)
        facts = json.loads(msgspec.json.encode(facts_to_json(observation.facts)))

        assert facts["sha256"] == certificate["sha256"] == observation.uid
        assert facts["not_before"] == certificate["not_before"]
        assert facts["not_after"] == certificate["not_after"]
        assert facts["key_bits"] in (2048, 4096)
