"""`make bench`: measure what we promise, print one table, exit 1 when a bound is missed.

Figures of collecting and judging are CPU seconds (ours and Postgres's backend; the simulated API server runs in a
process of its own and is not counted), and their bounds are ratios within one run: the machine's speed cancels out.
Figures of history are milliseconds that somebody waits.

`python -m benchmarks history` measures one part, `--full` history at the size that is promised.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

from benchmarks import environment
from benchmarks.table import Row, print_table

PARTS = ("collection", "judging", "history")  # history last: it empties the database first


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; without any: all of them")
    parser.add_argument("--full", action="store_true", help="history at the promised size: an hour, 45 GB below /tmp")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    with environment.database(large=chosen.full):
        # Django is set up from here on.
        from benchmarks import collection, history, judging

        runs: dict[str, Callable[[], list[Row]]] = {
            "collection": collection.run,
            "judging": judging.run,
            "history": partial(history.run, full=chosen.full),
        }
        rows = [row for part in PARTS if part in (chosen.parts or PARTS) for row in runs[part]()]
    print_table(rows)
    missed = [row for row in rows if row.missed]
    for row in missed:
        print(f"missed: {row.what}: {row.value:.1f}, bound {row.bound}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
