"""BM25 over passages: rank-bm25's BM25Plus, kept as lists of passages by term.

The lists hold how often a term stands in a passage; idf and the norm of each passage follow from it in
milliseconds. So a change of some passages leaves all other entries as they are, and every score is exact.
BM25Plus adds a constant to every passage, `delta * idf` for each term; it cannot change an order and is left
out, so that a passage with none of the terms scores zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lorebook_api.errors import Unusable
from lorebook_api.retrieval import Kind
from lorebook_daemon.index.arrays import read_arrays, write_arrays
from lorebook_daemon.index.bags import KINDS, Bags, Hashes, term_hash
from lorebook_daemon.index.passage import Passage

K1 = 1.5  # rank-bm25's default; others, tried on the development queries of notebooks, brought nothing
B = 0.75  # likewise: passages are of like length, so that it matters little

_LONG = 4096  # entries; shorter lists are added up quicker than it is found out that they need not be

_STRETCH = 200
"""Entries; where stretches of so many stay together, they are copied as stretches."""

Ids = NDArray[np.int64]
Places = NDArray[np.int32]
Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

Item = TypeVar("Item", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Lexical:
    """An index of passages by their terms; it never changes, `joined` and `without` return others.

    `hashes` are the terms' (see `bags.term_hash`) and rise. From `starts[row]` to `starts[row + 1]`, `places` says in
    which passages the term stands, rising, and `counts` how often; no list is empty. `ids`, `kinds` and
    `lengths` (terms in all) tell of each passage by its place. The order of the fields is that of the file.
    """

    hashes: Hashes
    starts: Ids
    ids: Ids
    places: Places
    lengths: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    kinds: NDArray[np.uint8]

    @classmethod
    def build(cls, rows: Iterable[tuple[int, Passage]]) -> Lexical:
        """Return the index of `rows`, pairs of a passage's id and the passage."""
        ids: list[int] = []

        def passages() -> Iterable[Passage]:
            for key, passage in rows:
                ids.append(key)
                yield passage

        bags = Bags.of(passages())
        return cls.of(ids, bags)

    @classmethod
    def of(cls, ids: Sequence[int], bags: Bags) -> Lexical:
        """Return the index of passages with these ids and bags."""
        by_term = bags.counts.tocsc()
        return cls(
            hashes=bags.hashes,
            starts=by_term.indptr.astype(np.int64),
            ids=np.array(ids, np.int64),
            places=by_term.indices.astype(np.int32, copy=False),
            lengths=bags.counts @ np.ones(len(bags.hashes), np.uint32),
            counts=by_term.data,
            kinds=bags.kinds,
        )

    def without(self, ids: Collection[int]) -> Lexical:
        """Return the index without these passages; ids that are not there are passed over."""
        kept = ~np.isin(self.ids, np.fromiter(ids, np.int64, len(ids)))
        if kept.all():
            return self
        dead = np.flatnonzero(~kept[self.places])
        rows = np.searchsorted(self.starts, dead, "right") - 1
        sizes = np.diff(self.starts) - np.bincount(rows, minlength=len(self.hashes))
        new_place = (np.cumsum(kept) - 1).astype(np.int32)
        living = sizes > 0
        return Lexical(
            hashes=self.hashes[living],
            starts=_starts(sizes[living]),
            ids=self.ids[kept],
            places=new_place[_cut(self.places, dead)],
            lengths=self.lengths[kept],
            counts=_cut(self.counts, dead),
            kinds=self.kinds[kept],
        )

    def joined(self, other: Lexical) -> Lexical:
        """Return the index of these passages and, behind them, those of `other`, which are none of these."""
        if not len(other.ids) or not len(self.ids):
            return self if len(self.ids) else other
        before, after = (np.searchsorted(self.hashes, other.hashes, side) for side in ("left", "right"))
        new = before == after  # not sorted anew: most often a few terms join hundreds of thousands
        hashes = np.insert(self.hashes, before[new], other.hashes[new])
        is_own = np.ones(len(hashes), np.bool_)
        is_own[before[new] + np.arange(np.count_nonzero(new))] = False
        own, others = np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.int64)
        own[is_own] = np.diff(self.starts)
        at = np.searchsorted(hashes, other.hashes)
        others[at] = np.diff(other.starts)
        starts = _starts(own + others)
        # Where the entries of `other` come to lie: behind those that its term has here.
        shift = (starts[:-1] + own)[at] - other.starts[:-1]
        behind = np.repeat(shift, np.diff(other.starts)) + np.arange(len(other.places))
        return Lexical(
            hashes=hashes,
            starts=starts,
            ids=np.concatenate([self.ids, other.ids]),
            places=_woven(self.places, other.places + np.int32(len(self.ids)), behind),
            lengths=np.concatenate([self.lengths, other.lengths]),
            counts=_woven(self.counts, other.counts, behind),
            kinds=np.concatenate([self.kinds, other.kinds]),
        )

    def save(self, file: Path) -> None:
        """Write the index to `file` as it stands; who calls sees to it that a half-written one is never read."""
        write_arrays(file, {name: getattr(self, name) for name in _FIELDS})

    @classmethod
    def load(cls, file: Path) -> Lexical:
        """Return the index that `save` wrote, mapped; raises Unusable where the file is missing, cut or another."""
        try:
            return cls(**read_arrays(file, _FIELDS))
        except Unusable as error:
            raise Unusable(f"There is no word index: {error}", error.hint) from error

    def of_kind(self, kind: Kind) -> Mask:
        """Return which passages, by place, are of this kind."""
        return np.equal(self.kinds, KINDS.index(kind))

    def held_by(self, term: str) -> int:
        """Return how many passages hold the term."""
        row = self._row(term)
        return 0 if row is None else int(self.starts[row + 1] - self.starts[row])

    def scores(self, terms: Sequence[str]) -> Scores:
        """Return the score of every passage, by place; a term that stands in `terms` twice counts twice."""
        scores = np.zeros(len(self.ids))
        for part in self._lists(terms):
            scores[part.places] += self._worth(part, slice(None))
        return scores

    def top(self, terms: Sequence[str], n: int, among: Mask | None = None) -> tuple[Ids, Scores]:
        """Return ids and scores of the best `n` passages that hold any of the terms; equals in index order.

        `among` says, by place, which passages may come (see `of_kind`); without it all may.
        """
        found, scores = self._found(terms, n, among)
        if len(found) > n:
            best = scores >= np.partition(scores, -n)[-n]
            found, scores = found[best], scores[best]
        order = np.lexsort((found, -scores))[:n]
        return self.ids[found[order]], scores[order]

    def full_score(self, terms: Sequence[str]) -> float:
        """Return what a passage of average length scores that holds each of the terms once.

        A term that no passage holds counts as the rarest: a question whose words are unknown here finds little.
        """
        return sum(self._idf(self.held_by(term) or 1) for term in terms)

    def _found(self, terms: Sequence[str], n: int, among: Mask | None) -> tuple[Places, Scores]:
        """Return places, each once, and scores of passages among which the best `n` are.

        MaxScore (Turtle and Flood 1995): rare terms come first, and once all that the common ones can add would not
        lift a new passage among the best `n`, they are looked up for the passages that are there, and not walked.
        """
        lists = self._lists(terms)
        scores = np.zeros(len(self.ids))
        found = np.empty(0, np.int32)
        rest = sum(part.weight for part in lists) * (K1 + 1)  # no entry is worth more than its weight times that
        for nth, part in enumerate(lists):
            if len(part.places) > _LONG and len(found) >= n:
                best = np.partition(scores[found], -n)[-n]
                if rest < best:
                    found = np.sort(found[scores[found] + rest >= best])
                    return found, self._completed(found, scores[found], lists[nth:])
            new = part.places[scores[part.places] == 0.0]
            found = np.concatenate([found, new if among is None else new[among[new]]])
            scores[part.places] += self._worth(part, slice(None))
            rest -= part.weight * (K1 + 1)
        return found, scores[found]

    def _completed(self, found: Places, scores: Scores, lists: Sequence[_List]) -> Scores:
        """Return the scores of `found`, which rise, with what the `lists` add to them."""
        for part in lists:
            at = np.searchsorted(part.places, found)
            at[at == len(part.places)] = 0
            held = np.flatnonzero(part.places[at] == found)
            scores[held] += self._worth(part, at[held])
        return scores

    def _lists(self, terms: Sequence[str]) -> list[_List]:
        """Return the lists of those terms that any passage holds, the rarest first."""
        lists = []
        for term, times in Counter(terms).items():
            row = self._row(term)
            if row is not None:
                span = slice(int(self.starts[row]), int(self.starts[row + 1]))
                weight = times * self._idf(span.stop - span.start)
                lists.append(_List(self.places[span], self.counts[span], weight))
        return sorted(lists, key=lambda part: len(part.places))

    def _worth(self, part: _List, entries: slice | NDArray[np.int64]) -> Scores:
        counts = part.counts[entries].astype(np.float64)
        worth: Scores = counts / (self._norms[part.places[entries]] + counts)
        worth *= part.weight * (K1 + 1)
        return worth

    def _row(self, term: str) -> int | None:
        wanted = np.uint64(term_hash(term))
        row = int(np.searchsorted(self.hashes, wanted))
        return row if row < len(self.hashes) and self.hashes[row] == wanted else None

    def _idf(self, held_by: int) -> float:
        return float(np.log((len(self.ids) + 1) / held_by))

    @cached_property
    def _norms(self) -> Scores:
        norms: Scores = K1 * (1 - B + B * self.lengths / self.lengths.mean())
        return norms


