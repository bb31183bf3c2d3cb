"""The servers behind the whole test session, Django's settings for it, and the browser.

Django reads its settings once. So the servers start while pytest loads this file, before any test or fixture can import
a model, unless DATABASE_URL and REDIS_URL name others. They end with the session, and with this process if it dies.
"""

import atexit
import base64
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import django
import pytest
from nacl.public import PrivateKey

from secretsdash.local.children import Children
from secretsdash.local.places import prepare
from secretsdash.local.servers import start_postgres, start_valkey
from tests import chromium

pytest_plugins = ["tests.envtest.fixtures"]


def _start_servers() -> dict[str, str]:
    """Start what the environment does not name; return the variables that lead to it."""
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not {name, f"{name}_FILE"} & set(os.environ)]
    if not missing:
        return {}
    # Short, because the path of a Unix socket has 107 bytes at most, and open to the user that Postgres runs as.
    folder = Path(tempfile.mkdtemp(prefix="secretsdash-test-", dir="/tmp"))
    folder.chmod(0o711)
    children = Children()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(children.stop_all)  # runs first: the last registered is the first called
    places = prepare(folder / "servers")
    urls = {}
    if "DATABASE_URL" in missing:
        urls["DATABASE_URL"] = start_postgres(children, places, folder / "logs", durable=False).url
    if "REDIS_URL" in missing:
        urls["REDIS_URL"] = start_valkey(children, places, folder / "logs").url
    return urls


def _prepare_django() -> None:
    pair = PrivateKey.generate()
    for name in ("DEBUG", "BEHIND_TLS_PROXY", "STATIC_ROOT", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "POLL_INTERVAL"):
        os.environ.pop(name, None)  # what a developer has exported must not decide whether a test passes
    os.environ |= {
        **_start_servers(),
        "DJANGO_SETTINGS_MODULE": "secretsdash.settings",
        "SECRET_KEY": "tests-only-" + "0123456789" * 5,
        "CREDENTIAL_PUBLIC_KEY": base64.b64encode(bytes(pair.public_key)).decode(),
        "CREDENTIAL_PRIVATE_KEY": base64.b64encode(bytes(pair)).decode(),
        "TAG_KEY": base64.b64encode(bytes(range(32))).decode(),
        "DIAL_ALLOWED_NETWORKS": "127.0.0.0/8",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "WARNING",
    }
    django.setup()


_prepare_django()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """pytest-playwright asks this fixture how to start its browser."""
    program = chromium.find()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(chromium.MISSING)
        pytest.skip(chromium.MISSING)
    # Playwright's synchronous API runs an event loop in this thread, in which Django would refuse every query.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    return {"executable_path": program, "args": [*sandbox, "--disable-dev-shm-usage"]}


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a browser come last: from the first one on, Playwright's loop runs in this thread.

    Nothing can call `asyncio.run` from then on, and Django no longer guards against queries in a loop.
    """
    items.sort(key=lambda item: "browser_type_launch_args" in getattr(item, "fixturenames", ()))
