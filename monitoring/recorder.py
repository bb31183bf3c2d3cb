"""The only writer of Resource, Reference, Event, Transition, HealthCount, Cursor and Gap.

Sets, not loops: each function is one statement, whatever the number of resources, and must run inside the
transaction that holds the cluster's lease row. Rows travel as one JSON parameter (json_to_recordset): measured at
65,000 to 98,000 rows a second, against 80,000 to 103,000 for binary COPY into a temporary table, without one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

from clusters.facts import Facts, RefreshedFacts, facts_to_json
from clusters.observations import EventNote, KindResult, Observation, Outcome
from monitoring.diff import Known
from monitoring.health import Health
from monitoring.known import as_json
from monitoring.rules.base import Finding, Verdict


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A resource to write with its verdict. All moments are by our clock; the verdict's are by the cluster's.

    `said_before` are rule and class of the cause of each finding that the row had.
    """

    observation: Observation
    verdict: Verdict
    since: datetime
    first_seen_at: datetime
    recheck_at: datetime | None
    due_at: datetime | None
    recreated: bool = False
    said_before: frozenset[tuple[str, str]] = frozenset()
    drift_digest: int = 0


# One statement writes rows, transitions and counts together, so that none of them can be missing. `old` reads the
# state before the statement; it must not lock (FOR UPDATE in a CTE skips rows that the same command updates, which
# gave 10,000 transitions instead of 9,900). RETURNING old.* would need Postgres 18.
# A resource recreated under its key is two transitions: removed (from, null) and added (null, to).
# `states` says of each row whether its state (health, findings, lints) goes on; a state that ended is told once.
# A state never ends before it began: where the clock of another worker was ahead, what it wrote counts until the very
# moment that it wrote. Otherwise an empty interval would hide the state before.
WRITE = """
WITH staged AS (
    SELECT * FROM json_to_recordset(%(entries)s) AS s(
        kind text, namespace text, name text, uid text, fingerprint bigint, created_at timestamptz,
        first_seen_at timestamptz, health smallint, since timestamptz, findings jsonb, lints jsonb, signature text,
        facts jsonb,
        refreshed_at timestamptz, due_at timestamptz, recheck_at timestamptz, drift_digest bigint,
        controller_at timestamptz, recreated boolean)
), removed AS (
    SELECT id FROM json_to_recordset(%(removed)s) AS g(id bigint)
), old AS (
    SELECT r.id, r.kind, r.namespace, r.name, r.uid, r.health, r.findings, r.lints, r.signature, r.since,
        r.recorded_at, r.unwell_since, r.rotated_at, r.first_seen_at
    FROM monitoring_resource r JOIN staged s USING (kind, namespace, name) WHERE r.cluster_id = %(cluster_id)s
), states AS (
    SELECT s.*, coalesce(not s.recreated AND (o.health, o.findings, o.lints) = (s.health, s.findings, s.lints), false)
            AS lasts,
        greatest(%(at)s, o.recorded_at) AS at, o.recorded_at AS recorded_before,
        CASE WHEN not s.recreated THEN o.rotated_at END AS rotated_at,
        CASE WHEN s.health >= %(unwell)s
            THEN coalesce(CASE WHEN not s.recreated THEN o.unwell_since END, s.since) END AS unwell_since
    FROM staged s LEFT JOIN old o USING (kind, namespace, name)
), unreferenced AS (
    DELETE FROM monitoring_reference f USING removed g WHERE f.resource_id = g.id
), gone AS (
    DELETE FROM monitoring_resource r USING removed g WHERE r.id = g.id AND r.cluster_id = %(cluster_id)s
    RETURNING r.id, r.kind, r.namespace, r.name, r.uid, r.health, r.findings, r.lints, r.signature, r.since,
        r.recorded_at, r.unwell_since, r.first_seen_at, greatest(%(at)s, r.recorded_at) AS at
), written AS (
    INSERT INTO monitoring_resource AS r (
        cluster_id, kind, namespace, name, uid, fingerprint, created_at, first_seen_at, health, since, recorded_at,
        unwell_since, rotated_at, findings, lints, signature, facts, refreshed_at, due_at, recheck_at, drift_digest)
    SELECT %(cluster_id)s, kind, namespace, name, uid, fingerprint, created_at,
        CASE WHEN recreated THEN greatest(first_seen_at, at) ELSE first_seen_at END, health, since,
        CASE WHEN lasts THEN recorded_before ELSE at END,
        unwell_since, rotated_at, findings, lints, signature, facts, refreshed_at, due_at, recheck_at, drift_digest
    FROM states ORDER BY kind, namespace, name
    ON CONFLICT (cluster_id, kind, namespace, name) DO UPDATE SET
        uid = excluded.uid, fingerprint = excluded.fingerprint, created_at = excluded.created_at,
        first_seen_at = excluded.first_seen_at, health = excluded.health, since = excluded.since,
        recorded_at = excluded.recorded_at, unwell_since = excluded.unwell_since, rotated_at = excluded.rotated_at,
        findings = excluded.findings, lints = excluded.lints, signature = excluded.signature,
        facts = excluded.facts, refreshed_at = excluded.refreshed_at,
        due_at = excluded.due_at, recheck_at = excluded.recheck_at, drift_digest = excluded.drift_digest
    RETURNING r.id, r.kind, r.namespace, r.name, r.uid, r.health
), steps AS (
    SELECT w.id, w.kind, w.namespace, w.name, w.uid, CASE WHEN not s.recreated THEN o.health END AS from_health,
        w.health AS to_health, CASE WHEN not s.recreated THEN o.recorded_at END AS recorded_at,
        CASE WHEN not s.recreated THEN o.findings END AS findings,
        CASE WHEN not s.recreated THEN o.lints END AS lints,
        CASE WHEN not s.recreated THEN o.signature END AS signature,
        CASE WHEN not s.recreated THEN o.since END AS since,
        CASE WHEN not s.recreated THEN o.unwell_since END AS unwell_since, NULL::timestamptz AS first_seen_at,
        s.controller_at, s.at, s.lasts
    FROM written w JOIN states s USING (kind, namespace, name) LEFT JOIN old o ON o.id = w.id
    UNION ALL
    SELECT o.id, o.kind, o.namespace, o.name, o.uid, o.health, NULL, o.recorded_at, o.findings, o.lints, o.signature,
        o.since, o.unwell_since, o.first_seen_at, NULL, s.at, false
    FROM old o JOIN states s USING (kind, namespace, name) WHERE s.recreated
    UNION ALL
    SELECT id, kind, namespace, name, uid, health, NULL, recorded_at, findings, lints, signature, since,
        unwell_since, first_seen_at, NULL, at, false
    FROM gone
), told AS (
    INSERT INTO monitoring_transition (
        at, began_at, cluster_id, resource_id, kind, namespace, name, uid, from_health, to_health, turned, findings,
        lints, signature, since, unwell_since, first_seen_at, controller_at, collection_id)
    SELECT at, coalesce(recorded_at, at), %(cluster_id)s, id, kind, namespace, name, uid,
        from_health, to_health, from_health IS DISTINCT FROM to_health, coalesce(findings, '[]'),
        coalesce(lints, '[]'), coalesce(signature, ''), since, unwell_since,
        CASE WHEN to_health IS NULL THEN least(first_seen_at, at) END, controller_at, %(collection_id)s
    FROM steps WHERE not lasts AND kind = ANY(%(judged_kinds)s)
    ORDER BY (to_health IS NOT NULL), id
    RETURNING turned
), counted AS (
    INSERT INTO monitoring_healthcount AS c (cluster_id, kind, health, count)
    SELECT %(cluster_id)s, kind, health, sum(delta) FROM (
        SELECT kind, to_health AS health, 1 AS delta FROM steps WHERE to_health IS NOT NULL
        UNION ALL SELECT kind, from_health, -1 FROM steps WHERE from_health IS NOT NULL
    ) d WHERE kind = ANY(%(judged_kinds)s) GROUP BY kind, health HAVING sum(delta) <> 0
    ON CONFLICT (cluster_id, kind, health) DO UPDATE SET count = c.count + excluded.count
)
SELECT count(*) FILTER (WHERE turned) FROM told
"""

