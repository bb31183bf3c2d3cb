"""`make clean`: remove the virtual environment and everything that local runs keep. Standard library only."""

import shutil
import sys
from pathlib import Path

BASE = Path(__file__).resolve().parents[2]


def main() -> int:
    servers = BASE / ".local" / "servers"
    if servers.is_symlink():  # data of a run by root below a folder that only root may enter
        shutil.rmtree(servers.resolve(), ignore_errors=True)
    for name in (".local", ".venv", ".venv.lock"):
        place = BASE / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
