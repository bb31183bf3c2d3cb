"""What somebody wrote, or what runs differently, between two readings of one object. Plain Python: no database."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from clusters.facts import (
    ClassFacts,
    DriverFacts,
    Facts,
    ParentFacts,
    RefreshedFacts,
    SealedSecretFacts,
    SealingCertificateFacts,
    SealingKeyFacts,
    StoreFacts,
    WorkloadFacts,
)

# Their generation moves with the spec only: all have a status subresource, or (classes) no status that anybody writes.
WRITTEN = (RefreshedFacts, ParentFacts, StoreFacts, SealedSecretFacts, ClassFacts)
# What others depend on: that it went away is a suspect. Anything else has no page any more that could tell.
DEPENDED_ON = (StoreFacts, ClassFacts, ParentFacts, WorkloadFacts, DriverFacts)

RECREATED, ABSENT, DELETION = "recreated", "absent", "deletion"
LONGEST = 253


class Revised(NamedTuple):
    """See models.Revision. `at` is by the cluster's clock; None: not known, so it was just before we saw it."""

    what: str
    before: str
    after: str
    at: datetime | None = None
    by: str = ""


def revisions_of(before: Facts, after: Facts) -> tuple[Revised, ...]:
    """How an object that is still the same one differs in what somebody wrote, or in what runs."""
    if type(before) is not type(after):
        return ()
    return tuple(_clipped(revised) for revised in _differences(before, after))


def recreated(before: Facts, after: Facts, created_at: datetime | None) -> tuple[Revised, ...]:
    """Another object bears the name now, with a spec of its own. A certificate's identity is what it holds."""
    if isinstance(after, SealingCertificateFacts):
        return revisions_of(before, after)
    if isinstance(after, SealingKeyFacts):
        return (_clipped(Revised("key", RECREATED, _state(after), created_at)),)
    if not isinstance(after, (*WRITTEN, *DEPENDED_ON)):
        return ()
    by = getattr(after, "spec_written_by", "")
    return (_clipped(Revised("spec", RECREATED, _generation(after), created_at, by)),)


def added_key(after: Facts, created_at: datetime | None) -> tuple[Revised, ...]:
    """A sealing key that was not there before. Of everything else a first sight tells nothing."""
    return (_clipped(Revised("key", ABSENT, _state(after), created_at)),) if isinstance(after, SealingKeyFacts) else ()


def removed(before: Facts) -> tuple[Revised, ...]:
    """What others depend on is gone."""
    if isinstance(before, SealingKeyFacts):
        return (_clipped(Revised("key", _state(before), ABSENT)),)
    return (Revised("spec", _generation(before), ABSENT),) if isinstance(before, DEPENDED_ON) else ()


def _differences(before: Facts, after: Facts) -> Iterator[Revised]:
    if isinstance(after, WRITTEN):
        yield from _written(before, after)
    elif isinstance(before, WorkloadFacts) and isinstance(after, WorkloadFacts):
        if before.version != after.version:
            yield Revised("version", before.version, after.version)
        yield from _options(before.options, after.options)
    elif isinstance(before, DriverFacts) and isinstance(after, DriverFacts):
        yield from _options(_republish(before), _republish(after))
    elif isinstance(before, SealingKeyFacts) and isinstance(after, SealingKeyFacts):
        if before.state != after.state:
            yield Revised("key", _state(before), _state(after))
    elif isinstance(before, SealingCertificateFacts) and isinstance(after, SealingCertificateFacts):
        yield from _served(before, after)


def _served(before: SealingCertificateFacts, after: SealingCertificateFacts) -> Iterator[Revised]:
    if before.sha256 != after.sha256:
        yield Revised("key", before.sha256[:8], after.sha256[:8], _made_at(before, after))


def _made_at(before: SealingCertificateFacts, after: SealingCertificateFacts) -> datetime | None:
    """A key is served from when it is made; an older one that is served again does not tell since when."""
    later = after.not_before and before.not_before and after.not_before > before.not_before
    return after.not_before if later else None


def _written(before: Facts, after: Facts) -> Iterator[Revised]:
    """A deletion that waits for a finalizer raises the generation as well: it is told as what it is."""
    if after.deleting_since and not before.deleting_since:
        yield Revised("spec", _generation(before), DELETION, after.deleting_since)
    elif before.generation != after.generation:
        if not after.deleting_since:
            yield Revised("spec", _generation(before), _generation(after), *_writer(before, after))
    elif isinstance(before, RefreshedFacts) and isinstance(after, RefreshedFacts) and _relabelled(before, after):
        yield Revised("labels", "", "", *_writer(before, after))


def _relabelled(before: RefreshedFacts, after: RefreshedFacts) -> bool:
    """Whether the hash over labels and annotations is another one. MD5 and SHA3 (ESO 0.16.2) cannot be compared."""
    old, new = (facts.expected_version.rpartition("-")[2] for facts in (before, after))
    return bool(old and new) and len(old) == len(new) and old != new


def _writer(before: Facts, after: Facts) -> tuple[datetime | None, str]:
    """When it was written and by which field manager, if the newest time of writing moved with it."""
    at: datetime | None = getattr(after, "spec_written_at", None)
    earlier: datetime | None = getattr(before, "spec_written_at", None)
    if at is None or (earlier is not None and at <= earlier):
        return None, ""
    return at, getattr(after, "spec_written_by", "")


def _options(before: dict[str, str], after: dict[str, str]) -> Iterator[Revised]:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        yield Revised("options", _settings(before, changed), _settings(after, changed))


def _settings(options: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{name}={options[name]}" if name in options else f"{name} not set" for name in names)


def _republish(facts: DriverFacts) -> dict[str, str]:
    value = facts.requires_republish
    return {} if value is None else {"requiresRepublish": str(value).lower()}


def _generation(facts: Facts) -> str:
    return f"generation {facts.generation}" if facts.generation else "present"


def _state(facts: SealingKeyFacts) -> str:
    return facts.state or "not used"


def _clipped(revised: Revised) -> Revised:
    return revised._replace(before=revised.before[:LONGEST], after=revised.after[:LONGEST], by=revised.by[:LONGEST])