REFER = """
WITH staged AS (
    SELECT r.id AS resource_id, s.relation, s.target_kind, s.target_namespace, s.target_name
    FROM json_to_recordset(%(references)s) AS s(
        kind text, namespace text, name text,
        relation text, target_kind text, target_namespace text, target_name text)
    JOIN monitoring_resource r USING (kind, namespace, name) WHERE r.cluster_id = %(cluster_id)s
), referrers AS (
    SELECT r.id FROM json_to_recordset(%(referrers)s) AS k(kind text, namespace text, name text)
    JOIN monitoring_resource r USING (kind, namespace, name) WHERE r.cluster_id = %(cluster_id)s
), gone AS (
    DELETE FROM monitoring_reference f USING referrers r WHERE f.resource_id = r.id AND NOT EXISTS (
        SELECT 1 FROM staged s WHERE (s.resource_id, s.relation, s.target_kind, s.target_namespace, s.target_name)
            = (f.resource_id, f.relation, f.target_kind, f.target_namespace, f.target_name))
)
INSERT INTO monitoring_reference (
    cluster_id, resource_id, relation, target_kind, target_namespace, target_name)
SELECT DISTINCT %(cluster_id)s::bigint, resource_id, relation, target_kind, target_namespace, target_name FROM staged
ON CONFLICT DO NOTHING
"""

