"""A Postgres of our own and Django set up on it, before anything that needs models is imported."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from nacl.public import PrivateKey

from secretsdash.local.children import Children
from secretsdash.local.places import prepare
from secretsdash.local.servers import start_postgres


@contextmanager
def database() -> Iterator[None]:
    """An empty, migrated database with durable settings (fsync on), removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="secretsdash-bench-", dir="/tmp"))
    folder.chmod(0o711)
    children = Children()
    try:
        server = start_postgres(children, prepare(folder / "servers"), folder / "logs")
        pair = PrivateKey.generate()
        os.environ |= {
            "DATABASE_URL": server.url,
            "DJANGO_SETTINGS_MODULE": "secretsdash.settings",
            "SECRET_KEY": "benchmark",
            "CREDENTIAL_PUBLIC_KEY": base64.b64encode(bytes(pair.public_key)).decode(),
            "CREDENTIAL_PRIVATE_KEY": base64.b64encode(bytes(pair)).decode(),
            "DIAL_ALLOWED_NETWORKS": "127.0.0.0/8",
            "LOG_LEVEL": "WARNING",
        }
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield
    finally:
        children.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
