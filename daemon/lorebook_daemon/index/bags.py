"""The terms of many passages at once: each distinct word is cut into its terms once, and the counting is scipy's.

A term is known by a hash of 64 bits, so that lists of terms are sorted, joined and searched as arrays. Among a million
terms, two have the same with a chance of three in a hundred million; they would count as one term.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, chain
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lorebook_api.retrieval import Kind
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import passage_words, terms_of

KINDS: tuple[Kind, ...] = get_args(Kind)
MOST = 0xFFFF
"""A term that stands more often in a passage counts as standing so often."""

Hashes = NDArray[np.uint64]

_NO_HASHES, _NO_COLUMNS = np.empty(0, np.uint64), np.empty(0, np.int32)
_NO_COUNTS, _NO_KINDS = np.empty(0, np.uint16), np.empty(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Bags:
    """How often each term stands in each of some passages.

    `counts` is a CSR matrix: row = passage, in the order given, column = place of the term in `hashes`, which rise.
    """

    hashes: Hashes
    counts: Any
    kinds: NDArray[np.uint8]

    @classmethod
    def of(cls, passages: Iterable[Passage]) -> Bags:
        """Return the bags of `passages`."""
        numbers = _Numbers()
        starts, places, kinds = array("q", [0]), array("i"), array("B")
        for passage in passages:
            places.extend(map(numbers.__getitem__, passage_words(passage)))
            starts.append(len(places))
            kinds.append(KINDS.index(passage.kind))
        by_word = _matrix(np.array(places, np.int32), np.array(starts, np.int64), len(numbers))
        by_word.sum_duplicates()
        hashes, of_words = _terms(numbers)
        counts = by_word @ of_words
        counts.data = np.minimum(counts.data, MOST).astype(np.uint16)
        return cls(hashes, counts, np.array(kinds, np.uint8))

    @classmethod
    def join(cls, parts: Sequence[Bags]) -> Bags:
        """Return the bags of all parts, one part's passages after the other's."""
        if len(parts) == 1:
            return parts[0]
        hashes, places = np.unique(np.concatenate([_NO_HASHES, *(part.hashes for part in parts)]), return_inverse=True)
        ends = list(accumulate(len(part.hashes) for part in parts))
        own = np.split(places.astype(np.int32), ends)
        columns = [_NO_COLUMNS, *(own[nth][part.counts.indices] for nth, part in enumerate(parts))]
        counts = [_NO_COUNTS, *(part.counts.data for part in parts)]
        lengths = [_NO_COLUMNS, *(np.diff(part.counts.indptr) for part in parts)]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
        entries = (np.concatenate(counts), np.concatenate(columns), _narrow(starts))
        joined = sparse.csr_array(entries, shape=(len(starts) - 1, len(hashes)))
        return cls(hashes, joined, np.concatenate([_NO_KINDS, *(part.kinds for part in parts)]))


@lru_cache(maxsize=1 << 17)
def term_hash(term: str) -> int:
    """Return what a term is known by."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=1 << 17)
def _word_hashes(word: str) -> tuple[int, ...]:
    return tuple(map(term_hash, terms_of(word)))


class _Numbers(dict[str, int]):
    """Numbers words as they come, from 0."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def _terms(words: Iterable[str]) -> tuple[Hashes, Any]:
    """Return the hashes of the words' terms, rising, and a matrix: row = word, column = term."""
    terms = list(map(_word_hashes, words))
    starts = np.zeros(len(terms) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, terms), np.int64, len(terms)), out=starts[1:])
    every = np.fromiter(chain.from_iterable(terms), np.uint64, int(starts[-1]))
    hashes, ranks = np.unique(every, return_inverse=True)
    return hashes, _matrix(ranks.astype(np.int32), starts, len(hashes))


def _matrix(columns: NDArray[np.int32], starts: NDArray[np.int64], width: int) -> Any:
    """Return a CSR matrix with a one for each of `columns`; one that comes twice in a row counts twice."""
    entries = (np.ones(len(columns), np.int32), columns, _narrow(starts))
    return sparse.csr_array(entries, shape=(len(starts) - 1, width))


def _narrow(starts: NDArray[np.int64]) -> NDArray[np.int32] | NDArray[np.int64]:
    """Return where rows begin in as few bytes as hold it: scipy makes the columns as wide, which doubles a matrix."""
    return starts.astype(np.int32) if starts[-1] <= np.iinfo(np.int32).max else starts
