"""`python -m secretsdash.local`: run everything on this machine until Ctrl-C."""

import signal
import sys

from secretsdash.local.stopping import Stopped, stop_on_signals


def main() -> int:
    try:
        stop_on_signals()
        # After the handlers are in place: importing takes a second, and Ctrl-C may come in it.
        from secretsdash.local.supervisor import run

        return run(sys.argv[1:])
    except Stopped as stopped:
        return 130 if stopped.signal == signal.SIGINT else 0


if __name__ == "__main__":
    sys.exit(main())