@dataclass(frozen=True, eq=False)
class _List:
    """The passages that hold one term of a question, how often, and what the term weighs."""

    places: Places
    counts: NDArray[np.uint16]
    weight: float


_FIELDS = tuple(field.name for field in fields(Lexical))


def _starts(sizes: Ids) -> Ids:
    """Return where lists of these sizes begin that lie one behind the other, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _woven(own: NDArray[Item], others: NDArray[Item], behind: Ids) -> NDArray[Item]:
    """Return `others` at the positions `behind`, which rise, and `own` in order at all other positions."""
    before = behind - np.arange(len(others))
    if len(others) * _STRETCH > len(own):
        return np.insert(own, before, others)
    runs = np.flatnonzero(np.diff(before, prepend=-1))
    ends, places = [*runs[1:].tolist(), len(others)], [0, *before[runs].tolist(), len(own)]
    parts = [own[: places[1]]]
    for nth, first in enumerate(runs.tolist()):
        parts += (others[first : ends[nth]], own[places[nth + 1] : places[nth + 2]])
    return np.concatenate(parts)


def _cut(own: NDArray[Item], out: Ids) -> NDArray[Item]:
    """Return `own` without what stands at the positions `out`, which rise."""
    if len(out) * _STRETCH > len(own):
        return np.delete(own, out)
    firsts, stops = [0, *(out + 1).tolist()], [*out.tolist(), len(own)]
    return np.concatenate([own[first:stop] for first, stop in zip(firsts, stops, strict=True)])
