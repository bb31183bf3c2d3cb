"""Objects as they are compared: what each cluster has of one, and in what they differ (see monitoring.drift)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from clusters.facts import ClassFacts, Facts, RefreshedFacts, ResourceKey, StoreFacts, facts_from_json
from monitoring import drift as rules
from monitoring.drift import Spec, ValueDrift, VersionDrift, is_excepted
from monitoring.health import Health
from monitoring.known import as_json, decoded
from monitoring.queries.rows import fetch

CLASS_KIND, MOUNT_KIND = "SecretProviderClass", "SecretProviderClassPodStatus"

# What of the facts is the controller's report, or history: everything else is the spec.
STATUS = [
    *("generation", "deleting_since", "problem", "ready", "reason", "message", "condition_since", "refreshed_at"),
    *("spec_written_at", "spec_written_by", "synced_version", "expected_version", "written_api", "finds_all"),
    *("observed_generation", "updated_at", "in_turn", "sealed_before", "rotate_after_days"),
]

# Objects with equal specs and tags come as one line. Of sealed items only the names count. The name of a Secret is
# asked for as a range of one: for an equation the planner takes the index without the cluster, and throws away what it
# finds in all others (30 ms for 4,000 rows of 100 clusters, 300 ms for two clusters of 100).
STATES = """
WITH found AS (
    SELECT w.place, r.id, r.cluster_id, r.health, s.facts->>'data_tag' AS tag,
        (r.facts - %(status)s::text[]) || CASE WHEN r.kind = 'SealedSecret' THEN jsonb_build_object('sealed', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('name', i->'name')), '[]')
            FROM jsonb_array_elements(r.facts->'sealed') i)) ELSE '{}' END AS spec
    FROM json_to_recordset(%(objects)s) AS w(place int, ids bigint[]) CROSS JOIN unnest(w.ids) AS u(id)
    JOIN monitoring_resource r ON r.id = u.id
    LEFT JOIN monitoring_resource s ON r.kind = 'ExternalSecret' AND s.cluster_id = r.cluster_id
        AND s.kind = 'Secret' AND s.namespace = r.namespace
        AND s.name BETWEEN r.facts->>'target' AND r.facts->>'target'
)
SELECT place, spec, coalesce(tag, ''), health, array_agg(cluster_id), array_agg(id)
FROM found GROUP BY place, spec, tag, health ORDER BY place
"""

STORES = """
SELECT r.cluster_id, r.kind, r.namespace, r.name, r.facts->>'provider', r.facts->>'path', r.source
FROM json_to_recordset(%(stores)s) AS s(cluster_id bigint, kind text, namespace text, name text)
JOIN monitoring_resource r USING (cluster_id, kind, namespace, name)
"""

MOUNTED = """
SELECT w.place, r.cluster_id, o.id, array_agg(DISTINCT o.version)
FROM json_to_recordset(%(objects)s) AS w(place int, ids bigint[]) CROSS JOIN unnest(w.ids) AS u(id)
JOIN monitoring_resource r ON r.id = u.id AND r.kind = 'SecretProviderClass'
JOIN monitoring_reference f ON (f.cluster_id, f.relation, f.target_kind, f.target_namespace, f.target_name)
    = (r.cluster_id, 'class', r.kind, r.namespace, r.name)
JOIN monitoring_resource m ON m.id = f.resource_id AND m.kind = 'SecretProviderClassPodStatus'
CROSS JOIN LATERAL jsonb_to_recordset(m.facts->'objects') AS o(id text, version text)
WHERE r.source > '' AND o.version <> '' AND NOT m.findings @> '[{"rule": "csi-orphaned-status"}]' GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class Scope:
    """The clusters that are compared: by id their names, by name the label by which values must differ.

    `excepted` are fields that may differ (drift.is_excepted), `fresh` their kinds that we know now, `not_installed`
    those that are not there.
    """

    names: Mapping[int, str]
    labels: Mapping[str, str]
    fresh: frozenset[tuple[int, str]]
    not_installed: frozenset[tuple[int, str]]
    excepted: tuple[str, ...] = ()

    def sees(self, cluster_id: int, kind: str) -> bool:
        return (cluster_id, kind) in self.fresh


