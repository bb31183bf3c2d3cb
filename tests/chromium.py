"""The system's Chromium for the browser tests: `python -m tests.chromium` installs it where it may."""

import os
import shutil
import subprocess
import sys

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium-headless-shell", "chromium")
MISSING = f"no Chromium found (looked for {', '.join(PROGRAMS)}; CHROMIUM names another)"


def find() -> str | None:
    """Path of a Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def install() -> bool:
    """Try Debian's packages; True if one could be installed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    print("installing Chromium for the browser tests", flush=True)
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    for package in PACKAGES:
        command = ["apt-get", "install", "-qq", "--no-install-recommends", package]
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0:
            return True
    return False


def main() -> int:
    if find() or (install() and find()):
        return 0
    print(f"{MISSING}: the browser tests will be skipped. On Debian: apt-get install chromium", file=sys.stderr)
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
