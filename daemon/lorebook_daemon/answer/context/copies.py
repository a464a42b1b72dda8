"""Passages that say the same: copies of notebooks, checkpoints, a function that was pasted.

Resemblance is that of Broder, "On the resemblance and containment of documents" (1997): the share of runs of words,
shingles, that two texts have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorebook_daemon.answer.numbers import values
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.index.tokens import words

SHINGLE = 4
"""Words of a shingle."""
ALIKE = 0.8
"""Resemblance from which two passages are one."""

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class _Print:
    """What a passage is compared by. Other numbers are other facts, however alike the words around them are."""

    shingles: Shingles
    numbers: frozenset[float]

    def like(self, other: _Print) -> bool:
        return self.numbers == other.numbers and resemblance(self.shingles, other.shingles) >= ALIKE


def without_copies(hits: Sequence[RootHit]) -> list[RootHit]:
    """Return the passages without those that say what a better one says.

    Of passages with the very same text the one with the shortest path is kept: `analysis.ipynb`, not
    `analysis-Copy1.ipynb`. It takes the place and the score of the best.
    """
    kept: list[RootHit] = []
    prints: list[_Print] = []
    for hit in hits:
        own = _print(hit.passage.text)
        twin = next((place for place, other in enumerate(prints) if own.like(other)), None)
        if twin is None:
            kept.append(hit)
            prints.append(own)
        elif _is_original(hit, kept[twin]):
            kept[twin] = replace(hit, score=kept[twin].score)
    return kept


def shingles(text: str) -> Shingles:
    """Return the runs of words in a text; one run of all its words where it has but few."""
    found = [word.casefold() for word in words(text)]
    return frozenset(tuple(found[at : at + SHINGLE]) for at in range(max(1, len(found) - SHINGLE + 1)))


def resemblance(one: Shingles, other: Shingles) -> float:
    """Return what share of all their shingles two texts have in common, 0 to 1."""
    return len(one & other) / len(one | other)


def _print(text: str) -> _Print:
    return _Print(shingles(text), frozenset(values(text)))


def _is_original(hit: RootHit, kept: RootHit) -> bool:
    own, other = hit.passage, kept.passage
    return own.text == other.text and (len(own.path), own.path) < (len(other.path), other.path)