@dataclass(frozen=True)
class DriftCell:
    """An object in one cluster where it is, or was when we saw that cluster last: then its health is unknown.

    `seen`: we see it now. It may be judged unknown all the same. `tag` is that of its value, "" where that is not known
    now.
    """

    cluster: str
    health: Health
    resource_id: int
    spec: Spec
    tag: str = ""
    seen: bool = True


@dataclass(frozen=True)
class DriftRow:
    """One object over all compared clusters, which are named. Only what we see now is compared.

    `cells` are those where it is, `missing` where it is not, `not_installed` where its kind is not; of all others we do
    not know now. `values` is None for kinds of whose values nothing is ever known; `unseen` are clusters that had it
    and that we do not see now, `without_t2` others whose Secrets we do not see. `shared` are clusters that have one
    value though they must differ, `conflicts` what differs of values though it need not. Fields that are `excepted`
    (drift.is_excepted) are not in `specs`, `versions` and `conflicts`.
    """

    key: ResourceKey
    cells: Mapping[str, DriftCell]
    missing: tuple[str, ...]
    not_installed: tuple[str, ...]
    specs: Mapping[str, dict[str, tuple[str, ...]]]
    values: ValueDrift[str] | None
    unseen: frozenset[str]
    without_t2: frozenset[str]
    versions: tuple[VersionDrift[str], ...]
    shared: tuple[tuple[str, ...], ...]
    conflicts: tuple[ValueDrift[str], ...] = ()
    excepted: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.key.namespace}/{self.key.name}" if self.key.namespace else self.key.name

    @property
    def differs(self) -> bool:
        """Whether it is not as the clusters agreed: alike where they should be, with other values where they must."""
        return self.disagrees or bool(self.shared)

    @property
    def disagrees(self) -> bool:
        return bool(self.specs or self.versions or self.conflicts)

    @cached_property
    def odd(self) -> frozenset[str]:
        """Clusters that are not of the majority in something; where there is none, all of them."""
        groupings = []
        for version in self.versions:
            by_versions: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for cluster, versions in version.versions.items():
                by_versions[versions].append(cluster)
            groupings.append([tuple(clusters) for clusters in by_versions.values()])
        of_fields = (cluster for clusters in self.odd_in.values() for cluster in clusters)
        return self.odd_values.union(of_fields, *map(_minority, groupings))

    @cached_property
    def odd_values(self) -> frozenset[str]:
        """The same for values that need not differ."""
        groupings = ([clusters for _, clusters in values.groups] for values in self.conflicts)
        return frozenset(cluster for groups in groupings for cluster in _minority(groups))

    @cached_property
    def odd_in(self) -> Mapping[str, frozenset[str]]:
        """The same by field of `specs`."""
        return {field: frozenset(_minority(list(values.values()))) for field, values in self.specs.items()}


def _minority(groups: list[tuple[str, ...]]) -> Iterable[str]:
    first, second = sorted(groups, key=len, reverse=True)[:2]
    kept = groups.index(first) if len(first) > len(second) else -1
    return (cluster for place, clusters in enumerate(groups) if place != kept for cluster in clusters)


class Candidate(NamedTuple):
    """An object, the resources that it is in the compared clusters, and which of the compared objects of its page."""

    key: ResourceKey
    ids: Sequence[int]
    compared: int


def drift_rows(candidates: Sequence[Candidate], scope: Scope) -> list[DriftRow]:
    """What the candidates are in the compared clusters, in their order. Three statements at most."""
    if not candidates:
        return []
    keys = [candidate.key for candidate in candidates]
    objects = as_json([{"place": place, "ids": list(ids)} for place, (_, ids, _) in enumerate(candidates)])
    states = [_State.of(keys[row[0]].kind, *row) for row in fetch(STATES, {"objects": objects, "status": STATUS})]
    stores = _stores(states)
    mounted = _mounted(objects, scope) if any(key.kind == CLASS_KIND for key in keys) else {}
    by_place: dict[int, list[_State]] = defaultdict(list)
    for state in states:
        by_place[state.place].append(state)
    return [_row(keys[place], found, stores, mounted.get(place, {}), scope) for place, found in by_place.items()]


@dataclass(frozen=True)
class _State:
    """What some clusters have alike: facts, tag and health of one object."""

    place: int
    facts: Facts
    tag: str
    health: Health
    ids: Mapping[int, int]  # of the resource by cluster

    @classmethod
    def of(
        cls, kind: str, place: int, facts: Any, tag: str, health: int, clusters: Sequence[int], ids: Sequence[int]
    ) -> "_State":
        of_kind = facts_from_json(kind, decoded(facts))
        return cls(place, of_kind, tag, Health(health), dict(zip(clusters, ids, strict=True)))


