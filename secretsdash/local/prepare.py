"""What has to be done before the processes start, in one process: `python -m secretsdash.local.prepare`.

Applies migrations, collects static files and makes the user `admin` with the password of the file named first. With
`--set-password` an existing user gets that password too (the file was lost and made anew). With `--empty` all rows are
deleted first (the replay of the demo's back story was interrupted, and history cannot be written backwards).
"""

import hashlib
import sys
from pathlib import Path

import django
from django.core.management import call_command

ADMIN = "admin"


def main(password_file: Path, *, set_password: bool, empty: bool) -> None:
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    if empty:
        call_command("flush", interactive=False, verbosity=0)
    _collect_static()
    _ensure_admin(password_file.read_text().strip(), set_password)


def _collect_static() -> None:
    """Collect, hash and compress, unless nothing has changed: it takes three seconds of every start otherwise."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders

    seen = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            seen.update(f"{name} {storage.size(name)} {storage.get_modified_time(name)}\n".encode())
    stamp = Path(str(settings.STATIC_ROOT)) / ".collected"
    if stamp.exists() and stamp.read_text() == seen.hexdigest():
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(seen.hexdigest())


def _ensure_admin(password: str, set_password: bool) -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    user = users.filter(username=ADMIN).first()
    if user is None:
        users.create_superuser(username=ADMIN, password=password)
    elif set_password:
        user.set_password(password)
        user.save(update_fields=["password"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), set_password="--set-password" in sys.argv, empty="--empty" in sys.argv)
