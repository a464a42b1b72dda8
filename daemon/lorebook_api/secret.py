"""What a secret looks like, in any text: keys of known shapes, and what is given to a name such as `DB_PASSWORD`."""

from __future__ import annotations

import re

NAMES = (
    r"passw(?:or)?d|passphrase|secret|token(?!i[zs])|credential|"
    r"(?:api|access|account|private|signing|encryption|subscription)[_-]?key"
)
"""Words in the names of what is secret, in any case."""

_ANY = r"(?<![A-Za-z0-9])"
"""What begins here is no part of a word, but may follow a `_`."""
_MIXED = r"(?=[\w-]{0,99}\d)(?=[\w-]{0,99}[a-z])(?=[\w-]{0,99}[A-Z])"  # bounded: a long text is read in linear time

SHAPES = {
    "a private key": re.compile(
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    ),
    "a web token": re.compile(_ANY + r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    "an access key": re.compile(_ANY + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    "an API key": re.compile(
        _ANY + r"(?:(?:sk|pk|rk|ak)[-_](?:[a-z0-9]{2,8}[-_]){0,3}"
        rf"(?:[A-Za-z0-9]{{16,}}[\w-]*|{_MIXED}[\w-]{{20,}})"
        r"|AIza[\w-]{30,}|gsk_[A-Za-z0-9]{16,}|SG\.[\w-]{16,}\.[\w-]{16,})"
    ),
    "a token": re.compile(
        _ANY + r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}"
        rf"|(?:hf|npm)_[A-Za-z0-9]{{16,}}|pypi-{_MIXED}[\w-]{{16,}})"
    ),
    "an address with a password": re.compile(r"(?<=://)[^\s/:@]*:(?![{<$])[^\s/:@]+(?=@)"),
}
"""Shapes that hardly anything else has, by what they are; what is matched is the secret itself."""

_BEARER = re.compile(r"(?i)\bauthorization\b[\"']?\s*[:=]\s*f?[\"']?(?:bearer|basic|token)\s+[\w.~+/=-]{8,}")
_GIVEN = re.compile(
    # Python's annotation may stand between name and value, a bracket or a quote after the name
    rf"(?i)({NAMES}|(?<![a-z0-9])(?:pwd|pass))(?:\d*)(\\?[\"']\]?)?(\s*:\s*\w+(?=\s*=))?(\s*)(=>|[:=]=?)([ \t]*)"
    r"(?:[fbru]{0,2}\\?([\"'])([^\"'\s\\]{6,500})\\?\7|([^\s\"'`,;&()\[\]{}<>|\\]{8,200})(?=[\s\"'`,;&}\\]|$))"
)
_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|.*\{.*\}.*|\$\w+|%\w+%|(.)\1*|\.{3}.*|(?:your|my|the|change|replace|example|dummy|insert)[-_]?.*"
    r"|(?:~|\.{0,2})/[\w.-]+(?:/.*)?|\w:\\.*|[a-z]+://.*",
    re.IGNORECASE,
)
"""What stands for a value, or says where it lies."""
_EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|u?(?:int|float)\d+\w*", re.IGNORECASE)
_WORD = re.compile(rf"(?i){NAMES}")
_LEAST_KEY = 8


def found_secret(text: str) -> str:
    """Return in words what secret a text holds, empty where it seems to hold none.

    Rather blind than mistaken: code that computes with a password, or names the place of one, is none.
    """
    shaped = next((what for what, shape in SHAPES.items() if shape.search(text)), "")
    if shaped or _BEARER.search(text):
        return shaped or "an authorization"
    given = next((match for match in _GIVEN.finditer(text) if _is_value(match)), None)
    return f"what is given as {given[1]}" if given else ""


def _is_value(given: re.Match[str]) -> bool:
    """Return whether what is given to a secret's name is itself the secret."""
    quoted, bare = given[8], given[9]
    value = quoted or bare
    if _PLACEHOLDER.fullmatch(value) or value.casefold() == given[1].casefold():
        return False
    if quoted:
        # `token = "banana"` is what language models are about
        key = len(value) >= _LEAST_KEY and any(one.isdigit() for one in value)
        return key or not given[1].casefold().startswith("token") or len(value) >= 2 * _LEAST_KEY
    return _is_bare_value(given, bare)


def _is_bare_value(given: re.Match[str], value: str) -> bool:
    """Return whether what stands without quotes is a value, as in `.env`, YAML and addresses, and no expression."""
    if _EXPRESSION.fullmatch(value) or _WORD.search(value):
        return False
    if given[5] == "=" and (given[4] or given[6]):  # spaces around it: code, or an .ini file
        return len(value) >= 2 * _LEAST_KEY and re.match(_MIXED, re.sub(r"[+/=.]", "-", value)) is not None
    letters, digits = any(one.isalpha() for one in value), any(one.isdigit() for one in value)
    return letters and (digits or (given[1].isupper() and given[5] == "="))
