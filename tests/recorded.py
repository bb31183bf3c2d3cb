"""The recorded cases as data: what is expected, of what, when. See tests/testdata/README.md for the files.

Nothing is skipped in silence: an expectation that is not met yet stands in LATER_CASES with its reason and with the
health that is said meanwhile.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from clusters.observations import ResourceKey
from monitoring.health import Health

CASES = Path(__file__).parent / "testdata"
FAMILIES = ("external_secrets", "sealed_secrets", "secrets_store_csi")


class Later(NamedTuple):
    """Why an expectation is not met yet, and the health that is said meanwhile (None: the subject is no resource)."""

    reason: str
    meanwhile: Health | None


_SECRETS, _PODS = "needs the metadata of target Secrets", "needs pods"
# By case, and name or kind of the subject. "Without it: unknown or silence, never healthy": silence is a verdict
# without this finding.
LATER_CASES: dict[tuple[str, str], Later] = {
    ("child-edited", "SealedSecret"): Later(_SECRETS, Health.HEALTHY),
    ("stale-false", "SealedSecret"): Later(_SECRETS, Health.UNKNOWN),
    ("status-disabled", "SealedSecret"): Later(_SECRETS, Health.UNKNOWN),
    ("synced-secret-missing", "SecretProviderClass"): Later(_SECRETS, Health.HEALTHY),
    ("key-compromised/step-2", "db"): Later("needs the history of sealing keys", Health.HEALTHY),
    ("driver-not-ready-on-one-node", "shop-x58brdkmvz-5ndjg-csi-driver-not-ready-on-one-node-shop"): Later(
        _PODS, Health.HEALTHY
    ),
    ("failed-to-create-secret-event", "SecretProviderClass"): Later(
        "a class sees no Events of its pods", Health.HEALTHY
    ),
    ("not-mounted-class-missing", "Pod"): Later(_PODS, None),
    ("not-mounted-driver-not-registered", "Pod"): Later(_PODS, None),
    ("not-mounted-provider-denies", "Pod"): Later(_PODS, None),
    ("not-mounted-provider-missing", "Pod"): Later(_PODS, None),
    ("subpath-mount", "SecretProviderClassPodStatus"): Later(_PODS, Health.HEALTHY),
    ("synced-secret-conflict", "SecretProviderClass"): Later("a class does not see its neighbours", Health.HEALTHY),
    ("version-drift-two-clusters/cluster-b/step-2", "SecretProviderClassPodStatus"): Later(
        "compares clusters", Health.HEALTHY
    ),
}


@dataclass(frozen=True)
class Expectation:
    """`before` are earlier captures of the same cluster, oldest first; `at` counts from `now`, when it was captured."""

    case: str
    capture: str
    folder: Path
    before: tuple[tuple[Path, datetime], ...]
    now: datetime
    subject: ResourceKey
    at: timedelta
    wanted: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.capture} {self.subject.kind} {self.wanted['at']}"


def expectations() -> Iterator[Expectation]:
    for family in FAMILIES:
        for path in sorted((CASES / family).glob("*/case.yaml")):
            yield from _of_case(path)


def _of_case(path: Path) -> Iterator[Expectation]:
    case = yaml.safe_load(path.read_text())
    captures = case.get("captures") or [{**case, "folder": "."}]
    earlier: dict[str, list[tuple[Path, datetime]]] = {}
    for capture in captures:
        folder = path.parent / capture["folder"]
        cluster = capture.get("cluster") or (capture["folder"] if capture["folder"].startswith("cluster-") else "")
        history = earlier.setdefault(cluster, [])
        for wanted in capture.get("expect") or ():
            yield Expectation(
                case=path.parent.name,
                capture=f"{path.parent.name}/{capture['folder']}".removesuffix("/."),
                folder=folder,
                before=tuple(history),
                now=capture["captured_at"],
                subject=_key(wanted.get("subject") or case["subject"]),
                at=_offset(wanted["at"]),
                wanted=wanted,
            )
        history.append((folder, capture["captured_at"]))


def _key(subject: dict[str, str]) -> ResourceKey:
    return ResourceKey(subject["kind"], subject.get("namespace", ""), subject["name"])


def _offset(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    parts = re.findall(r"(\d+)([smhd])", text)
    assert text == "+" + "".join(number + unit for number, unit in parts)
    return timedelta(**{units[unit]: int(number) for number, unit in parts})


def healths(wanted: dict[str, Any]) -> set[Health]:
    return {Health.from_code(word.replace(" ", "_")) for word in [wanted["health"], *wanted.get("accept", ())]}


def later(expectation: Expectation) -> Later | None:
    for case in (expectation.capture, expectation.case):
        for part in (expectation.subject.name, expectation.subject.kind):
            if found := LATER_CASES.get((case, part)):
                return found
    return None


ALL = list(expectations())
LATER = [(expectation, found) for expectation in ALL if (found := later(expectation))]
JUDGED = [expectation for expectation in ALL if not later(expectation)]
