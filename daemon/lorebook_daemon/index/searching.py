"""What a search asks of an index, wherever it is kept: passages by their words, and by what they mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from lorebook_api.retrieval import Kind
from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.index.lexical import Ids, Mask, Scores


class Words(Protocol):
    """BM25 over passages (see `Lexical`)."""

    @property
    def ids(self) -> Ids:
        """The ids of all passages, by place."""
        ...

    def of_kind(self, kind: Kind) -> Mask:
        """Return which passages, by place, are of this kind."""
        ...

    def top(self, terms: Sequence[str], n: int, among: Mask | None = None) -> tuple[Ids, Scores]:
        """Return ids and scores of the best `n` passages that hold any of the terms, of those that may come."""
        ...

    def full_score(self, terms: Sequence[str]) -> float:
        """Return what a passage of average length scores that holds each of the terms once."""
        ...


class Meanings(Protocol):
    """Vectors by the id of their passage (see `Vectors`)."""

    def nearest(self, vector: Matrix, n: int, among: Collection[int] | Ids | None = None) -> tuple[Ids, Matrix]:
        """Return the ids of the `n` nearest vectors and how near they are, best first (see `similarity`)."""
        ...
