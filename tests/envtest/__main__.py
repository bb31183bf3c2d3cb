"""Build the API server's binaries where they are missing; with `serve`, start API servers to try things on.

Without arguments it is the prebuild step of `make test`. It ends with 0 when the binaries are there, or when Go is
missing and the tests will be skipped; with 1 when a build failed, or when they are missing and the
environment says `CI=true`.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import yaml

from tests.envtest.binaries import MISSING, Binaries, BuildFailed, ensure_binaries, is_ci
from tests.envtest.client import create_reader, install_crds
from tests.envtest.kubeconfig import kubeconfig
from tests.envtest.server import ApiServer, EnvTest


def main() -> int:
    arguments = _arguments()
    try:
        binaries = ensure_binaries()
    except (BuildFailed, FileNotFoundError) as error:
        print(f"envtest: {error}", file=sys.stderr)
        return 1
    if binaries is None:
        print(f"envtest: {MISSING}", file=sys.stderr)
        return 1 if is_ci() or arguments.serve else 0
    print(f"envtest: using {binaries.kube_apiserver} and {binaries.etcd}")
    if arguments.serve:
        _serve(binaries, arguments.names, arguments.tier, arguments.folder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.envtest", description=__doc__)
    parser.set_defaults(serve=False)
    commands = parser.add_subparsers()
    serve = commands.add_parser("serve", help="start API servers with the CRDs until Ctrl-C")
    serve.set_defaults(serve=True)
    serve.add_argument("names", nargs="*", default=["alpha"], help="one API server each (default: alpha)")
    serve.add_argument("--tier", choices=["t0", "t1", "t2"], default="t0", help="what the reader may read")
    serve.add_argument("--folder", type=Path, default=Path(".local/envtest"), help="where the kubeconfigs go")
    return parser.parse_args()


def _serve(binaries: Binaries, names: list[str], tier: str, folder: Path) -> None:
    """Run until Ctrl-C or SIGTERM. reader.yaml is for secretsdash, admin.yaml for kubectl."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EnvTest(binaries) as envtest:
            admins = {name: envtest.api_server(name) for name in names}
            for server in admins.values():
                install_crds(server)
            readers = {name: create_reader(server, tier) for name, server in admins.items()}
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(folder / "admin.yaml", admins)
            _write(folder / "reader.yaml", readers)
            print(f"envtest: {', '.join(names)} are up; kubeconfigs in {folder}. Ctrl-C stops them.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("envtest: stopped", flush=True)


def _write(path: Path, servers: dict[str, ApiServer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(kubeconfig(servers), file)


sys.exit(main())