StoreName = tuple[int, ResourceKey]


def _stores(states: Iterable[_State]) -> dict[StoreName, StoreFacts]:
    named = {
        (cluster_id, store)
        for state in states
        if isinstance(state.facts, RefreshedFacts)
        for store in state.facts.stores
        for cluster_id in state.ids
    }
    if not named:
        return {}
    rows = [{"cluster_id": cluster_id, **store._asdict()} for cluster_id, store in named]
    return {
        (cluster_id, ResourceKey(kind, namespace, name)): StoreFacts(
            provider=provider or "", path=path or "", source=source or ""
        )
        for cluster_id, kind, namespace, name, provider, path, source in fetch(STORES, {"stores": as_json(rows)})
    }


Mounted = dict[int, dict[str, tuple[str, ...]]]  # by cluster and object


def _mounted(objects: str, scope: Scope) -> dict[int, Mounted]:
    found: dict[int, Mounted] = defaultdict(lambda: defaultdict(dict))
    for place, cluster_id, object_id, versions in fetch(MOUNTED, {"objects": objects}):
        if scope.sees(cluster_id, MOUNT_KIND):
            found[place][cluster_id][object_id] = tuple(versions)
    return found


def _row(
    key: ResourceKey,
    states: Sequence[_State],
    stores: Mapping[StoreName, StoreFacts],
    mounted: Mounted,
    scope: Scope,
) -> DriftRow:
    names = scope.names
    cells = (cell for state in states for cell in _cells(key.kind, state, stores, scope))
    present = {cell.cluster: cell for cell in sorted(cells, key=lambda cell: cell.cluster)}
    elsewhere = [(number, name) for number, name in names.items() if name not in present]
    seen = {cell.cluster: cell for cell in present.values() if cell.seen}
    sources = {
        names[number]: state.facts.source
        for state in states
        if isinstance(state.facts, ClassFacts)
        for number in state.ids
    }
    has_values = _has_values(states)
    tags = {name: cell.tag for name, cell in present.items()} if has_values else {}
    values = rules.value_drift(tags) if has_values else None
    versions = rules.version_drift({names[number]: found for number, found in mounted.items()}, sources)
    return DriftRow(
        key=key,
        cells=present,
        missing=tuple(name for number, name in elsewhere if scope.sees(number, key.kind)),
        not_installed=tuple(name for number, name in elsewhere if (number, key.kind) in scope.not_installed),
        specs=rules.differences({name: cell.spec for name, cell in seen.items()}, scope.excepted),
        values=values,
        unseen=frozenset(present) - frozenset(seen),
        without_t2=frozenset(
            name for number, name in names.items() if name in seen and not scope.sees(number, "Secret")
        ),
        versions=tuple(one for one in versions if not is_excepted(f"version of {one.object_id}", scope.excepted)),
        shared=rules.shared_values(values, scope.labels) if values else (),
        conflicts=() if is_excepted("value", scope.excepted) else rules.value_conflicts(tags, scope.labels),
        excepted=scope.excepted,
    )


def _has_values(states: Sequence[_State]) -> bool:
    """Whether a Secret is written whose metadata could tell. Values of what is sealed or mounted have no tag."""
    return any(isinstance(state.facts, RefreshedFacts) and state.facts.target for state in states)


def _cells(kind: str, state: _State, stores: Mapping[StoreName, StoreFacts], scope: Scope) -> Iterable[DriftCell]:
    spec = rules.spec_of(state.facts)
    named = state.facts.stores if isinstance(state.facts, RefreshedFacts) else ()
    specs: dict[tuple[StoreFacts, ...], Spec] = {}
    for cluster_id, resource_id in state.ids.items():
        known = tuple(stores[cluster_id, store] for store in named if (cluster_id, store) in stores)
        if known not in specs:
            specs[known] = {**spec, **rules.store_spec(known)} if named else spec
        sees = scope.sees(cluster_id, kind)
        yield DriftCell(
            cluster=scope.names[cluster_id],
            health=state.health if sees else Health.UNKNOWN,
            resource_id=resource_id,
            spec=specs[known],
            tag=state.tag if sees and scope.sees(cluster_id, "Secret") else "",
            seen=sees,
        )
