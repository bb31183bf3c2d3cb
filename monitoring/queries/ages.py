"""How old values are: since their last rotation, or at least since we first saw a resource, and what a policy says.

What was never seen to rotate is as old as our knowledge of it, or older. Nothing here says that it is younger.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clusters.facts import ResourceKey
from clusters.models import Cluster
from monitoring.filters.rotations import AGE_BOUNDS, AGES, ROTATING_KINDS, AgeFilters
from monitoring.queries.ledger import MOST_EXPORTED
from monitoring.queries.paging import Page, decode_moment, page_of
from monitoring.queries.resources import ids_of
from monitoring.queries.rows import fetch
from monitoring.rotation.policy import Rule

EXPORT_CHUNK = 10_000  # no index has the order of ages: each part costs a look at every resource
PAST_POLICY = "value_since + make_interval(days => days) <= %(now)s"

# Since when a value is as it is, and after how many days the policy wants another one (null: it says nothing).
AGED = """
SELECT r.id, r.cluster_id, r.kind, r.namespace, r.name, r.rotated_at, r.value_since, r.own_days, r.days FROM (
    SELECT r.*, coalesce(r.rotated_at, r.first_seen_at) AS value_since, d.own_days,
        coalesce(d.own_days, {policy}) AS days
    FROM monitoring_resource r
    CROSS JOIN LATERAL (SELECT nullif((r.facts->>'rotate_after_days')::int, 0) AS own_days) d
    WHERE r.kind = ANY(%(kinds)s)
) r WHERE {conditions}
"""
CONDITIONS = {
    "clusters": "r.cluster_id = ANY(%(clusters)s)",
    "namespaces": "r.namespace = ANY(%(namespaces)s)",
    "names": "r.name = ANY(%(names)s)",
    "q": "r.search ~* %(q)s",
    "oldest": "r.value_since > %(oldest)s",
    "youngest": "r.value_since <= %(youngest)s",
    "rotated": "r.rotated_at IS NOT NULL",
    "not_seen": "r.rotated_at IS NULL",
    "past": f"r.{PAST_POLICY}",
    "last": "(r.value_since, r.id) > (%(last_since)s, %(last_id)s)",
}

# One row of counts, each of what is as old as a bound or older. Grouping by age would sort all rows: the planner cannot
# know how few groups there are.
OLDER = ", ".join(
    f"count(*) FILTER (WHERE {condition} AND value_since <= %(bound{place})s)"
    for condition in ("rotated_at IS NOT NULL", "rotated_at IS NULL")
    for place in range(len(AGE_BOUNDS) + 1)
)
COUNTS = f"""
SELECT count(*) FILTER (WHERE {PAST_POLICY}), count(days), count(own_days), {OLDER} FROM ({{aged}}) aged
"""  # noqa: S608 - no value is put into the text

ROWS = """
SELECT aged.*, c.name FROM ({aged} ORDER BY r.value_since, r.id LIMIT %(limit)s) aged
JOIN clusters_cluster c ON c.id = aged.cluster_id ORDER BY aged.value_since, aged.id
"""


@dataclass(frozen=True)
class Bucket:
    """Resources of one range of ages: last rotated so long ago, and never seen to rotate for so long."""

    code: str
    rotated: int = 0
    not_seen: int = 0

    @property
    def total(self) -> int:
        return self.rotated + self.not_seen


@dataclass(frozen=True)
class Histogram:
    """Ages of all that can rotate. `past_policy` ones are past their policy, of the `ruled` ones that have one.

    `own` have a number of days of their own.
    """

    buckets: tuple[Bucket, ...]
    past_policy: int
    ruled: int
    own: int

    @property
    def total(self) -> int:
        return sum(bucket.total for bucket in self.buckets)

    @property
    def not_seen(self) -> int:
        return sum(bucket.not_seen for bucket in self.buckets)


@dataclass(frozen=True, kw_only=True)
class Aged:
    """A resource and the age of its value. `since`: the last rotation, else when we first saw it.

    `days` is what the policy says (None: nothing), `own_days` whether the object itself says so.
    """

    resource_id: int
    cluster: str
    key: ResourceKey
    rotated_at: datetime | None
    since: datetime
    days: int | None
    own: bool
    now: datetime

    @property
    def full_name(self) -> str:
        return f"{self.key.namespace}/{self.key.name}" if self.key.namespace else self.key.name

    @property
    def age(self) -> timedelta:
        """At least that, where no rotation was seen."""
        return self.now - self.since

    @property
    def due_at(self) -> datetime | None:
        """When it is to be rotated: at the latest, where no rotation was seen."""
        return self.since + timedelta(days=self.days) if self.days else None

    @property
    def past_policy(self) -> bool:
        """Whether it should have been rotated by now."""
        return self.due_at is not None and self.due_at <= self.now


def histogram(filters: AgeFilters, rules: Sequence[Rule], now: datetime) -> Histogram:
    """Counts by age, of all ages whatever `filters` say of that. Three SQL statements at most. Raises WrongParameter.

    It reads every resource that can rotate.
    """
    params = _params(filters, now)
    for name in ("oldest", "youngest", "rotated", "not_seen", "past"):
        params.pop(name, None)
    bounds = [now + timedelta(days=1), *(now - timedelta(days=days) for days in AGE_BOUNDS)]
    params |= {f"bound{place}": bound for place, bound in enumerate(bounds)}
    ((past_policy, ruled, own, *older),) = _fetch(COUNTS, params, rules)
    rotated, not_seen = older[: len(AGES)], older[len(AGES) :]
    buckets = map(Bucket, AGES, _between(rotated), _between(not_seen))
    return Histogram(tuple(buckets), past_policy, ruled, own)


def _between(older: Sequence[int]) -> list[int]:
    """How many are between each two bounds, from how many are older than each."""
    return [number - further for number, further in zip(older, [*older[1:], 0], strict=True)]


def ages_of(filters: AgeFilters, rules: Sequence[Rule], now: datetime, cursor: str = "", limit: int = 50) -> Page[Aged]:
    """What can rotate, the oldest first. Three SQL statements at most. Raises WrongParameter."""
    params = _params(filters, now)
    if cursor:
        last_since, last_id = decode_moment(cursor)
        params |= {"last": True, "last_since": last_since, "last_id": last_id}
    found = [_aged(*row, now=now) for row in _fetch(ROWS, {**params, "limit": limit + 1}, rules)]
    return page_of(found, limit, lambda row: (row.since, row.resource_id))


def export(filters: AgeFilters, rules: Sequence[Rule], now: datetime, *, chunk: int = EXPORT_CHUNK) -> Iterator[Aged]:
    """All that can rotate, the oldest first, at most MOST_EXPORTED; read in parts, so that no connection is held open.

    Raises WrongParameter before the first row, when it is called.
    """
    return _exported(
        ages_of(filters, rules, now, limit=chunk), lambda cursor: ages_of(filters, rules, now, cursor, chunk)
    )


def _exported(page: Page[Aged], following: Callable[[str], Page[Aged]]) -> Iterator[Aged]:
    left = MOST_EXPORTED
    while True:
        yield from page.rows[:left]
        left -= len(page.rows)
        if left <= 0 or not page.next:
            return
        page = following(page.next)


def _aged(*row: Any, now: datetime) -> Aged:
    resource_id, _, kind, namespace, name, rotated_at, since, own_days, days, cluster = row
    return Aged(
        resource_id=resource_id,
        cluster=cluster,
        key=ResourceKey(kind, namespace, name),
        rotated_at=rotated_at,
        since=since,
        days=days,
        own=own_days is not None,
        now=now,
    )


def _params(filters: AgeFilters, now: datetime) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "clusters": ids_of(filters.clusters),
        "namespaces": list(filters.namespaces),
        "names": list(filters.names),
        "q": re.escape(filters.q),
        **{name: True for name in (filters.seen, filters.policy) if name},
    }
    if filters.age:
        place = AGES.index(filters.age)
        chosen["youngest"] = now - timedelta(days=AGE_BOUNDS[place - 1]) if place else None
        chosen["oldest"] = now - timedelta(days=AGE_BOUNDS[place]) if place < len(AGE_BOUNDS) else None
    # Patterns of clusters that fit none must find nothing, not everything.
    params = {name: value for name, value in chosen.items() if value or (name == "clusters" and value is not None)}
    return {**params, "now": now, "kinds": list(filters.kinds or ROTATING_KINDS)}


def _fetch(sql: str, params: dict[str, Any], rules: Sequence[Rule]) -> list[Any]:
    policy, values = _policy(rules)
    conditions = " AND ".join(text for name, text in CONDITIONS.items() if name in params) or "true"
    aged = AGED.format(policy=policy, conditions=conditions)
    return fetch(sql.format(aged=aged), {**params, **values})


def _policy(rules: Sequence[Rule]) -> tuple[str, Mapping[str, Any]]:
    """`policy.days_of` as an SQL expression over a resource, without what the object says itself."""
    if not rules:
        return "NULL::int", {}
    clusters = dict(Cluster.objects.values_list("id", "labels")) if any(rule.label for rule in rules) else {}
    cases: list[str] = []
    values: dict[str, Any] = {}
    for place, rule in enumerate(rules):
        conditions = {
            "label": f"r.cluster_id = ANY(%(label{place})s::bigint[])" if rule.label else "",
            "like": f"r.namespace LIKE %(like{place})s" if rule.namespace else "",
            "kind": f"r.kind = %(kind{place})s" if rule.kind else "",
        }
        cases.append(f"WHEN {' AND '.join(filter(None, conditions.values())) or 'true'} THEN %(days{place})s")
        fitting = [number for number, labels in clusters.items() if rule.fits_cluster(labels)]
        values |= {f"label{place}": fitting, f"like{place}": rule.namespace_like}
        values |= {f"kind{place}": rule.kind, f"days{place}": rule.days}
    return f"CASE {' '.join(cases)} END", values
