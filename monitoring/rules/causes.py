"""What kind of failure a cause's words tell of, and what to do about it first.

Words are those of External Secrets, sealed-secrets and of common providers. The first class that fits counts, so
that "SecretStore ... not found" is not taken for a secret that the provider lacks.
"""

import re
from typing import Final, NamedTuple


class CauseClass(NamedTuple):
    """A class of causes: its id, the words that tell it, and what to look at first."""

    id: str
    words: re.Pattern[str]
    advice: str


def _class(id: str, words: str, advice: str) -> CauseClass:
    return CauseClass(id, re.compile(words, re.IGNORECASE), advice)


# No pattern may backtrack far: causes are hostile. Only alternatives of literals, and classes of bounded length.
CLASSES: Final = (
    _class(
        "store-denies-namespace",
        r"is not allowed from namespace",
        "The store does not serve this namespace: add it to the store's spec.conditions, or use another store.",
    ),
    _class(
        "store-absent",
        r"could not get (?:Cluster)?SecretStore|unable to get generator",
        "What the object refers to does not exist: create it, or correct the reference.",
    ),
    _class(
        "store-not-ready", r'SecretStore "[^"]{0,253}" is not ready', "Repair the store first: its page has the cause."
    ),
    _class(
        "target-immutable",
        r"immutable",
        "The Secret is immutable: delete it, so that it is made again with the newest value.",
    ),
    _class(
        "target-conflict",
        r"owned by another|already exists and is not managed|already exists in namespace",
        "Something else made an object of this name: remove it, or give one of the two another name.",
    ),
    _class(
        "undecryptable",
        r"no key could decrypt",
        "Seal it again with this cluster's certificate, for this very name and namespace.",
    ),
    _class("damaged", r"illegal base64", "The named item is damaged: seal it again."),
    _class(
        "template-error",
        r"could not apply template|unable to execute template|template: ",
        "Correct the template: the cause names the place.",
    ),
    _class(
        "provider-throttled",
        r"\b429\b|too many requests|throttl|rate limit|rate exceeded|limitexceeded",
        "The provider throttles: read less often, or raise the quota.",
    ),
    _class(
        "bad-credentials",
        r"\b401\b|unauthori[sz]ed|expiredtoken|invalidclienttokenid|invalid token|unable to log in|invalid_client",
        "The store's credentials are refused: renew them.",
    ),
    _class(
        "provider-forbidden",
        r"\b403\b|forbidden|accessdenied|access denied|permission ?denied|not authorized",
        "The store's identity may not do this: grant it at the provider.",
    ),
    _class(
        "provider-not-found",
        r"secret does not exist|\b404\b|not ?found|nosuchkey|does not have a value",
        "The provider does not have what is asked for: compare key and property with it.",
    ),
    _class(
        "provider-timeout",
        r"deadline exceeded|timed? ?out",
        "The provider does not answer in time: look at it and at the network between.",
    ),
    _class(
        "provider-unreachable",
        r"connection refused|no such host|no route to host|connection reset|network is unreachable|\bEOF\b",
        "The provider cannot be reached: look at its address, DNS and the network between.",
    ),
    _class(
        "provider-certificate",
        r"x509|certificate|tls:",
        "The provider's certificate is not trusted: compare the store's CA with it.",
    ),
    _class(
        "provider-unavailable",
        r"\b50[0-9]\b|internal server error|bad gateway|service unavailable|is sealed",
        "The provider fails itself: look at its own status.",
    ),
)


def advice(cause: str) -> str:
    """What to look at first for a cause in these words; empty where they tell nothing."""
    for found in CLASSES:
        if found.words.search(cause):
            return found.advice
    return ""


def hint(cause: str, command: str) -> str:
    """The advice that fits `cause`, and the command that shows more."""
    return f"{advice(cause)} {command}".strip()
