"""Finds the lines of a passage that a sentence rests on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorebook_daemon.answer.numbers import values
from lorebook_daemon.index.tokens import terms_of

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_LONGEST = 8
"""Lines that one quote may have."""

_NUMBER_WEIGHT = 3.0
"""How much more than a word of its rarity a number says of where a sentence came from."""

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
    """Return the stems of a text's words; identifiers come apart at `_` and camelCase, numbers stay whole."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    found = [word for word in _WORD.findall(split) if not word.isdigit() and word.lower() not in _EMPTY]
    return [term for word in found for term in terms_of(word)] + [f"{value:g}" for value in values(text)]


def supporting_lines(sentence: str, text: str, question: str = "") -> Lines:
    """Return the shortest run of at most 8 lines of `text` that holds nearly all of the sentence that any run holds.

    Words are weighted by how few of the lines have them, so that a rare number decides rather than a common name.
    An answer repeats the words of its question, which need not be those of the text: where the text lacks them they
    count as missing only as far as what the answer adds to them is missing, too. Names and numbers do in any case: they
    say which of several alike is meant.
    """
    lines = [set(terms(line)) for line in text.split("\n")]
    wanted = set(terms(sentence))
    frequency = Counter(word for line in lines for word in line)
    rarity = {word: _weight(word) * math.log(1 + len(lines) / max(1, frequency[word])) for word in wanted}
    weight = {word: rarity[word] for word in wanted if frequency[word]}
    if not weight:
        return Lines(0, len(lines) - 1, 0.0)
    best = max(
        (_value(lines[start:end], weight), start - end, -start)
        for start in range(len(lines))
        for end in range(start + 1, min(len(lines), start + _LONGEST) + 1)
    )
    start = -best[2]
    end = start - best[1] - 1
    held = {word for word in weight if any(word in line for line in lines[start : end + 1])}
    lacking = sum(rarity[word] for word in wanted & _plain_words(question) if not frequency[word])
    excused = lacking * _share(rarity, held, wanted - set(terms(question)))
    return Lines(start, end, min(1.0, sum(weight[word] for word in held) / (sum(rarity.values()) - excused)))


def _plain_words(question: str) -> set[str]:
    """Return the stems of a question's words that are neither names nor numbers: in small letters and nothing else."""
    words = (re.sub(r"^\W+|\W+$", "", word) for word in question.split())
    return set(terms(" ".join(word for word in words if word.islower() and re.sub(r"[-'’]", "", word).isalpha())))


def _share(rarity: Mapping[str, float], held: set[str], words: set[str]) -> float:
    """Return which share of some words is held, by their weight; none of none."""
    every = sum(rarity[word] for word in words)
    return sum(rarity[word] for word in words & held) / every if every else 0.0


def _weight(word: str) -> float:
    return _NUMBER_WEIGHT if word[0].isdigit() else 1.0


def _value(lines: Sequence[set[str]], weight: dict[str, float]) -> float:
    """Return what a run of lines holds, less a small price for each line beyond the first."""
    held = sum(value for word, value in weight.items() if any(word in line for line in lines))
    return round(held - _LINE_PRICE * sum(weight.values()) * (len(lines) - 1), 9)
