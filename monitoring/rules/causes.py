"""What kind of failure a cause's words tell of, and what to do about it first.

Words are those of External Secrets, sealed-secrets and of common providers. The first class that fits counts, so
that "SecretStore ... not found" is not taken for a secret that the provider lacks.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from monitoring.rules.base import ClusterContext
from monitoring.rules.judgement import signed


class CauseClass(NamedTuple):
    """A class of causes: its id, a title for people, the words that tell it, and what to look at first."""

    id: str
    title: str
    words: re.Pattern[str]
    advice: str

    @property
    def behind_store(self) -> bool:
        """The failure is the provider's or of the way to it: all that reads it shares it."""
        return self.id in _BEHIND_STORE


def _class(id: str, title: str, words: str, advice: str) -> CauseClass:
    return CauseClass(id, title, re.compile(words, re.IGNORECASE), advice)


_BEHIND_STORE: Final = frozenset(
    {
        "bad-credentials",
        "provider-certificate",
        "provider-forbidden",
        "provider-throttled",
        "provider-timeout",
        "provider-unavailable",
        "provider-unreachable",
    }
)
# Hostile text: only literals and classes of bounded length, so that no pattern backtracks far.
_VARYING: Final = re.compile(
    r"\([^()]{0,999}(?:\)|$)|\"[^\"]{0,253}\"|'[^']{0,253}'|(?:/[\w.%-]{1,100})+|(?<![\w-])[\w-]{0,64}\d[\w-]{0,64}"
)


# No pattern may backtrack far: causes are hostile. Only alternatives of literals, and classes of bounded length.
# A number right after a colon is a port, no status.
CLASSES: Final = (
    _class(
        "store-denies-namespace",
        "Store does not serve the namespace",
        r"is not allowed from namespace",
        "The store does not serve this namespace: add it to the store's spec.conditions, or use another store.",
    ),
    _class(
        "store-absent",
        "Reference leads nowhere",
        r"could not get (?:Cluster)?SecretStore|unable to get generator",
        "What the object refers to does not exist: create it, or correct the reference.",
    ),
    _class(
        "store-not-ready",
        "Store is not ready",
        r'SecretStore "[^"]{0,253}" is not ready',
        "Repair the store first: its page has the cause.",
    ),
    _class(
        "target-immutable",
        "Secret is immutable",
        r"immutable",
        "The Secret is immutable: delete it, so that it is made again with the newest value.",
    ),
    _class(
        "target-conflict",
        "Another object is in the way",
        r"owned by another|already exists and is not managed|already exists in namespace",
        "Something else made an object of this name: remove it, or give one of the two another name.",
    ),
    _class(
        "undecryptable",
        "No key opens it",
        r"no key could decrypt",
        "Seal it again with this cluster's certificate, for this very name and namespace.",
    ),
    _class("damaged", "Damaged ciphertext", r"illegal base64", "The named item is damaged: seal it again."),
    _class(
        "template-error",
        "Template is wrong",
        r"could not apply template|unable to execute template|template: ",
        "Correct the template: the cause names the place.",
    ),
    _class(
        "provider-throttled",
        "Provider throttles",
        r"(?<!:)\b429\b|too many requests|throttl|rate limit|rate exceeded|limitexceeded",
        "The provider throttles: read less often, or raise the quota.",
    ),
    _class(
        "bad-credentials",
        "Credentials are refused",
        r"(?<!:)\b401\b|unauthori[sz]ed"
        r"|expiredtoken|invalidclienttokenid|invalid token|unable to log in|invalid_client"
        r"|aadsts\d|invalid role or secret id",
        "The store's credentials are refused: renew them.",
    ),
    _class(
        "provider-forbidden",
        "Permission denied",
        r"(?<!:)\b403\b|forbidden|accessdenied|access denied|permission ?denied|not authorized",
        "The store's identity may not do this: grant it at the provider.",
    ),
    _class(
        "provider-not-found",
        "Not found at the provider",
        r"secret does not exist|(?<!:)\b404\b|not ?found|nosuchkey|does not have a value",
        "The provider does not have what is asked for: compare key and property with it.",
    ),
    _class(
        "provider-timeout",
        "Provider does not answer in time",
        r"deadline exceeded|timed? ?out",
        "The provider does not answer in time: look at it and at the network between.",
    ),
    _class(
        "provider-unreachable",
        "Provider cannot be reached",
        r"connection refused|no such host|no route to host|connection reset|network is unreachable|\bEOF\b",
        "The provider cannot be reached: look at its address, DNS and the network between.",
    ),
    _class(
        "provider-certificate",
        "Certificate is not trusted",
        r"x509|certificate|tls:",
        "The provider's certificate is not trusted: compare the store's CA with it.",
    ),
    _class(
        "provider-unavailable",
        "Provider fails",
        r"(?<!:)\b50[0-9]\b|internal server error|bad gateway|service unavailable|is sealed",
        "The provider fails itself: look at its own status.",
    ),
)


# Classes that rules know without any words.
POISON: Final = CauseClass(
    "poison",
    "One object stops the controller",
    re.compile(r"(?!)"),
    "Correct the duration of the named object, or delete it.",
)
TITLES: Final = {known.id: known.title for known in (*CLASSES, POISON)}


class Diagnosis(NamedTuple):
    """What a cause's words tell: id of its class ("" for none), signature (see base.Finding), what to look at first."""

    cause_class: str
    signature: str
    hint: str


def classify(cause: str) -> CauseClass | None:
    """The class of a cause in these words; None where they tell nothing."""
    return next((found for found in CLASSES if found.words.search(cause)), None)


def diagnose(cause: str, command: str, *, own: Sequence[object], source: Sequence[object] = ()) -> Diagnosis:
    """What `cause` tells. `command` shows more of it.

    Failures of what lies behind a store are one cause wherever a `source` (provider and server, or cluster and store)
    fails in the same class, whatever the words; all others belong to `own` (the object without its cluster, or what
    else is shared) and to their words.
    """
    found = classify(cause)
    identifier = found.id if found else ""
    hint = f"{found.advice if found else ''} {command}".strip()
    if found and found.behind_store and source:
        return Diagnosis(identifier, signed("cause", identifier, *source), hint)
    return Diagnosis(identifier, signed("cause", identifier, normalised(cause), *own), hint)


def normalised(cause: str) -> str:
    """`cause` without what differs between objects that share it, or from one try to the next.

    Those are lists in parentheses (in Go's random order, maybe clipped), names in quotes, paths, and words with a
    digit: numbers, ports, durations, ids of requests.
    """
    return _VARYING.sub("#", cause.casefold())


def not_acting(cluster: ClusterContext, role: str) -> str:
    """The signature of all that an operator leaves undone in one cluster: it is down, stopped or poisoned."""
    return signed("not acting", cluster.name, role)
