"""Ranked lists made one: what a question asks for, the lists that were found, their fusion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorebook_daemon.index.sought import only_name, plain, sought_names
from lorebook_daemon.index.tokens import bare_identifier, inner_identifiers, question_terms, spelled_names
from lorebook_daemon.index.wanted import Form, beside_failure, wanted

DEPTH = 50  # passages that each list gives

# Chosen on the development queries of notebooks, on code and on the samples, where what lies beside them does as well:
# see benchmarks/README.md.
MEANING = 0.4  # the share of nearness in meaning; words have the rest, as far as they explain the question
MEANING_OF_NAME = 0.2  # the same where a name is all that is asked: what an embedding takes it for is mostly chance
EXPLAINED = 1.5  # two words of four stand in many passages by chance: half explained is worth 0.35, not 0.5
UNRELATED = 0.1  # the cosine of texts that have nothing to do with each other: 0.06 to 0.23, by what a root holds


@dataclass(frozen=True)
class Question:
    """A query, read once: its terms, and the names that it asks for."""

    text: str
    terms: tuple[str, ...]
    identifier: str | None
    """The name, where the query is nothing else."""
    names: tuple[str, ...]
    """The words of a sentence that can only be names of code."""
    spelled: tuple[str, ...]
    """What other names its words may spell, folded: "JSON object" may mean `JsonObject`."""
    sought: tuple[str, ...] = ()
    """The names that it wants to see set, folded: the identifier, or what stands beside a word for it."""
    about: str | None = None
    """The one word that it is about, folded, which may be a name: "what is threshold?"."""
    forms: frozenset[Form] = frozenset()
    """What its answer may look like."""
    beside_failure: tuple[str, ...] = ()
    """Its terms but those that only say that something failed."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names asked for, of either sort."""
        return (self.identifier,) if self.identifier else self.names

    @property
    def meaning(self) -> float:
        """The share of nearness in meaning among what a passage is worth to this question."""
        return MEANING_OF_NAME if self.identifier else MEANING

    @classmethod
    def read(cls, text: str) -> Question:
        """Return the question that `text` puts."""
        identifier = bare_identifier(text)
        names = () if identifier else tuple(inner_identifiers(text))
        asked = {name.casefold() for name in names}
        return cls(
            text,
            tuple(question_terms(text)),
            identifier,
            names,
            spelled=() if identifier else tuple(name for name in spelled_names(text) if name not in asked),
            sought=(identifier.casefold(),) if identifier else sought_names(text),
            about=None if identifier else only_name(plain(text)),
            forms=wanted(re.sub(r"`[^`]*`", "``", text)),
            beside_failure=beside_failure(text),
        )


@dataclass(frozen=True)
class Found:
    """One list of at most DEPTH passages, best first, and what each is worth by it, from 0 to 1."""

    ids: Sequence[int] = ()
    worths: Sequence[float] = ()
    confidence: float = 0.0
    """How near the best is to all that was asked, from 0 to 1; it can be compared with that of another root."""

    @classmethod
    def by_words(cls, ids: NDArray[np.int64], scores: NDArray[np.float64], full_score: float) -> Found:
        """Return the list of BM25; `full_score` is what a passage scores that explains the whole question.

        So a list whose best passages explain little, as where the question is put in other words, counts for little.
        """
        if not len(ids):
            return cls()
        explained = scores / max(full_score, float(scores[0]))
        return cls(ids.tolist(), (explained**EXPLAINED).tolist(), float(explained[0]))

    @classmethod
    def by_meaning(cls, ids: NDArray[np.int64], cosines: NDArray[np.float32]) -> Found:
        """Return the list of embeddings: something always comes nearest, so each is worth what it is to the first."""
        if not len(ids) or cosines[0] <= UNRELATED:
            return cls()
        nearness = np.maximum(cosines - UNRELATED, 0.0) / (cosines[0] - UNRELATED)
        return cls(ids.tolist(), nearness.tolist(), min(1.0, float(cosines[0])))

    def worth(self, ids: Iterable[int]) -> NDArray[np.float64]:
        """Return what each of `ids` is worth.

        One that a full list had no room for is worth as much as its last: it may stand just beyond, and to be
        missing from one list must not cost more than to be last in it.
        """
        beyond = self.worths[-1] if len(self.ids) >= DEPTH else 0.0
        known = dict(zip(self.ids, self.worths, strict=True))
        return np.array([known.get(key, beyond) for key in ids], np.float64)


def fuse(ids: Sequence[int], by_words: Found, by_meaning: Found, meaning: float) -> NDArray[np.float64]:
    """Return the score of each of `ids`, from 0 to 1, by what it is worth in either list; `meaning` is a share.

    A convex combination of scores, with fixed bounds for the words (Bruch, Gai and Ingber, ACM TOIS 2023). Ranks are
    not looked at: they would give the first of a list of noise as much as the first of a list that is sure.
    """
    scores: NDArray[np.float64] = (1 - meaning) * by_words.worth(ids) + meaning * by_meaning.worth(ids)
    return scores


def best_first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions from the highest score to the lowest; equals keep their order."""
    return np.argsort(-scores, kind="stable")
