"""What should not be taught: the same thing twice, secrets, what is too poor to learn from. Flagged, and left out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace

from lorebook_daemon.teach.examples import Example, digest

FLAGS = ("duplicate", "near-duplicate", "secret", "empty", "low-quality")
"""Why an example may be left out; a request may keep those of a flag."""

_SECRETS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}|xox[abprs]-[\w-]{10,}|hf_[A-Za-z0-9]{30,})"
    ),
    "an API key": re.compile(r"\b(?:sk|pk|rk)-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}|\bAIza[\w-]{35}\b"),
    "a web token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "a password": re.compile(
        r"(?i)\b(?:pass(?:word|wd)?|secret|api_?key|token)\b[\"']?\s*[:=]\s*[\"'][^\"'\s]{8,}[\"']"
    ),
    "an address with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/:@]{3,}@"),
    "an e-mail address": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b"),
}
_WORD = re.compile(r"\w+")
_SHINGLE, _BANDS, _ROWS = 3, 8, 4
_PRIME = 2**61 - 1
_ALIKE = 0.85
"""Share of common runs of words from which on two examples are nearly the same (Jaccard)."""
_LEAST_WORDS = 8
"""Shorter texts differ in a word and mean something else."""


def flagged(examples: Iterable[Example], keep: Collection[str] = ()) -> list[Example]:
    """Return the examples in order; those that should not be taught say why in `left_out`, unless it is kept.

    Takes time in proportion to their number (near-duplicates by MinHash: Broder 1997).
    """
    seen: set[str] = set()
    near = _Near()
    checked = []
    for example in examples:
        why = _poor(example) or _secret(example) or _repeated(example, seen, near)
        flag = why.partition(":")[0]
        checked.append(replace(example, left_out="" if flag in keep else why))
    return checked


def _poor(example: Example) -> str:
    answer = example.answer.strip()
    if not answer or (example.turns and not example.question.strip()):
        return "empty: it has no question or no answer"
    if example.turns and answer.casefold() == example.question.strip().casefold():
        return "low-quality: the answer repeats the question"
    if not any(character.isalnum() for character in answer):
        return "low-quality: the answer has no word in it"
    words = _WORD.findall(answer.casefold())
    if len(words) >= 30 and len(set(words)) < len(words) / 6:
        return "low-quality: the answer says the same over and over"
    return ""


def _secret(example: Example) -> str:
    text = _text(example)
    return next((f"secret: it holds {what}" for what, pattern in _SECRETS.items() if pattern.search(text)), "")


def _repeated(example: Example, seen: set[str], near: _Near) -> str:
    text = _text(example)
    same = digest(" ".join(text.split()).casefold())
    if same in seen:
        return "duplicate: the same stands above"
    seen.add(same)
    return "near-duplicate: almost the same stands above" if near.has_like(text) else ""


def _text(example: Example) -> str:
    return "\n".join([*(turn.content for turn in example.turns), example.answer])


class _Near:
    """Texts seen so far, by the least hashes of their runs of words."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, ...], list[frozenset[tuple[str, ...]]]] = {}

    def has_like(self, text: str) -> bool:
        """Return whether a text much like this one was seen, and remember this one."""
        words = _WORD.findall(text.casefold())
        if len(words) < _LEAST_WORDS:
            return False
        runs = frozenset(tuple(words[n : n + _SHINGLE]) for n in range(len(words) - _SHINGLE + 1))
        hashes = [zlib.crc32(" ".join(run).encode()) for run in runs]
        bands = [(band, *_least(hashes, band)) for band in range(_BANDS)]
        alike = any(_jaccard(runs, other) >= _ALIKE for band in bands for other in self._buckets.get(band, ()))
        if not alike:
            for band in bands:
                self._buckets.setdefault(band, []).append(runs)
        return alike


def _least(hashes: Collection[int], band: int) -> list[int]:
    """Return the least of the runs' hashes under each function of a band (a multiplication modulo a prime)."""
    factors = (0x9E3779B1 * (2 * n + 1) % _PRIME for n in range(band * _ROWS, (band + 1) * _ROWS))
    return [min((one * factor + 0x7F4A7C15) % _PRIME for one in hashes) for factor in factors]


def _jaccard(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)
