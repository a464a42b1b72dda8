"""The lines of a passage that matter for a question, where there is no room for all of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lorebook_daemon.index.tokens import question_terms, terms_of, words

BESIDE = 0.5
"""What a line gets of the likeness of the lines next to it: an answer often stands below the words that ask for it."""


def by_words(question: str, lines: Sequence[str]) -> list[float]:
    """Return what each line shares with the question, words that few of the lines have counting most."""
    wanted = set(question_terms(question))
    held = [{term for word in words(line) for term in terms_of(word)} & wanted for line in lines]
    frequency = Counter(term for terms in held for term in terms)
    return [sum(math.log(1 + len(lines) / frequency[term]) for term in terms) for terms in held]


def matching_lines(question: str, text: str, most: int) -> list[int]:
    """Return which lines of a text, from 0, to keep in at most `most` characters; none where none matches.

    Lines are taken by what they, and half as much the lines next to them, have to do with the question.
    """
    lines = text.split("\n")
    own = by_words(question, lines)
    if max(own) <= 0:
        return []
    padded = [0.0, *own, 0.0]
    worth = [one + BESIDE * max(padded[at], padded[at + 2]) for at, one in enumerate(own)]
    kept: list[int] = []
    for at in sorted(range(len(lines)), key=lambda at: -worth[at]):
        if worth[at] > 0 and lines[at].strip() and len(shortened(text, sorted([*kept, at]))) <= most:
            kept.append(at)
    return sorted(kept)


def shortened(text: str, kept: Sequence[int]) -> str:
    """Return those lines of a text, from 0 and rising, a note in place of what is left out between them."""
    lines = text.split("\n")
    rows: list[str] = []
    after = 0
    for at in [*kept, len(lines)]:
        rows += [f"[… {_counted(at - after)} left out …]"] if at > after else []
        rows += lines[at : at + 1]
        after = at + 1
    return "\n".join(rows)


def gaps(count: int, kept: Sequence[int]) -> list[tuple[int, int]]:
    """Return the stretches of `count` lines that are not kept, each its first and last line, from 0."""
    found, after = [], 0
    for at in [*kept, count]:
        if at > after:
            found.append((after, at - 1))
        after = at + 1
    return found


def _counted(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"
