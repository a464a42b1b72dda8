"""What should not be taught: the same thing twice, secrets, what is too poor to learn from. Flagged, and left out."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace

from lorebook_api.secret import found_secret
from lorebook_daemon.teach.examples import Example, digest

_E_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
_WORD = re.compile(r"\w+")
_SHINGLE, _BANDS, _ROWS = 3, 8, 4
_PRIME = 2**61 - 1
_ALIKE = 0.85
"""Share of common runs of words from which on two examples are nearly the same (Jaccard)."""
_LEAST_WORDS = 8
"""Shorter texts differ in a word and mean something else."""


def flagged(examples: Iterable[Example], keep: Collection[str] = ()) -> list[Example]:
    """Return the examples in order; those that should not be taught say why in `left_out`, unless it is kept.

    Those that are left out already stay so.
    Takes time in proportion to their number (near-duplicates by MinHash: Broder 1997).
    """
    seen: set[str] = set()
    near = _Near()
    checked = []
    for example in examples:
        if example.left_out:
            checked.append(example)
            continue
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
    text = f"{_text(example)}\n{example.rejected}"
    what = found_secret(text) or ("an e-mail address" if _E_MAIL.search(text) else "")
    return f"secret: it holds {what}" if what else ""


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
