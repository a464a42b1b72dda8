"""Ranked lists made one: what a question asks for, reciprocal rank fusion, and the order of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorebook_daemon.index.tokens import bare_identifier, inner_identifiers, question_terms

RRF_K = 60  # Cormack, Clarke and Büttcher 2009: flat enough that no single list decides


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


def fuse(by_words: Sequence[int], by_meaning: Sequence[int], share_of_meaning: Mapping[int, float]) -> dict[int, float]:
    """Return a score from 0 to 1 for each id in `share_of_meaning`, by its reciprocal ranks in two lists, best first.

    `share_of_meaning` says how much the second list counts for the id; the first has the rest. An id that is first
    in both scores 1, one that stands in neither 0.
    """
    scores = dict.fromkeys(share_of_meaning, 0.0)
    for rank, key in enumerate(by_words, 1):
        if key in scores:
            scores[key] += (1 - share_of_meaning[key]) * (RRF_K + 1) / (RRF_K + rank)
    for rank, key in enumerate(by_meaning, 1):
        if key in scores:
            scores[key] += share_of_meaning[key] * (RRF_K + 1) / (RRF_K + rank)
    return scores


def best_first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions from the highest score to the lowest; equals keep their order."""
    return np.argsort(-scores, kind="stable")
