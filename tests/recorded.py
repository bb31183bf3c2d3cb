"""The recorded cases as data: what is expected, of what, when. See tests/testdata/README.md for the files.

Every expectation is judged; none is skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from clusters.facts import ResourceKey
from monitoring.health import Health

CASES = Path(__file__).parent / "testdata"
FAMILIES = ("external_secrets", "sealed_secrets", "secrets_store_csi")


@dataclass(frozen=True)
class Expectation:
    """`before` are earlier captures of the same cluster, oldest first; `at` counts from `now`, when it was captured.

    `others` are the captures of the case's other clusters until then, by name, or their first ones.
    """

    case: str
    capture: str
    folder: Path
    before: tuple[tuple[Path, datetime], ...]
    cluster: str
    others: tuple[tuple[str, tuple[tuple[Path, datetime], ...]], ...]
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
    first: dict[str, tuple[Path, datetime]] = {}
    for capture in captures:
        first.setdefault(_cluster(capture), (path.parent / capture["folder"], capture["captured_at"]))
    for capture in captures:
        folder, cluster = path.parent / capture["folder"], _cluster(capture)
        history = earlier.setdefault(cluster, [])
        for wanted in capture.get("expect") or ():
            yield Expectation(
                case=path.parent.name,
                capture=f"{path.parent.name}/{capture['folder']}".removesuffix("/."),
                folder=folder,
                before=tuple(history),
                cluster=cluster or "recorded",
                others=tuple(
                    (name, tuple(earlier.get(name) or [seen])) for name, seen in first.items() if name != cluster
                ),
                now=capture["captured_at"],
                subject=_key(wanted.get("subject") or case["subject"]),
                at=_offset(wanted["at"]),
                wanted=wanted,
            )
        history.append((folder, capture["captured_at"]))


def _cluster(capture: dict[str, Any]) -> str:
    folder = str(capture["folder"])
    return str(capture.get("cluster") or (folder if folder.startswith("cluster-") else ""))


def _key(subject: dict[str, str]) -> ResourceKey:
    return ResourceKey(subject["kind"], subject.get("namespace", ""), subject["name"])


def _offset(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    parts = re.findall(r"(\d+)([smhd])", text)
    assert text == "+" + "".join(number + unit for number, unit in parts)
    return timedelta(**{units[unit]: int(number) for number, unit in parts})


def healths(wanted: dict[str, Any]) -> set[Health]:
    return {Health.from_code(word.replace(" ", "_")) for word in [wanted["health"], *wanted.get("accept", ())]}


JUDGED = list(expectations())
