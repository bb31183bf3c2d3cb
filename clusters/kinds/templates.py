"""Templates of ExternalSecrets in one form, so that equal ones get equal tags. They may hold values: none is kept."""

import msgspec

# What the CRD fills in; one of another version that does not leaves the same template without.
_DEFAULTS = {"engineVersion": "v2", "mergePolicy": "Replace"}


def canonical(template: msgspec.Raw) -> str:
    """JSON with sorted keys, without defaults and null at its top; "" for null and for what is no object."""
    try:
        found = msgspec.json.decode(template)
        if not isinstance(found, dict):
            return ""
        plain = {name: value for name, value in found.items() if _DEFAULTS.get(name) != value}
        return msgspec.json.encode(plain, order="deterministic").decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
