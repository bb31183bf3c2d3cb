"""What counts as a revision of an object: what somebody wrote or what runs, nothing that a controller reports."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import (
    FACTS_TYPES,
    ClassFacts,
    DriverFacts,
    Facts,
    PodFacts,
    RefreshedFacts,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    StoreFacts,
    WorkloadFacts,
)
from monitoring.revisions import LONGEST, Revised, added_key, recreated, removed, revisions_of

THEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)
RENEWED = SealingCertificateFacts(sha256="bb" * 32, not_before=NOW)

CASES: list[tuple[str, Facts, dict[str, Any], tuple[Revised, ...]]] = [
    (
        "a spec, by whom and when",
        RefreshedFacts(generation=3, spec_written_at=THEN, spec_written_by="kubectl"),
        {"generation": 4, "spec_written_at": NOW, "spec_written_by": "argocd"},
        (Revised("spec", "generation 3", "generation 4", NOW, "argocd"),),
    ),
    (
        "a spec whose time of writing did not move: nobody knows who",
        SealedSecretFacts(generation=1, spec_written_at=THEN, spec_written_by="kubectl"),
        {"generation": 2},
        (Revised("spec", "generation 1", "generation 2"),),
    ),
    (
        "a store that was recorded before it had a time of writing",
        StoreFacts(generation=1),
        {"generation": 2, "spec_written_at": NOW, "spec_written_by": "helm"},
        (Revised("spec", "generation 1", "generation 2", NOW, "helm"),),
    ),
    ("a class", ClassFacts(generation=1), {"generation": 2}, (Revised("spec", "generation 1", "generation 2"),)),
    (
        "a refresh",
        RefreshedFacts(generation=3, refreshed_at=THEN, synced_version="3-" + "a" * 56),
        {"refreshed_at": NOW, "ready": False, "synced_version": "3-" + "b" * 56},
        (),
    ),
    (
        "labels",
        RefreshedFacts(generation=3, spec_written_at=THEN, expected_version="3-" + "a" * 56),
        {"expected_version": "3-" + "b" * 56, "spec_written_at": NOW, "spec_written_by": "kubectl"},
        (Revised("labels", "", "", NOW, "kubectl"),),
    ),
    (
        "labels with a spec are one revision",
        RefreshedFacts(generation=3, expected_version="3-" + "a" * 56),
        {"generation": 4, "expected_version": "4-" + "b" * 56},
        (Revised("spec", "generation 3", "generation 4"),),
    ),
    (
        "another algorithm over the same labels",
        RefreshedFacts(generation=3, expected_version="3-" + "a" * 32),
        {"expected_version": "3-" + "b" * 56},
        (),
    ),
    ("a first sync", RefreshedFacts(generation=3), {"expected_version": "3-" + "b" * 56}, ()),
    (
        "a deletion, which raises the generation",
        RefreshedFacts(generation=3),
        {"generation": 4, "deleting_since": NOW},
        (Revised("spec", "generation 3", "deletion", NOW),),
    ),
    ("what waits for its deletion", RefreshedFacts(generation=4, deleting_since=THEN), {"generation": 5}, ()),
    (
        "an operator's image and its options",
        WorkloadFacts(version="v2.8.0", options={"concurrent": "1"}, ready=1),
        {"version": "v2.9.0", "options": {"concurrent": "5", "controller-class": "a"}, "ready": 0},
        (
            Revised("version", "v2.8.0", "v2.9.0"),
            Revised("options", "concurrent=1, controller-class not set", "concurrent=5, controller-class=a"),
        ),
    ),
    ("an operator's replicas", WorkloadFacts(generation=1, desired=1), {"generation": 2, "desired": 2}, ()),
    (
        "the driver's republishing",
        DriverFacts(requires_republish=True),
        {"requires_republish": None},
        (Revised("options", "requiresRepublish=true", "requiresRepublish not set"),),
    ),
    ("a sealing key", SealingKeyFacts(state="active"), {"state": ""}, (Revised("key", "active", "not used"),)),
    (
        "a served certificate",
        SealingCertificateFacts(sha256="aa" * 32, not_before=THEN),
        {"sha256": "bb" * 32, "not_before": NOW},
        (Revised("key", "aaaaaaaa", "bbbbbbbb", NOW),),
    ),
    (
        "an older certificate that is served again",
        RENEWED,
        {"sha256": "aa" * 32, "not_before": THEN},
        (Revised("key", "bbbbbbbb", "aaaaaaaa"),),
    ),
    ("a pod", PodFacts(generation=1), {"generation": 2, "phase": "Failed"}, ()),
]


@pytest.mark.parametrize(("before", "changed", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_revisions(before: Facts, changed: dict[str, Any], wanted: tuple[Revised, ...]) -> None:
    assert revisions_of(before, msgspec.structs.replace(before, **changed)) == wanted
    assert revisions_of(before, before) == ()


def test_another_object_of_the_same_name() -> None:
    facts = StoreFacts(generation=7, spec_written_by="helm")
    assert recreated(StoreFacts(), facts, NOW) == (Revised("spec", "recreated", "generation 7", NOW, "helm"),)
    key = SealingKeyFacts(state="active")
    assert recreated(key, key, NOW) == (Revised("key", "recreated", "active", NOW),)
    assert recreated(PodFacts(), PodFacts(), NOW) == ()
    served = SealingCertificateFacts(sha256="aa" * 32, not_before=THEN)
    assert recreated(served, RENEWED, NOW) == (Revised("key", "aaaaaaaa", "bbbbbbbb", NOW),)


def test_what_went_away_and_others_depend_on() -> None:
    assert removed(StoreFacts(generation=2)) == (Revised("spec", "generation 2", "absent"),)
    assert removed(SealingKeyFacts(state="active")) == (Revised("key", "active", "absent"),)
    assert removed(RefreshedFacts(generation=2)) == ()


def test_of_what_is_new_only_a_key_is_told() -> None:
    assert added_key(SealingKeyFacts(state="active"), NOW) == (Revised("key", "absent", "active", NOW),)
    assert added_key(StoreFacts(generation=1), NOW) == ()


def hostile_facts(kind: type[Facts]) -> st.SearchStrategy[Facts]:
    """Facts of one type with long and odd texts in every text field."""
    texts = st.text(max_size=600)
    fields = {field.name: texts for field in msgspec.structs.fields(kind) if field.type is str}
    if kind is WorkloadFacts:
        fields["options"] = st.dictionaries(texts, texts, max_size=20)  # type: ignore[assignment]
    return st.builds(kind, generation=st.integers(min_value=0), **fields)


@given(st.data())
def test_whatever_differs_is_told_in_texts_that_fit_their_columns(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(set(FACTS_TYPES.values()), key=lambda found: found.__name__)))
    before, after = data.draw(hostile_facts(kind)), data.draw(hostile_facts(kind))
    found = [*revisions_of(before, after), *recreated(before, after, NOW), *removed(before), *added_key(after, NOW)]
    for revised in found:
        assert max(map(len, (revised.before, revised.after, revised.by))) <= LONGEST
        assert len(revised.what) <= 20
    assert revisions_of(before, before) == ()
