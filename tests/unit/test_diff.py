"""Comparing knowledge with a snapshot: what counts as added, changed, recreated, removed."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import Facts, ResourceKey
from clusters.observations import KindResult, Observation, Outcome
from monitoring.diff import Known, compare, missing_fingerprints
from monitoring.health import Health

NOW = datetime(2026, 11, 24, tzinfo=UTC)

# A world: name -> (uid, version). Two worlds are what we knew and what there is now.
worlds = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=8)


def fingerprint(name, uid, version):
    return ord(name) * 100 + uid * 10 + version


def known(world):
    return {
        ResourceKey("ExternalSecret", "ns", name): Known(
            id=ord(name),
            key=ResourceKey("ExternalSecret", "ns", name),
            uid=str(uid),
            fingerprint=fingerprint(name, uid, version),
            created_at=NOW,
            first_seen_at=NOW,
            health=Health.HEALTHY,
            since=NOW,
            findings=[],
            lints=[],
            facts={},
            recheck_at=None,
            due_at=None,
        )
        for name, (uid, version) in world.items()
    }


def complete_list(world, before):
    prints = {name: fingerprint(name, *state) for name, state in world.items()}
    known_prints = {row.fingerprint for row in before.values()}
    return KindResult(
        kind="ExternalSecret",
        outcome=Outcome.COMPLETE,
        observations=tuple(
            Observation(
                key=ResourceKey("ExternalSecret", "ns", name),
                uid=str(world[name][0]),
                fingerprint=value,
                created_at=NOW,
                facts=Facts(),
            )
            for name, value in prints.items()
            if value not in known_prints
        ),
        unchanged=frozenset(value for value in prints.values() if value in known_prints),
    )


def names(things):
    return {thing.key.name for thing in things}


@given(worlds, worlds)
def test_a_complete_list_tells_exactly_the_difference_of_two_worlds(before, after):
    rows = known(before)
    result = complete_list(after, rows)
    missing = missing_fingerprints(frozenset(row.fingerprint for row in rows.values()), result)
    observed = {o.key for o in result.observations}
    loaded = {key: row for key, row in rows.items() if key in observed or row.fingerprint in missing}
    changes = compare(loaded, result)
    both = before.keys() & after.keys()
    assert names(changes.added) == after.keys() - before.keys()
    assert names(changes.removed) == before.keys() - after.keys()
    assert names(changes.recreated) == {name for name in both if before[name][0] != after[name][0]}
    assert names(changes.changed) == {
        name for name in both if before[name] != after[name] and before[name][0] == after[name][0]
    }


@given(worlds, worlds, st.sampled_from([Outcome.FAILED, Outcome.FORBIDDEN, Outcome.NOT_INSTALLED]))
def test_a_list_that_was_not_read_changes_nothing(before, after, outcome):
    rows = known(before)
    broken_off = complete_list(after, rows)
    result = KindResult(kind="ExternalSecret", outcome=outcome, observations=broken_off.observations)
    assert missing_fingerprints(frozenset(row.fingerprint for row in rows.values()), result) == frozenset()
    changes = compare(rows, result)
    assert len(changes.observed) == len(changes.removed) == 0


@given(worlds)
def test_a_delta_removes_only_what_it_names(before):
    rows = known(before)
    named = tuple(list(rows)[:1])
    result = KindResult(kind="ExternalSecret", outcome=Outcome.DELTA, removed=named)
    assert missing_fingerprints(frozenset(row.fingerprint for row in rows.values()), result) == frozenset()
    assert {row.key for row in compare(rows, result).removed} == set(named)
