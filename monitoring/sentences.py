"""What the page of one resource says in words: its state, its facts, and what happened to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from clusters.facts import (
    ClassFacts,
    Facts,
    MountFacts,
    NodeFacts,
    ParentFacts,
    ReconciledFacts,
    RefreshedFacts,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    StoreFacts,
    WorkloadFacts,
    facts_from_json,
)
from monitoring import words
from monitoring.models import Event
from monitoring.queries import Change, JudgedResource

MOST_HAPPENED = 60
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def about(resource: JudgedResource) -> str:
    """One plain sentence about the state, without the word of its health, which the page puts before it."""
    if resource.unseen:
        since = f" since {words.moment(resource.unseen.since, resource.now)}" if resource.unseen.since else ""
        verb = " is" if resource.unseen.reason.startswith("cluster") else ""
        subject = resource.unseen.reason.removeprefix("cluster ")
        who = f"Cluster {resource.row.cluster.name}{verb} {subject}" if verb else subject
        return f"{who}{since}. Last known: {resource.last_known.word.lower()}."
    if resource.worst:
        return _without_word(resource.worst.summary, resource.health.word)
    return _healthy(resource)


def _without_word(summary: str, word: str) -> str:
    """ "Failing. Failing since ..." says it twice."""
    rest = summary.removeprefix(f"{word} ")
    return summary if rest == summary else rest[:1].upper() + rest[1:]


def _healthy(resource: JudgedResource) -> str:
    facts = facts_from_json(resource.row.kind, resource.row.facts)
    now, due, refreshed = resource.now, resource.row.due_at, resource.row.refreshed_at
    if isinstance(facts, RefreshedFacts) and refreshed:
        words_due = f"; the next refresh is due in {words.duration(due - now)}" if due and due > now else ""
        return f"Refreshed {words.duration(now - refreshed)} ago{words_due}."
    if isinstance(facts, SealedSecretFacts):
        return "Its controller unsealed it, and reports no error."
    if isinstance(facts, StoreFacts):
        return "The controller can use this store."
    if isinstance(facts, MountFacts):
        return "No other mount of its class has a newer version."
    return "There is nothing to complain about."


class Form(StrEnum):
    """How the value of a fact is shown."""

    TEXT = "text"
    NAME = "name"
    TIME = "time"
    DUE = "due"


@dataclass(frozen=True)
class Fact:
    label: str
    value: str | datetime
    form: Form = Form.TEXT
    note: str = ""


def facts(resource: JudgedResource) -> tuple[Fact, ...]:
    """The facts of a resource in reading order; what is empty is left out."""
    row = resource.row
    known = facts_from_json(row.kind, row.facts)
    found = [
        Fact("Last good", row.refreshed_at, Form.TIME) if row.refreshed_at else None,
        Fact("Due", row.due_at, Form.DUE) if row.due_at else None,
        *_of_kind(known),
        Fact("Deleted", known.deleting_since, Form.TIME, "a finalizer holds it") if known.deleting_since else None,
        Fact("Not readable", known.problem) if known.problem else None,
        Fact("Created", row.created_at, Form.TIME) if row.created_at else None,
        Fact("First seen", row.first_seen_at, Form.TIME),
    ]
    return tuple(fact for fact in found if fact and fact.value)


def _of_kind(known: Facts) -> Iterable[Fact]:
    if isinstance(known, RefreshedFacts):
        yield from _refreshed(known)
    if isinstance(known, ParentFacts):
        yield Fact("Namespaces", f"{known.provisioned} written, {len(known.failed_namespaces)} failed")
    if isinstance(known, ReconciledFacts):
        yield from _condition(known)
    if isinstance(known, StoreFacts):
        yield Fact("Provider", known.provider)
        yield Fact("Server", known.server, Form.NAME)
    if isinstance(known, SealedSecretFacts):
        yield Fact("Scope", known.scope)
        yield Fact("Items", ", ".join(item.name for item in known.sealed), Form.NAME)
    if isinstance(known, ClassFacts):
        yield Fact("Provider", known.provider)
        yield Fact("Objects", ", ".join(known.objects), Form.NAME)
    if isinstance(known, MountFacts):
        yield Fact("Pod", known.pod, Form.NAME)
        yield Fact("Node", known.node, Form.NAME)
        yield Fact("Versions", ", ".join(f"{mounted.id} {mounted.version}" for mounted in known.objects), Form.NAME)


def _refreshed(known: RefreshedFacts) -> Iterable[Fact]:
    yield Fact("Policy", f"{known.policy or 'Periodic'}, every {known.interval or '1h'}")
    yield Fact(
        "Target policy", ", ".join(filter(None, (known.creation_policy, "immutable" if known.immutable else "")))
    )
    for window in known.sync_windows:
        yield Fact("Sync window", f"{window.kind} {window.schedule} for {window.duration}", Form.NAME)


def _condition(known: ReconciledFacts) -> Iterable[Fact]:
    name = "Synced" if isinstance(known, SealedSecretFacts) else "Ready"
    status = "absent" if known.ready is None else f"{name}={known.ready}"
    since = f"since {words.full_moment(known.condition_since)}" if known.condition_since else ""
    yield Fact("Condition", f"{status}, {known.reason}" if known.reason else status, note=since)
    yield Fact("Message", known.message)


def supporting(resource: JudgedResource) -> str:
    """One line about an operator, driver, node or key of a cluster."""
    known = facts_from_json(resource.row.kind, resource.row.facts)
    if isinstance(known, WorkloadFacts):
        return ", ".join(filter(None, (known.role, known.version, f"{known.ready} of {known.desired} ready")))
    if isinstance(known, SealingCertificateFacts) and known.not_before and known.not_after:
        return f"made {words.full_moment(known.not_before)}, expires {words.full_moment(known.not_after)}"
    if isinstance(known, SealingKeyFacts):
        return known.state or "not used any more"
    if isinstance(known, NodeFacts):
        return ", ".join(known.drivers) or "no driver"
    return ""


@dataclass(frozen=True)
class Happening:
    """One line of the log: a change of health, or a Kubernetes Event."""

    at: datetime | None
    change: Change | None = None
    event: Event | None = None


def happened(changes: Iterable[Change], events: Iterable[Event]) -> tuple[Happening, ...]:
    """Changes and events together, newest first."""
    lines = [Happening(change.row.at, change=change) for change in changes]
    lines += [Happening(event.last_at or event.first_at, event=event) for event in events]
    lines.sort(key=lambda line: line.at or LONG_AGO, reverse=True)
    return tuple(lines[:MOST_HAPPENED])
