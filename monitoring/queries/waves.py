"""Keys at providers that several clusters read, and how their changes arrive there (see monitoring.rotation.waves).

Every function makes a constant number of SQL statements.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from clusters.facts import ResourceKey, key_digest
from monitoring.filters.rotations import WaveFilters
from monitoring.health import Health
from monitoring.known import as_json, decoded
from monitoring.queries.knowledge import READ_BEFORE
from monitoring.queries.provider_keys import STORES, ProviderKey, chosen, key_at
from monitoring.queries.rows import fetch
from monitoring.rotation.base import Confidence
from monitoring.rotation.waves import Arrival, Pickup, Reader, Standing, Wave, standings, waves_of, window_of

MOST_WAVES = 100
MOST_READERS = 500  # of one key
PER_READER = 20  # rotations of each
MOUNT_WINDOW = timedelta(minutes=10)

SEEN = f"known.read_at >= {READ_BEFORE % '%(now)s'}"

# Sources are asked for as an array besides, because the planner cannot know how few rows the JSON has; names as a range
# of one, here and below, because for an equation it takes an index without the cluster, and reads all other clusters'.
EXTERNAL_SECRETS = f"""
WITH wanted AS (
    SELECT * FROM json_to_recordset(%(keys)s) AS w(place int, source text, digest text)
), readers AS (
    SELECT w.place, f.resource_id, min(s.facts->>'path') AS path,
        row_number() OVER (PARTITION BY w.place ORDER BY f.resource_id) AS number
    FROM wanted w JOIN monitoring_resource s ON s.kind IN {STORES} AND s.source = w.source
        AND s.source = ANY(%(sources)s) AND s.source > ''
    JOIN monitoring_reference f ON (f.cluster_id, f.target_kind, f.target_namespace, f.target_name, f.relation)
        = (s.cluster_id, s.kind, s.namespace, s.name || '#' || w.digest, 'key')
    GROUP BY w.place, f.resource_id
)
SELECT e.place, r.id, r.cluster_id, cluster.name, r.kind, r.namespace, r.name, r.health, r.created_at,
    coalesce({SEEN}, false), coalesce(state.clock_offset_ms, 0), e.path, r.facts->>'interval', r.facts->>'policy',
    CASE WHEN t.id IS NOT NULL AND secrets.read_at >= {READ_BEFORE % "%(now)s"} THEN t.facts->>'data_tag' END,
    CASE WHEN e.number = 1 THEN r.facts->'keys' END, NULL
FROM readers e JOIN monitoring_resource r ON r.id = e.resource_id
JOIN clusters_cluster cluster ON cluster.id = r.cluster_id
LEFT JOIN monitoring_clusterstate state ON state.cluster_id = r.cluster_id
LEFT JOIN monitoring_cursor known ON known.cluster_id = r.cluster_id AND known.kind = r.kind
LEFT JOIN monitoring_cursor secrets ON secrets.cluster_id = r.cluster_id AND secrets.kind = 'Secret'
LEFT JOIN monitoring_resource t ON t.cluster_id = r.cluster_id AND t.kind = 'Secret' AND t.namespace = r.namespace
    AND t.name BETWEEN r.facts->>'target' AND r.facts->>'target'
WHERE e.number <= %(most)s
"""  # noqa: S608 - no value is put into the text

# Azure's provider puts the type before the name of an object.
CLASSES = f"""
SELECT w.place, r.id, r.cluster_id, cluster.name, r.kind, r.namespace, r.name, r.health, r.created_at,
    coalesce({SEEN}, false), coalesce(state.clock_offset_ms, 0), r.facts->>'provider', NULL, NULL, NULL, NULL,
    mounted.versions
FROM json_to_recordset(%(keys)s) AS w(place int, source text, object text)
JOIN monitoring_resource r ON r.kind = 'SecretProviderClass' AND r.source = w.source
    AND r.source = ANY(%(sources)s) AND r.source > ''
    AND r.facts->'objects' ?| ARRAY[w.object, regexp_replace(w.object, '^.*/', '')]
