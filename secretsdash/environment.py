"""Typed access to environment variables, used by `secretsdash.settings` only.

Every reader takes the name of the variable and fails with `ImproperlyConfigured` that names it, and never repeats
the value: it may be a secret.
"""

import base64
import binascii
import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from monitoring import agreement
from monitoring.rotation import policy
from monitoring.rules.thresholds import BadThreshold, Override, Thresholds, parse

TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})
# What may follow the question mark of DATABASE_URL. Everything else is refused, because libpq options such as
# `service` or `passfile` make the server read files that nobody meant.
DATABASE_OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "target_session_attrs"})


def text(name: str, default: str = "", choices: Iterable[str] = ()) -> str:
    value = os.environ.get(name, default).strip()
    allowed = tuple(choices)
    if allowed and value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of: {', '.join(allowed)}.")
    return value


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, str(default)).strip().lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false.")


def number(name: str, default: int, *, minimum: int, maximum: int) -> int:
    value = os.environ.get(name, "").strip() or str(default)
    try:
        parsed = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number.") from None
    if not minimum <= parsed <= maximum:
        raise ImproperlyConfigured(f"{name} must lie between {minimum} and {maximum}.")
    return parsed


def thresholds(name: str) -> Thresholds:
    """Limits for judging as a JSON object: {"grace_most": "20m"}. See monitoring.rules.thresholds for the names."""
    try:
        return parse(_json_object(name))
    except BadThreshold as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from None


def thresholds_by_label(name: str, base: Thresholds) -> tuple[Override, ...]:
    """What clusters with a label get instead, as JSON: {"env=dev": {"grace_most": "1h"}}. Later labels win."""
    found = []
    for label, given in _json_object(name).items():
        key, equals, value = label.partition("=")
        if not (key and equals and isinstance(given, dict)):
            raise ImproperlyConfigured(f'{name} must map labels to objects: {{"env=dev": {{"grace_most": "1h"}}}}.')
        try:
            parse(given, base)
        except BadThreshold as error:
            raise ImproperlyConfigured(f"{name}, {label[:80]}: {error}.") from None
        found.append(Override(label=key, value=value, given=given))
    return tuple(found)


def rotation_policy(name: str) -> tuple[policy.Rule, ...]:
    """After how many days values are to be rotated, as a JSON list of rules. See monitoring.rotation.policy."""
    try:
        return policy.parse(json.loads(text(name) or "[]"))
    except (ValueError, RecursionError) as error:
        reason = f"{error}" if isinstance(error, policy.BadRule) else "it must be JSON"
        raise ImproperlyConfigured(f"{name}: {reason}.") from None


def drift_rules(name: str) -> tuple[agreement.Agreement, ...]:
    """Rules of agreement between clusters, as a JSON list. See monitoring.agreement."""
    try:
        return agreement.parse(json.loads(text(name) or "[]"))
    except (ValueError, RecursionError) as error:
        reason = f"{error}" if isinstance(error, agreement.BadAgreement) else "it must be JSON"
        raise ImproperlyConfigured(f"{name}: {reason}.") from None


def _json_object(name: str) -> dict[str, object]:
    try:
        value = json.loads(text(name) or "{}")
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be JSON.") from None
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"{name} must be a JSON object.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Comma separated words, without the empty ones."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def networks(name: str) -> list[str]:
    """Comma separated networks in CIDR notation, normalised."""
    try:
        return [str(ipaddress.ip_network(word)) for word in words(name)]
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a comma separated list of networks like 10.0.0.0/8.") from None


def secret(name: str, default: str = "") -> str:
    """The variable NAME, or the content of the file that NAME_FILE points to. Both at once is an error."""
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return os.environ.get(name, default).strip()
    if os.environ.get(name):
        raise ImproperlyConfigured(f"Set either {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {type(error).__name__}.") from error


def sealing_key(name: str) -> str:
    """A Curve25519 key in base64, or an empty string when it is not set."""
    return base64.b64encode(key(name)).decode()


def key(name: str) -> bytes:
    """The 32 bytes that the variable holds in base64, or none when it is not set."""
    value = secret(name)
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ImproperlyConfigured(f"{name} must be base64.") from None
    if value and len(raw) != 32:
        raise ImproperlyConfigured(f"{name} must hold 32 bytes.")
    return raw


def database(url: str, password: str) -> dict[str, object]:
    """Django's description of the Postgres database behind DATABASE_URL.

    `postgres://user:password@host:5432/name?sslmode=verify-full`, or with the folder of a Unix socket
    `postgres://user@/name?host=/run/postgresql`. `password` is used when the URL holds none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL is not a valid URL.") from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres:// (Postgres is the only database).")
    name = unquote(parts.path.lstrip("/"))
    if not name or "/" in name:
        raise ImproperlyConfigured("DATABASE_URL must end with the name of the database.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    socket_folder = options.pop("host", "")
    if unknown := sorted(set(options) - DATABASE_OPTIONS):
        raise ImproperlyConfigured(f"DATABASE_URL has an option that is not supported: {', '.join(unknown)}.")
    if socket_folder and not socket_folder.startswith("/"):
        raise ImproperlyConfigured("DATABASE_URL: host= is for the folder of a Unix socket.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or "") or password,
        "HOST": socket_folder or unquote(parts.hostname or ""),
        "PORT": str(port or ""),
        "OPTIONS": {"connect_timeout": "5", **options},
    }


def broker(url: str) -> tuple[str, str]:
    """The broker behind REDIS_URL in the words of Celery and in those of redis-py.

    Accepts `redis://`, `rediss://`, and for a Unix socket `redis+socket:///path`, `unix:///path` or a bare path.
    """
    if url.startswith("/"):
        url = f"unix://{url}"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it raises on a port that is no number
    except ValueError:
        raise ImproperlyConfigured("REDIS_URL is not a valid URL.") from None
    options = dict(parse_qsl(parts.query))
    if parts.scheme in {"unix", "redis+socket"} and parts.path.startswith("/"):
        index = options.get("virtual_host") or options.get("db") or "0"
        return f"redis+socket://{parts.path}?virtual_host={index}", f"unix://{parts.path}?db={index}"
    if parts.scheme in {"redis", "rediss"} and parts.hostname:
        return url, url
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or redis+socket:///.")


def tcp_hosts(database_host: str, broker_url: str) -> tuple[str, ...]:
    """The hosts of the database, in the words of libpq, and of the broker. Unix sockets have none."""
    hosts = [*database_host.split(","), urlsplit(broker_url).hostname or ""]
    return tuple(dict.fromkeys(host for host in hosts if host and host[0] not in "/@"))
