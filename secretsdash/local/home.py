"""The folder that keeps everything of a local installation: data, secrets, logs. One run at a time may use it."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nacl.public import PrivateKey

from secretsdash.local.children import StartError


@dataclass(frozen=True)
class Home:
    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def admin_password(self) -> Path:
        return self.folder / "admin-password"

    @property
    def secret_key(self) -> Path:
        return self.folder / "secret-key"

    @property
    def credential_key(self) -> Path:
        return self.folder / "credential-key"

    @property
    def tag_key(self) -> Path:
        return self.folder / "tag-key"

    def open(self) -> None:
        """Make the folder and lock it until this process ends: the lock outlives the last child that we stop."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Started by root, the servers run as another user, who must pass through to their own folders; every file
        # that is ours has mode 600.
        self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode().strip()
            os.close(descriptor)
            raise StartError(f"{self.folder} is in use by another run (process {owner or 'unknown'}).") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def make_secrets(self) -> bool:
        """Generate what is missing. True if the administrator's password is new."""
        keep_or_make(self.secret_key, lambda: secrets.token_urlsafe(50))
        keep_or_make(self.credential_key, lambda: base64.b64encode(bytes(PrivateKey.generate())).decode())
        keep_or_make(self.tag_key, new_tag_key)
        return keep_or_make(self.admin_password, lambda: secrets.token_urlsafe(12))

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    def remember_environment(self, environment: Mapping[str, str]) -> None:
        """Keep what a command against this run needs (see secretsdash.local.manage), readable for its owner only."""
        self.environment.unlink(missing_ok=True)
        with open(os.open(self.environment, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(environment), file)

    def credential_public_key(self) -> str:
        private = PrivateKey(base64.b64decode(self.credential_key.read_text()))
        return base64.b64encode(bytes(private.public_key)).decode()


def new_tag_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def keep_or_make(path: Path, generate: Callable[[], str]) -> bool:
    """Write a secret that does not exist yet, readable for us only and never half written. True if it was made."""
    if path.exists():
        return False
    incomplete = path.with_name(f"{path.name}.incomplete")
    incomplete.unlink(missing_ok=True)
    descriptor = os.open(incomplete, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(generate() + "\n")
    incomplete.rename(path)
    return True
