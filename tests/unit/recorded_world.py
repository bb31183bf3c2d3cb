"""The recorded cases as worlds to judge in: one cluster at one capture, its history, and the case's other clusters."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clusters.facts import (
    FACTS_TYPES,
    ClassFacts,
    Facts,
    MountFacts,
    Relation,
    ResourceKey,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
)
from clusters.kinds import BY_NAME
from clusters.kinds.events import note
from clusters.kinds.sealed_secrets import observe_certificate
from clusters.observations import EventNote, Observation
from monitoring.context import class_key, digests, event_keys, related_keys, secret_keys, sibling_keys
from monitoring.rotation import with_change_times
from monitoring.rules import judge
from monitoring.rules.base import (
    Census,
    Child,
    ClusterContext,
    Context,
    Newest,
    SeenCertificate,
    SeenKey,
    SeenSealed,
    Verdict,
    Workload,
)
from monitoring.rules.sealing_keys import newest_key
from tests.recorded import Expectation

CONTROLLER = ResourceKey("Deployment", "kube-system", "sealed-secrets-controller")

F = TypeVar("F", bound=Facts)


@dataclass(eq=False)
class World:
    """One cluster at one capture: its observations, events and the history of its mounts."""

    now: datetime
    observations: dict[ResourceKey, Observation]
    events: list[EventNote]
    before: "World | None" = None
    others: tuple["World", ...] = ()  # the other clusters of the case, as they were then
    name: str = "recorded"
    cluster: ClusterContext = field(init=False)

    def __post_init__(self) -> None:
        supporting: dict[str, list[Workload]] = {}
        for key, seen in self.observations.items():
            if not BY_NAME[key.kind].judged:
                supporting.setdefault(key.kind, []).append(
                    Workload(key=key, facts=seen.facts, created_at=seen.created_at)
                )
        self.cluster = ClusterContext(
            name=self.name,
            readable=frozenset(FACTS_TYPES),
            supporting={kind: tuple(rows) for kind, rows in supporting.items()},
            certificates=self._certificates(),
            keys=self._keys(),
            shared_with=self._shared_with(),
        )
        self.cluster = msgspec.structs.replace(self.cluster, census=self._census())

    def history(self) -> list["World"]:
        """This cluster's captures, the newest first."""
        return [self, *(self.before.history() if self.before else ())]

    def _certificates(self) -> tuple[SeenCertificate, ...]:
        seen: dict[str, SeenCertificate] = {}
        for world in reversed(self.history()):
            for facts in world.all_of(SealingCertificateFacts).values():
                first = seen[facts.sha256].first_seen_at if facts.sha256 in seen else world.now
                seen[facts.sha256] = SeenCertificate(
                    sha256=facts.sha256, not_before=facts.not_before, first_seen_at=first, last_seen_at=world.now
                )
        return tuple(sorted(seen.values(), key=lambda seen: seen.last_seen_at or self.now, reverse=True))

    def _keys(self) -> tuple[SeenKey, ...]:
        seen: dict[str, SeenKey] = {}
        for world in reversed(self.history()):
            found = world.all_of(SealingKeyFacts)
            for key, facts in found.items():
                created = world.observations[key].created_at
                seen[key.name] = SeenKey(name=key.name, created_at=created, state=facts.state)
            for name, known in seen.items():
                if name not in {key.name for key in found} and known.gone_at is None:
                    seen[name] = msgspec.structs.replace(known, gone_at=world.now)
        return tuple(sorted(seen.values(), key=lambda key: key.created_at or self.now, reverse=True))

    def _shared_with(self) -> dict[str, tuple[str, ...]]:
        mine = {facts.sha256 for facts in self.all_of(SealingCertificateFacts).values()}
        return {
            digest: names
            for digest in mine
            if (
                names := tuple(
                    other.name
                    for other in self.others
                    if digest in {facts.sha256 for facts in other.all_of(SealingCertificateFacts).values()}
                )
            )
        }

    def _census(self) -> Census:
        """What monitoring.census counts from recorded verdicts, here from those at the moment of the capture."""
        verdicts = {
            key: self.judge(key, timedelta(0)) for key, o in self.observations.items() if BY_NAME[key.kind].judged
        }
        newest = newest_key(self.cluster)
        sealed = [o for o in self.observations.values() if isinstance(o.facts, SealedSecretFacts)]
        rules = {key: {finding.rule for finding in verdict.findings} for key, verdict in verdicts.items()}
        refreshed = [o.facts.refreshed_at for o in self.observations.values() if o.key.kind == "ExternalSecret"]  # type: ignore[attr-defined]
        return Census(
            periodic=sum(1 for key, v in verdicts.items() if key.kind == "ExternalSecret" and v.due_at),
            overdue=sum(1 for key in rules if key.kind == "ExternalSecret" and "es-silent-stale" in rules[key]),
            newest_refresh=max((moment for moment in refreshed if moment), default=None),
            poison=tuple(sorted(key for key in rules if "es-poison-interval" in rules[key])),
            sealed=len(sealed),
            sealed_failing=sum(
                1
                for o in sealed
                for finding in verdicts[o.key].findings
                if (finding.rule, finding.cause_class) == ("ss-not-synced", "undecryptable")
            ),
            sealed_old=sum(1 for o in sealed if newest and o.created_at and o.created_at < newest),
        )

    def all_of(self, wanted: type[F]) -> dict[ResourceKey, F]:
        return {key: seen.facts for key, seen in self.observations.items() if isinstance(seen.facts, wanted)}

    def judge(self, key: ResourceKey, at: timedelta) -> Verdict:
        seen = self.observations[key]
        return judge(seen, self._context(seen, at), self.now + at)

    def _context(self, seen: Observation, at: timedelta) -> Context:
        siblings = self._siblings(seen)
        involved = event_keys(seen.key, seen.facts, siblings)
        events = [event for event in self.events if event.involved in involved]
        wanted = related_keys(seen.key, seen.facts)
        return Context(
            cluster=self.cluster,
            related={key: self.observations[key].facts for key in wanted if key in self.observations},
            events=tuple(sorted(events, key=lambda event: event.last_at or self.now, reverse=True)),
            store_events={key: self._events_of(key) for key in wanted if key.kind.endswith("SecretStore")},
            siblings=siblings,
            neighbours=self._neighbours(seen),
            newest=self._newest(seen),
            sealed_elsewhere=self._sealed_elsewhere(seen),
            first_sealed=self._first_sealed(seen),
            children=tuple(
                Child(key=key, health=self.judge(key, at).health)
                for key, other in self.observations.items()
                if any(reference == (Relation.PARENT, seen.key) for reference in other.references)
            ),
        )

    def _siblings(self, seen: Observation) -> tuple[MountFacts, ...]:
        wanted = sibling_keys(seen.key, seen.facts)
        return tuple(
            facts
            for key, facts in self.all_of(MountFacts).items()
            if {class_key(key, facts), ResourceKey("Pod", key.namespace, facts.pod)} & set(wanted)
        )

    def _events_of(self, key: ResourceKey) -> tuple[EventNote, ...]:
        events = [event for event in self.events if event.involved == key]
        return tuple(sorted(events, key=lambda event: event.last_at or self.now, reverse=True))

    def _neighbours(self, seen: Observation) -> tuple[ResourceKey, ...]:
        if not isinstance(seen.facts, ClassFacts):
            return ()
        mine = set(secret_keys(seen.key, seen.facts))
        classes = self.all_of(ClassFacts).items()
        return tuple(key for key, facts in classes if key != seen.key and mine & set(secret_keys(key, facts)))

    def _source(self, key: ResourceKey, facts: MountFacts) -> str:
        related = self.observations.get(class_key(key, facts))
        return (related.facts.source if related and isinstance(related.facts, ClassFacts) else "") or str(
            (self.name, class_key(key, facts))
        )

    def _newest(self, seen: Observation) -> dict[str, Newest]:
        if not isinstance(seen.facts, MountFacts):
            return {}
        source = self._source(seen.key, seen.facts)
        found: dict[str, Newest] = {}
        for world in (*self.history(), *(past for other in self.others for past in other.history())):
            for key, facts in world.all_of(MountFacts).items():
                for item in facts.objects if world._source(key, facts) == source else ():
                    known = found.get(item.id)
                    if item.changed_at and (known is None or known.changed_at < item.changed_at):
                        here = world.name == self.name
                        found[item.id] = Newest(
                            version=item.version, changed_at=item.changed_at, cluster=world.name, here=here
                        )
        return found

    def _sealed_elsewhere(self, seen: Observation) -> dict[str, tuple[SeenSealed, ...]]:
        if not isinstance(seen.facts, SealedSecretFacts) or seen.facts.ready is not False:
            return {}
        mine = set(digests(seen.facts))
        found: dict[str, list[SeenSealed]] = {}
        for world in (self, *self.others):
            for key, facts in world.all_of(SealedSecretFacts).items():
                other = SeenSealed(
                    cluster=world.name, key=key, synced=facts.ready is True, here=world.name == self.name
                )
                for digest in mine & set(digests(facts)):
                    if not other.is_at(seen.key):
                        found.setdefault(digest, []).append(other)
        return {digest: tuple(others) for digest, others in found.items()}

    def _first_sealed(self, seen: Observation) -> dict[str, datetime]:
        worlds = [past for world in (self, *self.others) for past in world.history()]
        return {
            digest: min(
                world.now
                for world in worlds
                if any(digest in digests(facts) for facts in world.all_of(SealedSecretFacts).values())
            )
            for digest in digests(seen.facts)
        }


