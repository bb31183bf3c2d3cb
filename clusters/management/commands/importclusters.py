"""Registers the contexts of a kubeconfig, one line of output each."""

import base64
import json
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clusters import registration
from clusters.credentials import KeyMissing
from clusters.entries import ClusterEntry, InvalidField
from clusters.kubeconfig import MAX_BYTES, ParseError, Tree, parse, read_tree

# What minikube writes as files, with the key that holds the same inline.
FILE_KEYS = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
MAX_FILE_BYTES = 256 * 1024


def label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ArgumentTypeError("must be NAME=TEXT")
    return name, value


class Command(BaseCommand):
    help = "Register the clusters of a kubeconfig. Exits with 1 when a context that was named is not registered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kubeconfig", required=True, metavar="FILE", help="path of the kubeconfig")
        parser.add_argument(
            "--context", action="append", metavar="NAME", help="register this context only; may be repeated"
        )
        parser.add_argument("--name", help="the cluster's name, if not that of its context; with one --context only")
        parser.add_argument("--interval", type=int, metavar="SECONDS", help="seconds between two collections")
        parser.add_argument(
            "--label", action="append", type=label, default=[], metavar="NAME=TEXT", help="may be repeated"
        )
        parser.add_argument(
            "--secret-namespace",
            action="append",
            metavar="NAME",
            help="list the metadata of Secrets here only (deploy/rbac/t2.yaml); may be repeated",
        )
        parser.add_argument(
            "--replace", action="store_true", help="give registered clusters this address and credential"
        )
        parser.add_argument(
            "--local",
            action="store_true",
            help="also take certificates and keys from the files that the kubeconfig names, below your home directory "
            "(minikube writes such kubeconfigs); for your own kubeconfig only",
        )

    def handle(self, *args: object, **options: Any) -> None:
        path = Path(options["kubeconfig"]).expanduser()
        if options["name"] is not None and len(options["context"] or ()) != 1:
            raise CommandError("--name needs exactly one --context.")
        try:
            text = read_text(path)
            if options["local"]:
                text = with_files_inlined(text, path.parent, Path.home())
            parsed = parse(text, options["context"], name=options["name"])
        except ParseError as error:
            raise CommandError(f"{path}: {error}") from None
        registered = [self._register(entry, options) for entry in parsed.entries]
        for refused in parsed.refusals:
            self.stdout.write(f"{refused.context}: refused: {refused.reason}")
        missed = len(parsed.refusals) + registered.count(False)
        if missed and (options["context"] or missed == len(parsed.refusals) + len(registered)):
            raise CommandError(f"{missed} of the contexts not registered.")

    def _register(self, entry: ClusterEntry, options: dict[str, Any]) -> bool:
        try:
            cluster = registration.register(
                entry,
                now=timezone.now(),
                labels=dict(options["label"]) if options["label"] else None,
                interval=options["interval"],
                secret_namespaces=options["secret_namespace"],
                replace=options["replace"],
            )
        except registration.AlreadyRegistered as error:
            self.stdout.write(f"{entry.context}: {error} (--replace gives it this address and credential)")
            return True
        except InvalidField as error:
            self.stdout.write(f"{entry.context}: refused: {error.field} {error}")
            return False
        except KeyMissing as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{entry.context}: registered as {cluster.name} ({cluster.api_url})")
        return True


def read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8")
    except OSError as error:
        raise ParseError(f"cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ParseError("is not UTF-8.") from None


def with_files_inlined(text: str, folder: Path, home: Path) -> str:
    """The kubeconfig with the content of the certificate and key files that lie below `home`.

    Only for a person's own kubeconfig on their own machine; the parser itself never opens a file. Relative paths are
    relative to `folder`, as kubectl has it. A file that cannot be taken stays a path, which the parser refuses.
    """
    tree = read_tree(text)
    for plural, singular in (("clusters", "cluster"), ("users", "user")):
        items = tree.get(plural) if isinstance(tree, dict) else None
        for item in items if isinstance(items, list) else ():
            body = item.get(singular) if isinstance(item, dict) else None
            if isinstance(body, dict):
                _inline(body, folder, home)
    return json.dumps(tree, ensure_ascii=False)


def _inline(body: dict[str, Tree], folder: Path, home: Path) -> None:
    for key, inline_key in FILE_KEYS.items():
        path = body.get(key)
        if not isinstance(path, str) or not path or inline_key in body or "\0" in path:
            continue
        file = (folder / path).resolve()
        if file.is_relative_to(home.resolve()) and file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
            body[inline_key] = base64.b64encode(file.read_bytes()).decode()
            del body[key]
