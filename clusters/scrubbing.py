"""Texts from clusters, made fit for people: no invisible characters, nothing that identifies a request, no values.

Controllers copy provider answers into conditions and Events: URLs with access tokens, ten kilobytes of HTML, template
errors that end in the value itself. What no pattern can recognise is hidden together with its tail.
"""

import re
from collections.abc import Callable
from functools import lru_cache

HIDDEN = "…"
EVENT_LIMIT = 300
CONDITION_LIMIT = 1000

# An Event message has at most 1 kB by the API's own rule, a condition 32 kB. Patterns never see more than this.
_INPUT_LIMIT = 8_000


def clean(text: str, limit: int) -> str:
    """`text` on one line, without control, format, bidi and surrogate characters, at most `limit` characters long."""
    if len(text) <= limit and text.isprintable():
        return text
    lines = text[:_INPUT_LIMIT].splitlines()
    # ESO joins words by tabs, Sealed Secrets joins causes by line breaks.
    visible = ("".join(ch for ch in line.replace("\t", " ") if ch.isprintable()).strip() for line in lines)
    return clip("; ".join(line for line in visible if line), limit)


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + HIDDEN


def scrub(text: str, limit: int = EVENT_LIMIT) -> str:
    """The cause in `text` for a person: known wrappers, identifiers and everything that may be a value are gone."""
    if len(text) <= _REMEMBERED_LENGTH:
        return _scrub_short(text, limit)
    return _scrub(text, limit)


def _scrub(text: str, limit: int) -> str:
    text = clean(text, _INPUT_LIMIT)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return clip(text.strip(" ;,:"), limit)


# Conditions are constants and one outage has one text: 20 us and 0.1 us.
_REMEMBERED_LENGTH = 300
_scrub_short = lru_cache(2_048)(_scrub)


def _hide_random(match: re.Match[str]) -> str:
    """Hide a long run that looks made by a machine; names and paths, however long, stay."""
    run = match.group()
    digits = sum(ch.isdigit() for ch in run)
    mixed_case = run.lower() != run and run.upper() != run
    is_hex = re.fullmatch(r"[0-9a-fA-F]{32,}", run) is not None
    return HIDDEN if (digits >= 2 and mixed_case) or (digits >= 4 and is_hex) else run


def _hide_long_quote(match: re.Match[str]) -> str:
    quoted = match.group()
    return quoted if quoted[1:].startswith("system:serviceaccount:") else quoted[0] + HIDDEN + quoted[-1]


# After "secret:" and the like these go on with the story of an error; anything else is taken for the value.
_STORY = (
    r"(?:(?:a|an|the|not|no|none|nil|is|was|are|be|has|have|for|from|in|of|on|to|at|by|with|while|when|during|cannot|can't"
    r"|could|couldn't|can|does|doesn't|did|must|should|unable|unknown|unexpected|unsupported|unauthorized|unauthenticated"
    r"|failed|failure|error|errors|err|invalid|missing|empty|expired|revoked|denied|forbidden|permission|access|bad|code"
    r"|status|http|https|rpc|get|put|post|list|patch|delete|dial|tcp|read|write|context|deadline|timeout|timed|connection"
    r"|operation|request|response|resource|secret|secrets|token|key|field|already|exceeded|too|only|unmarshal|json|yaml"
    r"|decode|decrypt|decrypting|parse|parsing|lookup|eof"
    r"|[a-z]{0,60}(?:exception|error|denied|notfound))[:,;.)]{0,3}(?:\s|$)"
    r"|\w{1,40}\.external-secrets\.io\b)"
)
# Any name may hold one of these; what stands before it is not looked at. ExternalSecret and SecretStore are no names.
_NAME = (
    r"(?<!external)(?<!push)(?<!sealed)(?:token|passw(?:or)?d|passphrase|pwd|credential|signature|(?:api|access|private)[_-]?key"
    r"|secret(?!s?[_-]?(?:store|provider|manager|name|ref|version)))[\w-]{0,40}[\"']?"
)
# A value in quotes, with escaped ones inside, perhaps cut off; or one word.
_QUOTED = r"\"(?:[^\"\\]|\\.)*(?:\"|\\?$)|'(?:[^'\\]|\\.)*(?:'|\\?$)"
_VALUE = rf"(?P<value>{_QUOTED}|[^\s\"']\S*)"
_BLOCK = r"(?:[|>][+-]?[; ]{1,2})?"  # YAML: "password: |", and the value on the next line
_ESCAPED = r"\\\"(?:[^\"\\]|\\\\.)*(?:\\\"|\\?$)"  # JSON in a string of JSON
_LIST = r"\[(?:[^\[\]{}]|\[[^\[\]{}]*\])*(?:\]|$)"
_PAIR = re.compile(
    rf"(?P<key>(?P<quote>\\?[\"'])(?P<name>[^\"'\\]{{1,100}})(?P=quote)\s{{0,3}}:\s{{0,3}})"
    rf"(?P<value>{_ESCAPED}|{_QUOTED}|{_LIST}|[^\s,\[\]{{}}\"'\\]+)"
)
# What an error in JSON tells people: {"errors": ["permission denied"]} of Vault, {"error": "invalid_grant"} of OAuth.
_TELLING = frozenset(
    {"code", "description", "detail", "details", "error", "error_code", "error_description", "errorcode", "errors"}
    | {"httpstatus", "kind", "message", "msg", "name", "namespace", "reason", "severity", "status", "statuscode"}
    | {"title", "type"}
)


