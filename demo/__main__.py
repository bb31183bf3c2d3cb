"""`python -m demo`: the story fleet, until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

import yaml
from aiohttp import web

from demo.apiserver.fleet import write_private
from demo.control import Control
from demo.stage import Stage


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Three simulated clusters that live.")
    parser.add_argument("--directory", type=Path, required=True, help="keeps kubeconfig, credentials and the epoch")
    parser.add_argument(
        "--port-base", type=int, default=0, help="first port; default: those of last time, or free ones"
    )
    parser.add_argument("--control-port", type=int, default=0, help="default: that of last time, or a free one")
    parser.add_argument("--ready-file", type=Path, help="written when everything listens")
    return parser.parse_args()


async def _serve_control(stage: Stage, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(Control(stage).application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port or stage.control_port).start()
    return runner, runner.addresses[0][1]


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal asks to stop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stage = Stage(arguments.directory, port_base=arguments.port_base)
    await stage.fleet.start()
    stage.play()
    runner, port = await _serve_control(stage, arguments.control_port)
    stage.remember(port)
    config = arguments.directory / "kubeconfig"
    write_private(config, yaml.safe_dump(stage.fleet.kubeconfig(), sort_keys=False))
    control = f"http://127.0.0.1:{port}"
    if arguments.ready_file:
        write_private(arguments.ready_file, json.dumps({"kubeconfig": str(config), "control": control}))
    print(f"demo fleet: {', '.join(stage.fleet.clusters)}; kubeconfig {config}; control {control}", flush=True)
    playing = asyncio.create_task(stage.play_on())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([playing, stopped], return_when=asyncio.FIRST_COMPLETED)
    if playing.done():
        playing.result()  # a story that cannot go on must not look alive
    playing.cancel()
    await runner.cleanup()
    await stage.fleet.stop()


def main() -> int:
    try:
        asyncio.run(run(_arguments()))
    except OSError as error:
        print(f"demo: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