# The same Event comes again with a growing count and another last_at; an older occurrence replaces nothing.
NOTE_EVENTS = """
INSERT INTO monitoring_event (
    cluster_id, event_uid, fingerprint, kind, namespace, name, involved_uid, type, reason, message, component,
    first_at, last_at, count, seen_at)
SELECT %(cluster_id)s, uid, fingerprint, kind, namespace, name, involved_uid, type, reason, message, component,
    first_at, last_at, count, %(now)s
FROM json_to_recordset(%(events)s) AS e(
    uid text, fingerprint bigint, kind text, namespace text, name text, involved_uid text, type text, reason text,
    message text, component text, first_at timestamptz, last_at timestamptz, count int)
ON CONFLICT (cluster_id, event_uid) DO UPDATE SET
    fingerprint = excluded.fingerprint, message = excluded.message, last_at = excluded.last_at,
    count = excluded.count, seen_at = excluded.seen_at
WHERE monitoring_event.last_at IS NULL OR excluded.last_at >= monitoring_event.last_at
"""

# `since` moves only with the outcome; `read_at` and `resource_version` only when the kind was read to its end. A kind
# that is read again after longer than its knowledge lasts leaves a gap, and so does one that is read for the first time
# long after its cluster was registered. That a kind is not installed is known, so the gap before ends with it; but
# while rows of it stay, they were not seen until it is read again. Another served version is a
# revision of the cluster: only this statement sees both.
ADVANCE = """
WITH staged AS (
    SELECT * FROM json_to_recordset(%(results)s) AS s(
        kind text, outcome text, failure text, message text, served_version text, resource_version text, known boolean)
), gaps AS (
    INSERT INTO monitoring_gap (cluster_id, kind, began_at, ended_at)
    SELECT k.id, s.kind, coalesce(c.read_at, k.created_at), %(now)s::timestamptz
    FROM staged s JOIN clusters_cluster k ON k.id = %(cluster_id)s
    LEFT JOIN monitoring_cursor c ON c.cluster_id = k.id AND c.kind = s.kind
    WHERE (s.known OR s.outcome = 'not installed') AND coalesce(c.read_at, k.created_at) < %(fresh_from)s
        AND coalesce(c.outcome, '') <> 'not installed'
    UNION ALL
    SELECT c.cluster_id, c.kind, c.since, %(now)s FROM monitoring_cursor c JOIN staged s USING (kind)
    WHERE c.cluster_id = %(cluster_id)s AND c.outcome = 'not installed' AND s.known AND c.since < %(now)s
        AND EXISTS (SELECT FROM monitoring_resource r WHERE r.cluster_id = c.cluster_id AND r.kind = c.kind)
), reversioned AS (
    INSERT INTO monitoring_revision (at, seen_at, cluster_id, kind, namespace, name, what, before, after, by)
    SELECT %(now)s, %(now)s, c.cluster_id, 'Cluster', '', c.kind, 'served version', c.served_version,
        s.served_version, ''
    FROM monitoring_cursor c JOIN staged s USING (kind)
    WHERE c.cluster_id = %(cluster_id)s AND s.served_version <> c.served_version AND s.served_version <> ''
        AND c.served_version <> ''
)
INSERT INTO monitoring_cursor AS c (
    cluster_id, kind, outcome, failure, message, served_version, resource_version, read_at, attempted_at, since)
SELECT %(cluster_id)s, kind, outcome, failure, message, served_version, resource_version,
    CASE WHEN known THEN %(now)s::timestamptz END, %(now)s, %(now)s
FROM staged
ON CONFLICT (cluster_id, kind) DO UPDATE SET
    outcome = excluded.outcome, failure = excluded.failure, message = excluded.message,
    served_version = coalesce(nullif(excluded.served_version, ''), c.served_version),
    resource_version = CASE WHEN excluded.read_at IS NULL THEN c.resource_version ELSE excluded.resource_version END,
    read_at = coalesce(excluded.read_at, c.read_at), attempted_at = excluded.attempted_at,
    since = CASE WHEN c.outcome = excluded.outcome THEN c.since ELSE excluded.since END
RETURNING c.kind, c.since = %(now)s
"""


