"""Collects findings about one subject and the next moment at which the clock can change them."""

from datetime import datetime
from hashlib import blake2b
from typing import Final

from clusters.observations import EventNote
from monitoring.health import Health
from monitoring.rules.base import Finding, Verdict, verdict
from monitoring.rules.registry import RULES

LONGEST_TEXT: Final = 1000  # of one summary or cause: a hostile name must not fill the page


class Judgement:
    """One judging of one subject at `now`.

    Rules ask the clock only through `passed`, never through `now`: that is what makes `recheck_at` exact.
    """

    __slots__ = ("_cluster", "_findings", "_lints", "_recheck_at", "_subject", "due_at", "now")

    def __init__(self, now: datetime, subject: tuple[str, ...] = ()) -> None:
        self.now = now
        self.due_at: datetime | None = None
        self._cluster = ""
        self._subject = subject  # what is judged, without its cluster
        self._findings: list[Finding] = []
        self._lints: list[Finding] = []
        self._recheck_at: datetime | None = None

    def passed(self, moment: datetime) -> bool:
        """Whether `moment` is reached. Only ask where the answer decides about a finding."""
        if self.now >= moment:
            return True
        if self._recheck_at is None or moment < self._recheck_at:
            self._recheck_at = moment
        return False

    def find(
        self,
        rule: str,
        health: Health,
        summary: str,
        *,
        cause: str = "",
        hint: str = "",
        since: datetime | None = None,
        cause_class: str = "",
        signature: str = "",
        threshold: str = "",
    ) -> None:
        """Adds a finding. Raises KeyError for a rule that is not registered.

        `signature` joins what one cause brings about (see `causes`); without one, all findings of this rule on objects
        of the same namespace and name, whatever their cluster, are one cause. A kubectl command in `hint` is told the
        cluster's context: pasted at night it must not reach another cluster.
        """
        self._findings.append(
            Finding(
                rule=rule,
                severity=RULES[rule].severity,
                health=health,
                summary=_clipped(summary),
                cause=_clipped(cause),
                hint=self._with_context(hint),
                since=since,
                cause_class=cause_class,
                signature=signature or (self._own_signature(rule) if health >= Health.AT_RISK else ""),
                threshold=threshold,
            )
        )

    def _own_signature(self, rule: str) -> str:
        return signed(rule, *self._subject)

    def lint(self, rule: str, summary: str, *, hint: str = "") -> None:
        """Adds advice about the spec, which never counts as health. Raises KeyError for an unregistered rule."""
        severity = RULES[rule].severity
        self._lints.append(
            Finding(rule=rule, severity=severity, health=Health.HEALTHY, summary=_clipped(summary), hint=hint)
        )

    def in_cluster(self, name: str) -> None:
        """Names the cluster that kubectl commands in hints are for."""
        self._cluster = name

    def _with_context(self, hint: str) -> str:
        return hint.replace("kubectl ", f"kubectl --context {self._cluster} ") if self._cluster else hint

    def verdict(self) -> Verdict:
        return verdict(self._findings, lints=self._lints, recheck_at=self._recheck_at, due_at=self.due_at)


def signed(*parts: object) -> str:
    """A signature: 16 hex digits that are equal for equal parts."""
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def newest_warning(
    events: tuple[EventNote, ...],
    since: datetime | None,
    ignored: frozenset[str] = frozenset(),
) -> str:
    """Message of the newest Warning event that is not older than `since` (None: any age); "" if there is none."""
    newest: EventNote | None = None
    for event in events:
        if event.type != "Warning" or event.reason in ignored or event.last_at is None:
            continue
        if (since is None or event.last_at >= since) and (newest is None or event.last_at > newest.last_at):  # type: ignore[operator]
            newest = event
    return newest.message if newest else ""


def newest_at(events: tuple[EventNote, ...], *reasons: str) -> datetime | None:
    """When the newest event with one of `reasons` was seen last."""
    return max((event.last_at for event in events if event.reason in reasons and event.last_at), default=None)


def listed(names: list[str], most: int = 3) -> str:
    """ "a, b, c and 4 more"."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
