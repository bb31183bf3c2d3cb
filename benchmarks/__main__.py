"""`make bench`: measure what we promise, print one table, exit 1 when a bound is missed.

Figures are CPU seconds (ours and Postgres's backend; the simulated API server runs in a process of its own and is not
counted). Bounds are ratios within this one run: the machine's speed cancels out.
"""

import sys
from collections.abc import Callable

from benchmarks import environment
from benchmarks.table import Row, print_table


def main() -> int:
    with environment.database():
        # Django is set up from here on.
        from benchmarks import collection, judging

        parts: tuple[Callable[[], list[Row]], ...] = (collection.run, judging.run)
        rows = [row for part in parts for row in part()]
    print_table(rows)
    missed = [row for row in rows if row.missed]
    for row in missed:
        print(f"missed: {row.what}: {row.value:.1f}, bound {row.bound}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