def record(
    cluster_id: int,
    entries: Sequence[Entry],
    removed: Sequence[Known],
    *,
    at: datetime,
    collection_id: int | None,
    judged_kinds: Sequence[str],
) -> int:
    """Write resources with their transitions and counts; return the number of transitions."""
    if not entries and not removed:
        return 0
    params: dict[str, Any] = {
        "cluster_id": cluster_id,
        "entries": as_json([_row(entry) for entry in entries]),
        "removed": as_json([{"id": row.id} for row in removed]),
        "at": at,
        "collection_id": collection_id,
        "judged_kinds": list(judged_kinds),
        "unwell": int(Health.AT_RISK),
    }
    with connection.cursor() as cursor:
        cursor.execute(WRITE, params)
        return int(cursor.fetchone()[0])


def _row(entry: Entry) -> dict[str, object]:
    observation, verdict = entry.observation, entry.verdict
    key, facts = observation.key, observation.facts
    return {
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": observation.uid,
        "fingerprint": observation.fingerprint,
        "created_at": observation.created_at,
        "first_seen_at": entry.first_seen_at,
        "health": int(verdict.health),
        "since": entry.since,
        "findings": [finding_to_json(finding) for finding in verdict.findings],
        "lints": [finding_to_json(finding) for finding in verdict.lints],
        "signature": verdict.signature,
        "facts": facts_to_json(facts),
        "refreshed_at": refreshed_at(facts),
        "due_at": entry.due_at,
        "recheck_at": entry.recheck_at,
        "drift_digest": entry.drift_digest,
        "controller_at": verdict.since,
        "recreated": entry.recreated,
    }


def refreshed_at(facts: Facts) -> datetime | None:
    return facts.refreshed_at if isinstance(facts, RefreshedFacts) else None


def finding_to_json(finding: Finding) -> dict[str, object]:
    result: dict[str, object] = msgspec.to_builtins(finding)
    return result


def refer(cluster_id: int, observations: Sequence[Observation]) -> None:
    """Make the references of these resources exactly what their observations say."""
    if not observations:
        return
    references = [
        {
            **o.key._asdict(),
            "relation": reference.relation,
            "target_kind": reference.target.kind,
            "target_namespace": reference.target.namespace,
            "target_name": reference.target.name,
        }
        for o in observations
        for reference in o.references
    ]
    referrers = [o.key._asdict() for o in observations]
    _execute(REFER, cluster_id, references=as_json(references), referrers=as_json(referrers))


def note_events(cluster_id: int, events: Sequence[EventNote], now: datetime) -> None:
    """Keep these Events; the same Event seen again replaces its older occurrence."""
    newest = {event.uid: event for event in events}
    if newest:
        rows = [msgspec.to_builtins(event) | event.involved._asdict() for event in newest.values()]
        _execute(NOTE_EVENTS, cluster_id, events=as_json(rows), now=now)


def advance(
    cluster_id: int, results: Sequence[KindResult], started_at: datetime, freshness_limit: timedelta
) -> frozenset[str]:
    """Record per kind how reading it ended and, where it was read to its end, that it is known as of `started_at`.

    A kind whose last reading is older than `freshness_limit` was unknown since then: that is a gap.
    Return the kinds whose outcome is another one than before, failures of one reading apart: what was judged with
    them, or without, may change.
    """
    rows = [
        {
            "kind": result.kind,
            "outcome": result.outcome,
            "failure": result.problem.failure if result.problem else "",
            "message": result.problem.message[:500] if result.problem else "",
            "served_version": result.served_version,
            "resource_version": result.resource_version,
            "known": result.outcome in (Outcome.COMPLETE, Outcome.DELTA),
        }
        for result in results
    ]
    if not rows:
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(
            ADVANCE,
            {
                "cluster_id": cluster_id,
                "results": as_json(rows),
                "now": started_at,
                "fresh_from": started_at - freshness_limit,
            },
        )
        turned = {kind for kind, turned in cursor.fetchall() if turned}
    return frozenset(turned - {result.kind for result in results if result.outcome == Outcome.FAILED})


def _execute(sql: str, cluster_id: int, **params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"cluster_id": cluster_id, **params})