def read_world(
    folder: Path, now: datetime, before: World | None, others: tuple[World, ...] = (), name: str = "recorded"
) -> World:
    items = _items(folder / "objects.json")
    secrets = [{**item, "kind": kind} for item in _items(folder / "secrets.json") for kind in ("SealingKey", "Secret")]
    pods = [{**item, "kind": "DriverPod"} for item in items if item["kind"] == "Pod"]
    seen = [
        observation
        for item in [*items, *secrets, *pods]
        if item["kind"] in BY_NAME and (observation := BY_NAME[item["kind"]].observe(json.dumps(item).encode()))
    ]
    certificates = folder / "certs.json"
    served = [c for c in json.loads(certificates.read_text()) if c["served"]] if certificates.exists() else []
    seen += [observe_certificate(certificate["pem"].encode(), CONTROLLER) for certificate in served]
    observations = {observation.key: _with_history(observation, before) for observation in seen}
    events = [note(json.dumps(item).encode()) for item in _items(folder / "events.json")]
    return World(now, observations, [event for event in events if event], before, others, name)


def _items(path: Path) -> list[dict[str, Any]]:
    return (json.loads(path.read_text())["items"] or []) if path.exists() else []


def _with_history(seen: Observation, before: World | None) -> Observation:
    if not isinstance(seen.facts, MountFacts):
        return seen
    known = before.observations.get(seen.key) if before else None
    previous = known.facts if known and known.uid == seen.uid and isinstance(known.facts, MountFacts) else None
    facts = with_change_times(previous, seen.facts, seen.created_at)
    return Observation(
        key=seen.key,
        uid=seen.uid,
        fingerprint=seen.fingerprint,
        created_at=seen.created_at,
        facts=facts,
        references=seen.references,
    )


def world_of(expectation: Expectation) -> World:
    others = tuple(replayed(captures, (), name) for name, captures in expectation.others)
    return replayed((*expectation.before, (expectation.folder, expectation.now)), others, expectation.cluster)


@cache
def replayed(captures: tuple[tuple[Path, datetime], ...], others: tuple[World, ...], name: str) -> World:
    """The world at the last of `captures`, with the history of those before, beside the other clusters."""
    *earlier, (folder, now) = captures
    return read_world(folder, now, replayed(tuple(earlier), others, name) if earlier else None, others, name)
