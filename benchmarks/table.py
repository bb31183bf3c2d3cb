"""Rows of the benchmark's one table, and whether their bounds hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured value. With `at_least` or `at_most` it can miss its bound."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def missed(self) -> bool:
        too_low = self.at_least is not None and self.value < self.at_least
        too_high = self.at_most is not None and self.value > self.at_most
        return too_low or too_high


def print_table(rows: list[Row]) -> None:
    width = max(len(row.what) for row in rows)
    print(f"{'what':{width}}  {'value':>12}  {'unit':12}  {'bound':>8}  held")
    for row in rows:
        held = "" if not row.bound else "no" if row.missed else "yes"
        print(f"{row.what:{width}}  {row.value:12,.1f}  {row.unit:12}  {row.bound:>8}  {held}")
