"""A Postgres of our own and Django set up on it, before anything that needs models is imported."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import psycopg
from nacl.public import PrivateKey

from secretsdash.local.children import Children
from secretsdash.local.places import Places, prepare
from secretsdash.local.servers import Server, start_postgres


@contextmanager
def database(*, large: bool = False) -> Iterator[None]:
    """An empty, migrated database with durable settings (fsync on), removed afterwards.

    A `large` one has 2 GB of shared buffers, and is not durable: only reading it is measured.
    """
    folder = Path(tempfile.mkdtemp(prefix="secretsdash-bench-", dir="/tmp"))
    folder.chmod(0o711)
    children = Children()
    try:
        places = prepare(folder / "servers")
        server = (
            _large(children, places, folder / "logs") if large else start_postgres(children, places, folder / "logs")
        )
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


def _large(children: Children, places: Places, logs: Path) -> Server:
    """Started twice, because the size of shared buffers is read at the start."""
    server = start_postgres(children, places, logs, durable=False)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET shared_buffers = '2GB'")
        connection.execute("ALTER SYSTEM SET max_wal_size = '3GB'")  # fewer checkpoints while it is filled
    children.stop_all()
    return start_postgres(children, places, logs, durable=False)
