"""Password generators of External Secrets (group generators.external-secrets.io), read against 2.9.0."""

from math import lgamma, log
from string import ascii_lowercase, ascii_uppercase, digits

from clusters.facts import PasswordFacts
from clusters.kinds.base import (
    EXTERNAL_SECRETS,
    Described,
    Document,
    Resource,
    WatchedKind,
    common,
    count,
    observer,
)

# generators/v1/password/password.go: what an absent field means.
_LENGTH = 24
_SYMBOLS = '~!@#$%^&*()_+`-={}|[]\\:"<>?,./'
_SHARE = 4  # digits and symbols: a quarter of the length each


class _PasswordSpec(Document):
    length: int | None = None
    digits: int | None = None
    symbols: int | None = None
    symbol_characters: str | None = None
    no_upper: bool | None = None
    allow_repeat: bool | None = None


class _Password(Resource):
    spec: _PasswordSpec | None = None


def _describe_password(resource: _Password) -> Described:
    return PasswordFacts(**common(resource.metadata), entropy_bits=_entropy_bits(resource.spec or _PasswordSpec())), ()


def _entropy_bits(spec: _PasswordSpec) -> int:
    """Bits of a password that go-password makes of `spec`; 0 for a spec that it refuses.

    It draws so many letters, digits and symbols, each from its own alphabet, and puts them in a random order.
    """
    length = count(spec.length) or _LENGTH
    of_digits = length // _SHARE if spec.digits is None else spec.digits
    of_symbols = length // _SHARE if spec.symbols is None else spec.symbols
    letters = ascii_lowercase if spec.no_upper else ascii_lowercase + ascii_uppercase
    alphabets = (len(letters), len(digits), len(set(spec.symbol_characters or _SYMBOLS)))
    drawn = (length - of_digits - of_symbols, of_digits, of_symbols)
    if min(drawn) < 0 or any(
        wanted > size for wanted, size in zip(drawn, alphabets, strict=True) if not spec.allow_repeat
    ):
        return 0
    total = lgamma(length + 1)
    for wanted, size in zip(drawn, alphabets, strict=True):
        total += _ways(wanted, size, repeat=bool(spec.allow_repeat)) - lgamma(wanted + 1)
    return count(int(total / log(2)))


def _ways(wanted: int, size: int, *, repeat: bool) -> float:
    """Natural logarithm of the number of ways to draw `wanted` of `size` characters one after the other."""
    return wanted * log(size) if repeat else lgamma(size + 1) - lgamma(size - wanted + 1)


KINDS = (
    WatchedKind(
        kind="Password",
        group="generators.external-secrets.io",
        versions=("v1alpha1",),
        plural="passwords",
        family=EXTERNAL_SECRETS,
        judged=False,
        observe=observer("Password", _Password, _describe_password),
    ),
)
