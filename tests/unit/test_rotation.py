"""When a mount got its versions."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import MountedObject, MountFacts
from monitoring.rotation import with_change_times

CREATED = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
WRITTEN = CREATED + timedelta(hours=2)
LATER = CREATED + timedelta(hours=5)


def mount(versions: dict[str, str], *, generation: int = 1, written_at: datetime | None = WRITTEN) -> MountFacts:
    objects = tuple(MountedObject(id=name, version=version) for name, version in versions.items())
    return MountFacts(generation=generation, objects=objects, written_at=written_at)


def moments(facts: MountFacts) -> dict[str, datetime | None]:
    return {item.id: item.changed_at for item in facts.objects}


def test_a_fresh_mount_has_its_versions_since_it_was_made() -> None:
    seen = with_change_times(None, mount({"db": "1"}), CREATED)
    assert moments(seen) == {"db": CREATED}


def test_a_mount_that_was_written_again_may_have_changed_anything_then() -> None:
    seen = with_change_times(None, mount({"db": "1", "mail": "1"}, generation=2), CREATED)
    assert moments(seen) == {"db": WRITTEN, "mail": WRITTEN}


def test_only_what_changed_gets_another_moment() -> None:
    before = with_change_times(None, mount({"db": "1", "mail": "1"}), CREATED)
    seen = with_change_times(before, mount({"db": "2", "mail": "1"}, generation=2, written_at=LATER), CREATED)
    assert moments(seen) == {"db": LATER, "mail": CREATED}


def test_an_object_that_is_new_in_the_mount_is_as_old_as_the_write() -> None:
    before = with_change_times(None, mount({"db": "1"}), CREATED)
    seen = with_change_times(before, mount({"db": "1", "mail": "1"}, generation=2, written_at=LATER), CREATED)
    assert moments(seen) == {"db": CREATED, "mail": LATER}


def test_a_rollback_is_a_change() -> None:
    first = with_change_times(None, mount({"db": "1"}), CREATED)
    second = with_change_times(first, mount({"db": "2"}, generation=2), CREATED)
    third = with_change_times(second, mount({"db": "1"}, generation=3, written_at=LATER), CREATED)
    assert moments(third) == {"db": LATER}


versions = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)


@given(versions, versions, st.integers(1, 3))
def test_what_did_not_change_keeps_its_moment_and_nothing_else_is_touched(
    old: dict[str, str], new: dict[str, str], generation: int
) -> None:
    before = with_change_times(None, mount(old), CREATED)
    observed = mount(new, generation=generation, written_at=LATER)
    seen = with_change_times(before, observed, CREATED)
    assert [(item.id, item.version) for item in seen.objects] == [(item.id, item.version) for item in observed.objects]
    for name, moment in moments(seen).items():
        assert moment == (moments(before)[name] if old.get(name) == new[name] else LATER)
    assert with_change_times(seen, observed, CREATED) == seen
