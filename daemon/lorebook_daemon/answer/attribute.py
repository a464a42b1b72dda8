"""Finds the lines of a passage that a sentence rests on, and what of it stands nowhere in them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_LONGEST = 8
"""Lines that one quote may have."""

_LINE_PRICE = 0.1
"""What a further line must add, as a share of all that the sentence and the passage have in common."""

_EMPTY = frozenset(
    _WORD.findall(
        "a an and are as at be been but by can did do does for from had has have if in into is it its no not of on or "
        "so that the their then there these they this to up was were when which while who why will with"
    )
)
"""Words that stand in every line of prose and tie a sentence to none."""


@dataclass(frozen=True)
class Lines:
    """Lines of a passage, 0-based and inclusive, and how much of the sentence they hold (0 to 1)."""

    start: int
    end: int
    overlap: float


def terms(text: str) -> list[str]:
    """Return the words of a text in lower case; identifiers come apart at `_` and camelCase, numbers stay whole."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    numbers = [normal for match in _NUMBER.finditer(text) if (normal := _normal(match[0]))]
    return numbers + [
        lower for word in _WORD.findall(split) if not (lower := word.lower()).isdigit() and lower not in _EMPTY
    ]


def supporting_lines(sentence: str, text: str) -> Lines:
    """Return the shortest run of at most 8 lines of `text` that holds nearly all of the sentence that any run holds.

    Words are weighted by how few of the lines have them, so that a rare number decides rather than a common name.
    """
    lines = [set(terms(line)) for line in text.split("\n")]
    wanted = set(terms(sentence))
    frequency = Counter(word for line in lines for word in line)
    weight = {word: math.log(1 + len(lines) / frequency[word]) for word in wanted if frequency[word]}
    total = sum(weight.values()) + math.log(1 + len(lines)) * sum(not frequency[word] for word in wanted)
    if not weight:
        return Lines(0, len(lines) - 1, 0.0)
    best = max(
        (_value(lines[start:end], weight), start - end, -start)
        for start in range(len(lines))
        for end in range(start + 1, min(len(lines), start + _LONGEST) + 1)
    )
    start = -best[2]
    end = start - best[1] - 1
    overlap = sum(weight[word] for word in weight if any(word in line for line in lines[start : end + 1]))
    return Lines(start, end, overlap / total)


def _value(lines: Sequence[set[str]], weight: dict[str, float]) -> float:
    """Return what a run of lines holds, less a small price for each line beyond the first."""
    held = sum(value for word, value in weight.items() if any(word in line for line in lines))
    return round(held - _LINE_PRICE * sum(weight.values()) * (len(lines) - 1), 9)


def unbacked_numbers(sentence: str, *backing: str) -> list[str]:
    """Return the sentence's numbers that stand in none of the texts, however written (1,200 or 1200.0 or 12e2).

    A number rounded from a longer one stands there too: 0.93 in 0.9312, 93% in 0.9312.
    """
    known = [
        value for text in backing for match in _NUMBER.finditer(text) if (value := _value_of(match[0])) is not None
    ]
    missing = []
    for match in _NUMBER.finditer(sentence):
        value = _value_of(match[0])
        if value is None:
            continue
        places = len(match[0].partition(".")[2])
        percent = sentence[match.end() : match.end() + 1] == "%"
        if not any(_same(value, other, places) or (percent and _same(value, other * 100, places)) for other in known):
            missing.append(match[0])
    return missing


def _same(value: float, other: float, places: int) -> bool:
    """Whether `value`, written with so many decimals, is `other` or `other` rounded to them."""
    return math.isclose(value, other, rel_tol=1e-9) or (
        places > 0 and math.isclose(value, round(other, places), rel_tol=1e-9)
    )


def _value_of(number: str) -> float | None:
    try:
        return float(number.replace(",", "").replace("_", ""))
    except ValueError:
        return None


def _normal(number: str) -> str:
    value = _value_of(number)
    return "" if value is None else f"{value:g}"
