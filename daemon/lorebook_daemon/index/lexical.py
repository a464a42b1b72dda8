"""BM25 over passages: rank-bm25's BM25Plus, kept as a sparse matrix of terms by passages.

The matrix holds how often a term stands in a passage; idf and the norm of each passage follow from it in
milliseconds. So a change of some passages leaves all other rows as they are, and every score is exact.
BM25Plus adds a constant to every passage, `delta * idf` for each term; it cannot change an order and is left
out, so that a passage with none of the terms scores zero.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lorebook_api.errors import Unusable
from lorebook_api.schema import Kind
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import passage_terms

K1 = 1.5
B = 0.75

_KINDS: tuple[Kind, ...] = get_args(Kind)

Ids = NDArray[np.int64]
Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lexical:
    """An index of passages by their terms; it never changes, `updated` returns another.

    `counts` is a CSR matrix, row = term, column = passage; `ids[column]` is the passage's id.
    """

    terms: dict[str, int]
    counts: Any
    ids: Ids
    kinds: NDArray[np.uint8]

    @classmethod
    def build(cls, rows: Iterable[tuple[int, Passage]]) -> Lexical:
        """Return the index of `rows`, pairs of a passage's id and the passage."""
        terms: dict[str, int] = {}
        pointers, columns, times = array("q", [0]), array("i"), array("i")
        ids, kinds = array("q"), array("B")
        for key, passage in rows:
            counts = passage_terms(passage)
            columns.extend(terms.setdefault(term, len(terms)) for term in counts)
            times.extend(counts.values())
            pointers.append(len(columns))
            ids.append(key)
            kinds.append(_KINDS.index(passage.kind))
        by_passage = sparse.csr_array(
            (np.array(times, np.int32), np.array(columns, np.int32), pointers), shape=(len(ids), len(terms))
        )
        return cls(terms, by_passage.T.tocsr(), np.array(ids, np.int64), np.array(kinds, np.uint8))

    def updated(self, removed: Collection[int], added: Iterable[tuple[int, Passage]]) -> Lexical:
        """Return the index without the ids in `removed` and with `added`; an id in both is replaced."""
        kept = ~np.isin(self.ids, np.fromiter(removed, np.int64, len(removed)))
        new = Lexical.build(added)
        terms = dict(self.terms)
        rows = np.array([terms.setdefault(term, len(terms)) for term in new.terms], np.int64)
        old_counts = self.counts[:, kept]
        old_counts.resize((len(terms), old_counts.shape[1]))
        new_counts = new.counts.tocoo()
        new_counts = sparse.csr_array(
            (new_counts.data, (rows[new_counts.row], new_counts.col)), shape=(len(terms), len(new.ids))
        )
        joined = sparse.hstack([old_counts, new_counts], format="csr", dtype=np.int32)
        living = np.diff(joined.indptr) > 0
        names = [term for term, lives in zip(terms, living, strict=True) if lives]
        return Lexical(
            {term: row for row, term in enumerate(names)},
            joined[living],
            np.concatenate([self.ids[kept], new.ids]),
            np.concatenate([self.kinds[kept], new.kinds]),
        )

    def save(self, file: Path) -> None:
        """Write the index to `file` as it stands; who calls sees to it that a half-written one is never read."""
        text = np.frombuffer("\n".join(self.terms).encode(), np.uint8)
        parts = {"data": self.counts.data, "indices": self.counts.indices, "indptr": self.counts.indptr}
        with file.open("wb") as out:
            np.savez(out, terms=text, ids=self.ids, kinds=self.kinds, **parts)

    @classmethod
    def load(cls, file: Path) -> Lexical:
        """Return the index that `save` wrote; raises Unusable where the file is missing, cut or something else."""
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as parts:
                names = parts["terms"].tobytes().decode()
                terms = {term: row for row, term in enumerate(names.split("\n") if names else [])}
                arrays = (parts["data"], parts["indices"], parts["indptr"])
                counts = sparse.csr_array(arrays, shape=(len(terms), len(parts["ids"])))
                return cls(terms, counts, parts["ids"], parts["kinds"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise Unusable(f"{file} is no word index ({error}).", "Make it anew: lorebook index --full") from error

    def of_kind(self, kind: Kind) -> Mask:
        """Return which passages, by position, are of this kind."""
        return np.equal(self.kinds, _KINDS.index(kind))

    def scores(self, terms: Sequence[str]) -> Scores:
        """Return the score of every passage, by position; a term that stands in `terms` twice counts twice."""
        scores = np.zeros(len(self.ids))
        for term, times in Counter(terms).items():
            row = self.terms.get(term)
            if row is None:
                continue
            span = slice(self.counts.indptr[row], self.counts.indptr[row + 1])
            columns, counts = self.counts.indices[span], self.counts.data[span]
            scores[columns] += times * self._idf(len(columns)) * counts * (K1 + 1) / (self._norms[columns] + counts)
        return scores

    def top(self, terms: Sequence[str], n: int, among: Mask | None = None) -> tuple[Ids, Scores]:
        """Return ids and scores of the best `n` passages that hold any of the terms; equals in index order.

        `among` says, by position, which passages may come (see `of_kind`); without it all may.
        """
        scores = self.scores(terms)
        if among is not None:
            scores[~among] = 0.0
        found = np.flatnonzero(scores)
        if len(found) > n:
            found = found[scores[found] >= np.partition(scores[found], -n)[-n]]
        best = found[np.argsort(-scores[found], kind="stable")][:n]
        return self.ids[best], scores[best]

    def full_score(self, terms: Sequence[str]) -> float:
        """Return what a passage of average length scores that holds each of the terms once.

        A term that no passage holds counts as the rarest: a question whose words are unknown here finds little.
        """
        rows = (self.terms.get(term) for term in terms)
        return sum(self._idf(1 if row is None else self._held_by(row)) for row in rows)

    def _held_by(self, row: int) -> int:
        return int(self.counts.indptr[row + 1] - self.counts.indptr[row])

    def _idf(self, held_by: int) -> float:
        return float(np.log((len(self.ids) + 1) / held_by))

    @cached_property
    def _norms(self) -> Scores:
        lengths = np.asarray(self.counts.sum(axis=0), np.float64).ravel()
        norms: Scores = K1 * (1 - B + B * lengths / lengths.mean())
        return norms