JOIN clusters_cluster cluster ON cluster.id = r.cluster_id
LEFT JOIN monitoring_clusterstate state ON state.cluster_id = r.cluster_id
LEFT JOIN monitoring_cursor known
    ON known.cluster_id = r.cluster_id AND known.kind = 'SecretProviderClassPodStatus'
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(v.version, v.number) AS versions FROM (
        SELECT o.version, count(*) AS number FROM monitoring_reference f
        JOIN monitoring_resource m ON m.id = f.resource_id AND m.kind = 'SecretProviderClassPodStatus'
        CROSS JOIN LATERAL jsonb_to_recordset(m.facts->'objects') AS o(id text, version text)
        WHERE (f.cluster_id, f.relation, f.target_kind, f.target_namespace, f.target_name)
            = (r.cluster_id, 'class', r.kind, r.namespace, r.name)
            AND o.id = w.object AND o.version <> '' AND NOT m.findings @> '[{{"rule": "csi-orphaned-status"}}]'
        GROUP BY o.version
    ) v
) mounted
WHERE mounted.versions IS NOT NULL ORDER BY w.place, r.id LIMIT %(most)s
"""  # noqa: S608 - no value is put into the text

ROTATIONS = """
SELECT w.id, w.object, n.at - make_interval(secs => w.clock_offset / 1000.0), n.after, n.before, n.confidence
FROM json_to_recordset(%(readers)s) AS w(
    id bigint, cluster_id bigint, kind text, namespace text, name text, object text, clock_offset int)
