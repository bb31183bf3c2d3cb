"""Reads what a user hands us about a cluster, and refuses everything that is more than an address and a credential.

Official clients run programs named in a kubeconfig, open the files it names, follow its proxies and skip verification
when it says so. Here a kubeconfig is inert: only inline data counts, nothing is opened, run or resolved, and what is
not understood is refused with its reason. No message of this module repeats a credential.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping

import msgspec
import yaml

from clusters.entries import ClusterEntry, InvalidField, check_name, check_url, entry_from_fields, printable

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16  # a kubeconfig with extensions needs 7
MAX_NODES = 100_000

# Of a cluster and of a user, what we use and what changes nothing for us. Anything else is refused.
CLUSTER_KEYS = frozenset({"server", "certificate-authority-data", "disable-compression", "extensions"})
USER_KEYS = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
CONTEXT_KEYS = frozenset({"cluster", "user", "namespace", "extensions"})

REFUSED_KEYS = {
    "certificate-authority": "names a file (certificate-authority); put its content into certificate-authority-data",
    "insecure-skip-tls-verify": "skips the verification of the server (insecure-skip-tls-verify)",
    "proxy-url": "uses a proxy (proxy-url)",
    "tls-server-name": "asks for another server name in the certificate (tls-server-name), which is not supported",
    "exec": "runs a program to get a credential (exec); use the token of a service account instead",
    "auth-provider": "uses an auth-provider; use the token of a service account instead",
    "tokenFile": "names a file (tokenFile); put its content into token",
    "client-certificate": "names a file (client-certificate); put its content into client-certificate-data",
    "client-key": "names a file (client-key); put its content into client-key-data",
    "username": "uses a user name and password",
    "password": "uses a user name and password",
    "as": "impersonates another user (as)",
    "as-uid": "impersonates another user (as-uid)",
    "as-groups": "impersonates groups (as-groups)",
    "as-user-extra": "impersonates another user (as-user-extra)",
}
# Written by tools although they change nothing.
HARMLESS = {"insecure-skip-tls-verify": frozenset({"false"})}
ABSENT = ("", "null", "~")

# Strings, lists and dictionaries only: `yes`, `1:30` and dates stay what was written.
Tree = str | list["Tree"] | dict[str, "Tree"]


class ParseError(Exception):
    """The text as a whole is no usable kubeconfig. The message is meant for the user."""


class Refused(msgspec.Struct, frozen=True):
    """A context that cannot be registered, with every reason."""

    context: str
    reason: str


class Parsed(msgspec.Struct, frozen=True):
    """`entries` and `refusals` together hold every context that was asked for, each in the order of the file."""

    entries: tuple[ClusterEntry, ...]
    refusals: tuple[Refused, ...]


def parse(text: str, contexts: Iterable[str] | None = None, *, name: str | None = None) -> Parsed:
    """The clusters behind `contexts` (None: all contexts) of the kubeconfig `text`, YAML or JSON.

    `name` is for the cluster of a single context, which is otherwise named after the context. Raises ParseError when
    the text is no kubeconfig; what is wrong with one context is its refusal.
    """
    root = read_tree(text)
    if not isinstance(root, dict):
        raise ParseError("This is no kubeconfig: it does not begin with a mapping.")
    if root.get("kind", "Config") not in ("Config", *ABSENT):
        raise ParseError("This is no kubeconfig: its kind is not Config.")
    known = _by_name(root, "contexts", "context")
    clusters, users = _by_name(root, "clusters", "cluster"), _by_name(root, "users", "user")
    wanted = list(dict.fromkeys(contexts)) if contexts is not None else list(known)
    if not wanted:
        raise ParseError("This kubeconfig has no contexts.")
    entries: dict[str, ClusterEntry] = {}
    refusals = []
    for context in wanted:
        try:
            entry = _entry(context, name, known, clusters, users)
        except InvalidField as error:
            refusals.append(Refused(printable(context), str(error)))
            continue
        if twin := entries.get(entry.name.lower()):
            refusals.append(Refused(printable(context), f"its name {entry.name} is that of context {twin.context} too"))
        else:
            entries[entry.name.lower()] = entry
    return Parsed(tuple(entries.values()), tuple(refusals))


def name_from_context(context: str) -> str:
    """A cluster name from the name of a context: what may not stand in a name becomes a dash.

    Long names are not cut: the names of two clusters often differ in their last letters only.
    """
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", context).strip("._-")


def read_tree(text: str) -> Tree:
    """The YAML document `text` as strings, lists and dictionaries. Raises ParseError.

    Built from parser events, so that aliases (which can blow up a document), tags, duplicate keys and depth are
    refused before anything is constructed.
    """
    if len(text) > MAX_BYTES:
        raise ParseError("This is too long for a kubeconfig: more than 1 MiB.")
    builder = _TreeBuilder()
    try:
        for event in yaml.parse(text, Loader=yaml.CBaseLoader):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        where = f" near line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ParseError(f"This is not valid YAML{where}.") from None
    except (yaml.YAMLError, UnicodeError):
        raise ParseError("This is not valid YAML.") from None
    return builder.result()


class _TreeBuilder:
    """Puts parser events together. `stack` holds the open lists and mappings, a mapping with its waiting key."""

    def __init__(self) -> None:
        self.stack: list[tuple[list[Tree] | dict[str, Tree], list[str]]] = []
        self.documents: list[Tree] = []
        self.nodes = 0

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ParseError("YAML anchors and aliases are not accepted.")
        if isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: yaml.NodeEvent) -> None:
        if getattr(event, "tag", None) not in (None, "!"):
            raise ParseError("YAML tags are not accepted.")
        self.nodes += 1
        if self.nodes > MAX_NODES or len(self.stack) > MAX_DEPTH:
            raise ParseError("This is nested too deeply or has too many parts for a kubeconfig.")
        if isinstance(event, yaml.ScalarEvent):
            self._place(event.value)
            return
        value: list[Tree] | dict[str, Tree] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self._place(value)
        self.stack.append((value, []))

    def _place(self, value: Tree) -> None:
        if not self.stack:
            self.documents.append(value)
            return
        container, waiting = self.stack[-1]
        if isinstance(container, list):
            container.append(value)
        elif waiting:
            container[waiting.pop()] = value
        elif not isinstance(value, str) or value in container or value == "<<":
            raise ParseError("A mapping has a key twice, or a key that is not a word.")
        else:
            waiting.append(value)

    def result(self) -> Tree:
        if len(self.documents) != 1:
            raise ParseError("This is no kubeconfig: it must be one YAML document.")
        return self.documents[0]


# What one list of the file says under a name: the body, or why it cannot be used.
Named = dict[str, dict[str, Tree] | InvalidField]


def _by_name(root: Mapping[str, Tree], plural: str, singular: str) -> Named:
    """`clusters: [{name, cluster: {...}}]` as {name: {...}}."""
    items = root.get(plural, [])
    if items in ABSENT:
        return {}
    if not isinstance(items, list):
        raise ParseError(f"{plural} must be a list.")
    found: Named = {}
    for item in items:
        name, body = (item.get("name"), item.get(singular)) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or name == "":
            raise ParseError(f"An item of {plural} has no name.")
        if name in found:
            found[name] = InvalidField(plural, f"{plural} has its name more than once")
        elif not isinstance(body, dict):
            found[name] = InvalidField(plural, f"its {singular} is empty")
        else:
            found[name] = body
    return found


def _entry(context: str, name: str | None, contexts: Named, clusters: Named, users: Named) -> ClusterEntry:
    """Raises InvalidField with all reasons joined."""
    body = _body(contexts, context, "context")
    reasons = _refusals(body, CONTEXT_KEYS)
    cluster, user = (_follow(body, key, named, reasons) for key, named in (("cluster", clusters), ("user", users)))
    reasons += _refusals(cluster, CLUSTER_KEYS) + _refusals(user, USER_KEYS)
    values = {
        "name": name_from_context(context) if name is None else name,
        "api_url": _text(cluster, "server", reasons),
        "ca_pem": _decoded(cluster, "certificate-authority-data", reasons),
        "token": _text(user, "token", reasons),
        "client_certificate": _decoded(user, "client-certificate-data", reasons),
        "client_key": _decoded(user, "client-key-data", reasons),
    }
    reasons += _problems(values) if not reasons else []
    if reasons:
        raise InvalidField("context", "; ".join(dict.fromkeys(reasons)))
    return entry_from_fields(**values, context=printable(context))


def _body(named: Named, name: str, what: str) -> dict[str, Tree]:
    body = named.get(name, InvalidField(what, f"the file has no such {what}"))
    if isinstance(body, InvalidField):
        raise body
    return body


def _follow(context: Mapping[str, Tree], key: str, named: Named, reasons: list[str]) -> dict[str, Tree]:
    """The cluster or user that a context names; {} and a reason if there is none."""
    try:
        return _body(named, _text(context, key, reasons), key)
    except InvalidField as error:
        reasons.append(str(error))
        return {}


def _refusals(body: Mapping[str, Tree], allowed: frozenset[str]) -> list[str]:
    reasons = []
    for key, value in body.items():
        if key in allowed or value in ABSENT or (isinstance(value, str) and value in HARMLESS.get(key, ())):
            continue
        # A key that is no plain word may be a credential that slipped: it is not repeated.
        shown = f"({key})" if re.fullmatch(r"[A-Za-z-]{1,40}", key) else "that is no word"
        reasons.append(REFUSED_KEYS.get(key, f"has a setting {shown} which is not supported"))
    return reasons


def _text(body: Mapping[str, Tree], key: str, reasons: list[str]) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        reasons.append(f"{key} must be text")
        return ""
    return "" if value in ABSENT else value


def _decoded(body: Mapping[str, Tree], key: str, reasons: list[str]) -> str:
    try:
        return base64.b64decode("".join(_text(body, key, reasons).split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        reasons.append(f"{key} is not base64 of a PEM text")
        return ""


def _problems(values: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the values themselves, in words of a kubeconfig."""
    words = {"api_url": "server", "ca_pem": "certificate-authority-data", "client_key": "client-key-data"}
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_name(values["name"]),
        lambda: check_url(values["api_url"]),
        lambda: entry_from_fields(**{**values, "name": "x", "api_url": "https://x"}),
    )
    problems = []
    for check in checks:
        try:
            check()
        except InvalidField as error:
            problems.append(f"{words.get(error.field, error.field.replace('_', ' '))} {error}")
    return problems