def _hide_members(match: re.Match[str]) -> str:
    """Hide the values of an object in JSON, up to the end of the text; those of _TELLING stay for the other rules."""
    return _PAIR.sub(_hide_member, match.group())


def _hide_member(match: re.Match[str]) -> str:
    if match["name"].lower() in _TELLING:
        return match.group()
    quote = re.match(r"\\?[\"']", match["value"])
    return match["key"] + (f"{quote.group()}{HIDDEN}{quote.group()}" if quote else HIDDEN)


def _hide_named(match: re.Match[str]) -> str:
    value = match["value"]
    if value[0] in "\"'":
        return f"{match['name']}{value[0]}{HIDDEN}{value[0]}"
    return match["name"] + HIDDEN + value[len(value.rstrip(",;:)]}")) :]


_Replacement = str | Callable[[re.Match[str]], str]

# In this order: wrappers first, so that the clip keeps the cause (a FailedMount text had it at character 477).
# No pattern nests quantifiers over the same characters: the text is hostile.
_RULES: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"^\(combined from similar events\): ?"), ""),
    (re.compile(r'^MountVolume\.SetUp failed for volume "[^"]{0,253}" ?: '), ""),
    (re.compile(r"\brpc error: code = \w{1,30} desc = "), ""),
    (re.compile(r"^failed to mount secrets store objects for pod \S{1,520}, err: "), ""),
    # The driver uses its message as a format string: "db%20password" arrives as "db%!p(MISSING)assword".
    (re.compile(r"%!([a-zA-Z])\(MISSING\)"), HIDDEN + r"\1"),
    (re.compile(r"%!\w?\((?:NOVERB|BADPREC|EXTRA [^)]*)\)"), HIDDEN),
    # Go templates: "error calling fail: unexpected value s3cr3t". The tail is free text of whoever wrote the template.
    (re.compile(r"(\berror calling \w{1,40}: ).*"), r"\1" + HIDDEN),
    (re.compile(r"(\bunexpected value ).*"), r"\1" + HIDDEN),
    # yaml.v3 and strconv quote what they stumble over: "cannot unmarshal !!str `hunter2` into map".
    (re.compile(r"(\bunmarshal !\S{0,60} )(?:.*(?= into )|.*)"), r"\1" + HIDDEN),
    (re.compile(rf"(\bstrconv\.\w{{1,20}}: parsing )(?:{_QUOTED})"), r"\1" + HIDDEN),
    # Go prints a map as map[user:x password:y]; "into map[string]interface {}" names a type.
    (re.compile(r"\bmap\[[^\[\]\s:]{1,100}:[^\]]*(?:\]|$)"), f"map[{HIDDEN}]"),
    (re.compile(r"</?[a-zA-Z!][^<>]*>"), " "),
    # postgres://app:pw@db, redis://:pw@h, and passwords with an unescaped slash, at or question mark.
    (re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)[^\s/:\"<>]{0,100}:(?!\d{1,5}[/?#])[^\s\"<>]{1,300}@"), r"\1"),
    (re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)[^\s/\"<>]{1,300}@"), r"\1"),
    (re.compile(r"[\w.%-]{1,64}:[^\s/\"<>]{1,200}@(?=(?:tcp|unix)\()"), ""),
    (re.compile(r"(\bhttps?://[^\s?#\"'<>]{1,1000})[?#](?:[^\s\"'<>]*[^\s\"'<>.,:;])?"), r"\1?" + HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), r"\1 " + HIDDEN),
    (re.compile(r"(?i)\b(authorization|x-[\w-]{0,40}token)\b\s*[:=]\s*\S+"), r"\1: " + HIDDEN),
    (re.compile(r"\{\s{0,3}\\?[\"'].*"), _hide_members),
    (
        re.compile(r"(?i)(\"[\w-]{0,40}(?:token|password|secret|key|value|data)[\w-]{0,40}\" ?: ?)\"[^\"]*\""),
        r'\1"' + HIDDEN + '"',
    ),
    (re.compile(rf"(?i)(?P<name>{_NAME}\s{{0,3}}=\s{{0,3}}){_VALUE}"), _hide_named),
    (re.compile(rf"(?i)(?P<name>{_NAME}\s{{0,3}}:\s{{0,3}}{_BLOCK})(?!{_STORY}){_VALUE}"), _hide_named),
    (re.compile(r"(?i),? ?\(?\brequest[ _-]?id\b[\"']?(?: is)?\s{0,3}[:=]?\s{0,3}[\"']?[\w-]{6,80}[\"']?\)?"), ""),
    (re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), HIDDEN),
    (re.compile(r"(\barn:[\w-]{1,20}:[\w-]{0,40}:[\w-]{0,30}:)\d{12}\b"), r"\1" + HIDDEN),
    (re.compile(r"(?i)(\baccount:? )\d{12}\b"), r"\1" + HIDDEN),
    (re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,2}"), HIDDEN),
    (
        re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bhv[sbr]\.[\w-]{8,}|\bgh[pousr]_\w{10,}|\bxox[abprs]-[\w-]{8,}"),
        HIDDEN,
    ),
    (re.compile(r"[A-Za-z0-9+/_=-]{24,}"), _hide_random),
    (re.compile(r'"[^"]{65,}"'), _hide_long_quote),
    (re.compile(r"'[^']{65,}'"), _hide_long_quote),
    (re.compile(r"[-=_*]{5,}"), ""),
    (re.compile(r"\s{2,}"), " "),
    (re.compile(r"(?:; ?){2,}"), "; "),
)