CROSS JOIN LATERAL (
    SELECT r.at, r.after, r.before, r.confidence FROM monitoring_rotation r
    WHERE (r.cluster_id, r.kind, r.namespace, r.object) = (w.cluster_id, w.kind, w.namespace, w.object)
        AND r.name BETWEEN w.name AND w.name
    ORDER BY r.at DESC LIMIT %(per_reader)s
) n
"""


@dataclass(frozen=True)
class WaveReader:
    """A resource that reads the key. `health` is unknown where we do not see it now."""

    reader: Reader
    cluster: str
    key: ResourceKey
    health: Health

    @property
    def full_name(self) -> str:
        return f"{self.key.namespace}/{self.key.name}"

    @property
    def mounts(self) -> int:
        return sum(self.reader.mounts.values())


@dataclass(frozen=True)
class KeyRow:
    """A key, all that read it, and its waves, the newest first.

    `names` are keys with their properties as providers know them: one, but where a list shows several of which the
    same resources read together. `path` says for people where the provider is.
    """

    key: ProviderKey
    names: tuple[tuple[str, str], ...]
    path: str
    readers: tuple[WaveReader, ...]
    waves: tuple[Wave, ...]
    now: datetime

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        return tuple(sorted({reader.cluster for reader in self.readers}))

    @cached_property
    def standings(self) -> Mapping[int, Standing]:
        """Of each reader with the newest wave; empty where none was seen."""
        if not self.waves:
            return {}
        readers = [reader.reader for reader in self.readers]
        return standings(self.waves[0], self.waves[1:], readers, self.now)

    @cached_property
    def arrivals(self) -> Mapping[int, Arrival]:
        """By reader, in the newest wave."""
        return {arrival.pickup.reader: arrival for arrival in self.waves[0].arrivals} if self.waves else {}

    def count(self, *wanted: Standing) -> int:
        return sum(standing in wanted for standing in self.standings.values())

    @property
    def under_way(self) -> bool:
        """Whether some are known to have an older value still, or may pick up the new one yet."""
        return self.count(Standing.LAGS, Standing.AWAITED) > 0

    @property
    def took(self) -> timedelta | None:
        """From the first arrival of the newest wave to the last that we know of, or so far."""
        if not self.waves:
            return None
        wave = self.waves[0]
        return (self.now if self.under_way else wave.last_at) - wave.began_at


def key_row(source: str, digest: str, now: datetime) -> KeyRow | None:
    """One key with its readers and waves, or None if nothing reads it. Three SQL statements at most."""
    key = key_at(source, digest)
    return next(iter(_rows([key], now)), None) if key else None


def key_rows(filters: WaveFilters, now: datetime) -> tuple[KeyRow, ...]:
    """Keys that several clusters read: those with a wave under way first, then the newest. Four SQL statements at most.

    Without a filter, keys that rotated in the last 30 days, as far as the last MOST_RECENT rotations tell.
    """
    rows = _together(row for row in _rows(chosen(filters, now), now) if len(row.clusters) > 1)
    shown = [row for row in rows if row.waves or filters.key or filters.resource]
    shown.sort(key=lambda row: (not row.under_way, -_began(row), row.key))
    return tuple(shown[:MOST_WAVES])


def _began(row: KeyRow) -> float:
    return row.waves[0].began_at.timestamp() if row.waves else 0.0


def _together(rows: Iterable[KeyRow]) -> list[KeyRow]:
    """One row for keys that the same resources read: their rotations are the same, and cannot be told apart."""
    groups: dict[tuple[str, frozenset[int]], list[KeyRow]] = defaultdict(list)
    for row in rows:  # each object of a class has rotations of its own
        groups[row.key.object, frozenset(reader.reader.id for reader in row.readers)].append(row)
    return [
        KeyRow(
            key=min(row.key for row in same),
            names=tuple(sorted({name for row in same for name in row.names})),
            path=same[0].path,
            readers=same[0].readers,
            waves=same[0].waves,
            now=same[0].now,
        )
        for same in groups.values()
    ]


def _rows(keys: Sequence[ProviderKey], now: datetime) -> list[KeyRow]:
    """The keys that anything reads, with readers and waves. Three SQL statements at most."""
    states = [*_states(keys, now, of_class=False), *_states(keys, now, of_class=True)]
    by_place: dict[int, list[_State]] = defaultdict(list)
    for state in states:
        by_place[state.place].append(state)
    pickups = _pickups(states, keys)
    return [_row(keys[place], found, pickups, now) for place, found in sorted(by_place.items())]


class _State(NamedTuple):
    place: int
    resource_id: int
    cluster_id: int
    cluster: str
    kind: str
    namespace: str
    name: str
    health: int
    created_at: datetime | None
    seen: bool
    clock_offset: int
    path: str | None
    interval: str | None
    policy: str | None
    tag: str | None
    keys: Any
    versions: Any


def _states(keys: Sequence[ProviderKey], now: datetime, *, of_class: bool) -> list[_State]:
    wanted = [{"place": place, **key._asdict()} for place, key in enumerate(keys) if key.of_class == of_class]
    if not wanted:
        return []
    most = MOST_READERS * len(wanted) if of_class else MOST_READERS
    sources = sorted({str(key["source"]) for key in wanted})
    params = {"keys": as_json(wanted), "sources": sources, "now": now, "most": most}
    return [_State(*row) for row in fetch(CLASSES if of_class else EXTERNAL_SECRETS, params)]


Pickups = Mapping[tuple[int, str], Sequence[Pickup]]  # by resource and object


def _pickups(states: Iterable[_State], keys: Sequence[ProviderKey]) -> Pickups:
    readers = {
        (state.resource_id, keys[state.place].object): {
            "id": state.resource_id,
            "cluster_id": state.cluster_id,
            "kind": state.kind,
            "namespace": state.namespace,
            "name": state.name,
            "object": keys[state.place].object,
            "clock_offset": state.clock_offset,
        }
        for state in states
    }
    found: dict[tuple[int, str], list[Pickup]] = defaultdict(list)
    if readers:
        params = {"readers": as_json(list(readers.values())), "per_reader": PER_READER}
        for resource_id, object_id, at, after, before, confidence in fetch(ROTATIONS, params):
            pickup = Pickup(at, resource_id, after, before, Confidence(confidence))
            found[resource_id, object_id].append(pickup)
    return found


def _row(key: ProviderKey, states: Sequence[_State], pickups: Pickups, now: datetime) -> KeyRow:
    readers = sorted((_reader(state) for state in states), key=lambda reader: (reader.cluster, reader.key))
    waves = waves_of(
        (pickup for reader in readers for pickup in pickups.get((reader.reader.id, key.object), ())),
        {reader.reader.id: reader.reader.window for reader in readers},
        same_form=key.of_class,
    )
    named = next((state.keys for state in states if state.keys is not None), None)
    return KeyRow(
        key=key,
        names=((key.object, ""),) if key.of_class else _names(key, named),
        path=next((state.path for state in states if state.path), ""),
        readers=tuple(readers),
        waves=waves[::-1],
        now=now,
    )


def _names(key: ProviderKey, read: Any) -> tuple[tuple[str, str], ...]:
    """The key and its property by their names, from all keys that one of its readers has."""
    named = ((entry.get("key", ""), entry.get("property", "")) for entry in decoded(read) or ())
    return tuple({pair: None for pair in named if key_digest(*pair) == key.digest})


def _reader(state: _State) -> WaveReader:
    offset = timedelta(milliseconds=state.clock_offset)
    return WaveReader(
        reader=Reader(
            id=state.resource_id,
            created_at=state.created_at - offset if state.created_at else None,
            seen=state.seen,
            window=MOUNT_WINDOW if state.versions else window_of(state.interval or "", state.policy or ""),
            tag=state.tag or "",
            mounts=decoded(state.versions) or {},
        ),
        cluster=state.cluster,
        key=ResourceKey(state.kind, state.namespace, state.name),
        health=Health(state.health) if state.seen else Health.UNKNOWN,
    )
