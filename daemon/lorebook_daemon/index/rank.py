"""Ranked lists made one: what a question asks for, the lists that were found, their fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorebook_daemon.index.tokens import bare_identifier, inner_identifiers, question_terms

RRF_K = 60  # Cormack, Clarke and Büttcher, SIGIR 2009


@dataclass(frozen=True)
class Question:
    """A query, read once: its terms, and the names that it asks for."""

    text: str
    terms: tuple[str, ...]
    identifier: str | None
    """The name, where the query is nothing else."""
    names: tuple[str, ...]
    """The words of a sentence that can only be names of code."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names asked for, of either sort."""
        return (self.identifier,) if self.identifier else self.names

    @classmethod
    def read(cls, text: str) -> Question:
        """Return the question that `text` puts."""
        identifier = bare_identifier(text)
        names = () if identifier else tuple(inner_identifiers(text))
        return cls(text, tuple(question_terms(text)), identifier, names)


@dataclass(frozen=True)
class Found:
    """One list: passages best first, their scores, and how near the best is to all that was asked, from 0 to 1."""

    ids: Sequence[int] = ()
    scores: Sequence[float] = ()
    confidence: float = 0.0

    def worth(self) -> dict[int, float]:
        """Return what each id is worth in this list, the first of it 1: half by its rank, half by its score.

        Ranks alone forget by how much the first one leads, which counts where one cell holds the answer; scores alone
        let a single rare word decide. On code the two are equal.
        """
        best = max(self.scores, default=1.0)
        ranked = enumerate(zip(self.ids, self.scores, strict=True), 1)
        return {key: ((RRF_K + 1) / (RRF_K + rank) + max(0.0, score / best)) / 2 for rank, (key, score) in ranked}


def fuse(by_words: Found, by_meaning: Found, share_of_meaning: Mapping[int, float]) -> dict[int, float]:
    """Return a score from 0 to 1 for each id in `share_of_meaning`, by what it is worth in either list.

    `share_of_meaning` says how much the second list counts for the id; the first has the rest. An id that is first
    in both scores 1, one that stands in neither 0.
    """
    words, meaning = by_words.worth(), by_meaning.worth()
    return {
        key: (1 - share) * words.get(key, 0.0) + share * meaning.get(key, 0.0)
        for key, share in share_of_meaning.items()
    }


def best_first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions from the highest score to the lowest; equals keep their order."""
    return np.argsort(-scores, kind="stable")
