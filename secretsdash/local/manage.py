"""`make manage ARGS="..."`: manage.py with the settings of the local run, so that it sees the same database."""

import argparse
import json
import os
import sys
from pathlib import Path

from secretsdash.local.home import Home
from secretsdash.local.supervisor import BASE


def main() -> int:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # --help is manage.py's
    parser.add_argument("--directory", type=Path, default=BASE / ".local")
    given, command = parser.parse_known_args()
    file = Home(given.directory).environment
    if not file.exists():
        print("There is no local run yet. Start one with `make run` and leave it running.", file=sys.stderr)
        return 1
    environment = json.loads(file.read_text())  # what the run was started with, and its servers
    os.chdir(BASE)
    os.execve(sys.executable, [sys.executable, "manage.py", *command], environment)


if __name__ == "__main__":
    sys.exit(main())
