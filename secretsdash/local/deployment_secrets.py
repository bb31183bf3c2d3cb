"""`make secrets`: the files that docker-compose.yml hands to the containers, made once and never overwritten."""

import base64
import secrets
import sys
from pathlib import Path

from nacl.public import PrivateKey

from secretsdash.local.home import keep_or_make, new_tag_key


def main(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    private = folder / "credential-private-key"
    made = [
        name
        for name, generate in {
            "postgres-password": lambda: secrets.token_urlsafe(32),
            "secret-key": lambda: secrets.token_urlsafe(50),
            private.name: lambda: base64.b64encode(bytes(PrivateKey.generate())).decode(),
            "credential-public-key": lambda: _public(private),
            "tag-key": new_tag_key,
        }.items()
        if keep_or_make(folder / name, generate)
    ]
    for file in folder.iterdir():
        # Containers see these files as they are, and their users are not ours. The folder keeps everyone else out.
        file.chmod(0o444)
    print(f"secretsdash: made {', '.join(made)} in {folder}" if made else f"secretsdash: {folder} is complete")
    return 0


def _public(private: Path) -> str:
    key = PrivateKey(base64.b64decode(private.read_text()))
    return base64.b64encode(bytes(key.public_key)).decode()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
