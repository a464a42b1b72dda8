"""Secrets in what a notebook holds, which no model needs to see: found by name and by shape, and hidden."""

from __future__ import annotations

import re

from lorebook_api.secret import NAMES, SHAPES

HIDDEN = "[hidden]"

_SECRET_NAME = re.compile(rf"(?i){NAMES}|(?:^|_)(?:pwd|auth|bearer|cookie|pat)(?:$|_)")
_ASSIGNED = re.compile(rf"(?i)([\w\"']*(?:{NAMES})[\w\"']*\]?\s*[:=]\s*)([fbru]{{0,2}})([\"'])(.+?)\3")
_LIKELY = (re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"), re.compile(r"\b[0-9a-fA-F]{32,}\b"))
_RANDOM = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")


def is_secret_name(name: str) -> bool:
    """Return whether what is called so is likely to be a secret: `api_key`, `DB_PASSWORD`, `githubToken`."""
    return _SECRET_NAME.search(name) is not None


def mask(text: str) -> str:
    """Return `text` with what looks like a secret replaced: strings given to secret names, keys of known shapes.

    Long runs of letters of both cases and digits count as keys, since those are not words; so do long hexadecimal
    numbers, be they only checksums.
    """
    text = _ASSIGNED.sub(lambda match: f"{match[1]}{match[2]}{match[3]}{HIDDEN}{match[3]}", text)
    for shape in (*SHAPES.values(), *_LIKELY):
        text = shape.sub(HIDDEN, text)
    return _RANDOM.sub(lambda match: HIDDEN if _is_random(match[0]) else match[0], text)


def _is_random(run: str) -> bool:
    kinds = (str.isupper, str.islower, str.isdigit)
    counts = [sum(1 for character in run if kind(character)) for kind in kinds]
    return min(counts) >= 3
