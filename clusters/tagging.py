"""Tags: what is stored instead of a hash that would betray a value.

External Secrets writes an unsalted hash of a Secret's data on it: whoever has that can try passwords against it. A tag
is an HMAC of such a text under the installation's key: equal texts have equal tags, in every cluster, and nothing else
can be learnt from one without the key.
"""

import hmac
from collections.abc import Callable
from functools import partial
from hashlib import sha256

Tag = Callable[[str], str]

_KEY_ID_LENGTH, _TAG_LENGTH = 8, 32


def tagger(key: bytes) -> Tag:
    """Gives "<key id>.<hmac>", 8 and 32 hex digits; without a key nothing, as `no_tag` does.

    The key id shows that the key was changed: tags under different keys say nothing about each other.
    """
    if not key:
        return no_tag
    return partial(_tag, key, sha256(key).hexdigest()[:_KEY_ID_LENGTH])


def no_tag(text: str) -> str:
    return ""


def comparable(first: str, second: str) -> bool:
    """Whether two tags differ only if what they tag differs: same key, and the same algorithm before it, if any.

    An algorithm is what `SecretFacts.data_tag` begins with ("sha3.<key id>.<hmac>"). "" is comparable to nothing.
    """
    head = first.rpartition(".")[0]
    return head != "" and head == second.rpartition(".")[0]


def _tag(key: bytes, key_id: str, text: str) -> str:
    return f"{key_id}.{hmac.digest(key, text.encode(), sha256).hex()[:_TAG_LENGTH]}"


def short(tag: str) -> str:
    """What may be shown of a tag: the first eight hex digits of its HMAC, equal for equal values in all clusters."""
    return tag.rpartition(".")[2][:8]
