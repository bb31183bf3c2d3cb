"""Our judgement of a resource, ordered from best to worst.

Unknown stands between healthy and progressing: it is never green, and it must not hide what is known to be bad.
"""

from enum import IntEnum, StrEnum


class Health(IntEnum):
    """Stored as its number; the API and URLs use `code`, people see `word`."""

    HEALTHY = 0
    UNKNOWN = 1
    PROGRESSING = 2
    AT_RISK = 3
    STALE = 4
    FAILING = 5

    @property
    def code(self) -> str:
        return self.name.lower()

    @property
    def word(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def css(self) -> str:
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_code(cls, code: str) -> "Health":
        """Raises ValueError naming the allowed codes."""
        try:
            return cls[code.upper()] if code == code.lower() else cls[""]
        except KeyError:
            allowed = ", ".join(health.code for health in WORST_FIRST)
            raise ValueError(f"unknown health {code[:40]!r}; one of: {allowed}") from None


WORST_FIRST = tuple(sorted(Health, reverse=True))


def worst_of(healths: "list[Health] | tuple[Health, ...]") -> Health:
    """The worst of `healths`; healthy for an empty list."""
    return max(healths, default=Health.HEALTHY)


class Severity(StrEnum):
    """How much a finding matters to a person, apart from the resource's health."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
