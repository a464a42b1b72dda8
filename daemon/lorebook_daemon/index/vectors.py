"""Nearest neighbours among vectors: hnswlib (arXiv 1603.09320), kept so that it can grow and shrink."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import hnswlib
import numpy as np
from numpy.typing import NDArray

from lorebook_api.errors import Unusable
from lorebook_api.retrieval import Similarity
from lorebook_daemon.index.arrays import file_sum, read_arrays, write_arrays
from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.index.similarity import compared, told_by_hnswlib
from lorebook_daemon.index.storage import BESIDE, Derived, write_derived

Ids = NDArray[np.int64]

M = 16
EF_CONSTRUCTION = 200
EF = 128  # candidates that a search keeps: recall@10 of 0.99 at 80,000 passages, 0.14 ms a query
_MANY_VECTORS = 80_000  # of more, more are kept: of a million 128 find 0.86 in 0.6 ms, 580 0.96 in 2.3 ms
_EF_GROWS = 0.6
_ROOM = 1024
_EXACT_BELOW = 2048  # so few are compared one by one, which is as fast, and exact
_FEW_AMONG = 1024  # of all, so few that may come are looked at one by one (60 ms): the graph leads past them
_MANY = 256  # so many at once are worth all cores: a graph is made anew, none is waited for
_REMOVED, _THERE = 1, 2  # 0: never there
_SPACES = get_args(Similarity)
_BESIDE = ("ids", "shape", "space", "graph_sum")


class Vectors:
    """Vectors by the id of their passage. Searching from several threads is safe, changing is for one alone."""

    def __init__(self, index: Any, ids: Ids) -> None:
        self._index = index
        self._similarity: Similarity = index.space
        self._states = np.zeros(_ROOM, np.uint8)  # by id: a set of a million numbers would take 80 MB
        self._mark(ids, _THERE)
        self._count = len(ids)
        self._rows: tuple[Ids, Matrix] | None = None
        self._look_as_far_as_needed()

    @classmethod
    def empty(cls, dimensions: int, similarity: Similarity = "cosine") -> Vectors:
        """Return an index that holds nothing yet."""
        index = hnswlib.Index(space=similarity, dim=dimensions)
        index.init_index(_ROOM, ef_construction=EF_CONSTRUCTION, M=M, allow_replace_deleted=True)
        return cls(index, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Ids:
        """The ids that have a vector, rising."""
        return np.flatnonzero(self._states == _THERE)

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        """Put one row of `matrix` in for each id; an id that is there already gets the new row."""
        keys = np.asarray(ids, np.int64)
        self.remove(keys)
        placed = self._awakened(keys)
        if placed.any():
            self._index.add_items(matrix[placed], keys[placed], num_threads=1)
        if not placed.all():
            self._grow(int(np.count_nonzero(~placed)))
            threads = -1 if len(keys) >= _MANY else 1
            self._index.add_items(matrix[~placed], keys[~placed], num_threads=threads, replace_deleted=True)
        self._mark(keys, _THERE)
        self._count += len(keys)
        self._rows = None
        self._look_as_far_as_needed()

    def remove(self, ids: Collection[int] | Ids) -> None:
        """Take vectors out; an id that has none is passed over, since vectors are made after passages."""
        gone = self._those(ids, _THERE)
        for key in gone:
            self._index.mark_deleted(key)
        self._mark(gone, _REMOVED)
        self._count -= len(gone)
        self._rows = None

    def nearest(self, vector: Matrix, n: int, among: Collection[int] | Ids | None = None) -> tuple[Ids, Matrix]:
        """Return the ids of the `n` nearest vectors and how near they are, best first (see `similarity`).

        `among` names the ids that may come; without it all may.
        """
        if self._count < _EXACT_BELOW:
            return self._compare(vector, n, among)
        chosen, most = None, self._count
        if among is not None:
            keys = self._those(among, _THERE)
            if len(keys) <= _FEW_AMONG:
                return self._closest(vector, n, keys, self._matrix(keys, len(vector)))
            allowed = np.zeros(len(self._states), np.bool_)
            allowed[keys] = True
            chosen, most = allowed.tobytes().__getitem__, len(keys)
        if min(n, most) == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        labels, distances = self._index.knn_query(vector[np.newaxis], k=min(n, most), num_threads=1, filter=chosen)
        return labels[0].astype(np.int64), told_by_hnswlib(self._similarity, vector, distances[0])

    def save(self, folder: Path, name: str) -> Derived:
        """Write the index to the file `name` in `folder`, and what hnswlib does not tell beside it.

        Either file is whole or not there at all. Raises OSError.
        """
        saved = write_derived(folder, name, lambda part: self._index.save_index(str(part)))
        beside = {
            "ids": self.ids,
            "shape": np.array([self._index.dim, self._index.get_current_count()], np.int64),
            "space": np.array([_SPACES.index(self._similarity)], np.int64),
            "graph_sum": np.array([file_sum(folder / name)], np.int64),
        }
        write_derived(folder, name + BESIDE, lambda part: write_arrays(part, beside))
        return saved

    @classmethod
    def load(cls, file: Path) -> Vectors:
        """Return the index that `save` wrote; raises Unusable where a file is missing, cut, altered or another."""
        try:
            beside = read_arrays(file.with_name(file.name + BESIDE), _BESIDE)
            if file_sum(file) != beside["graph_sum"][0]:  # hnswlib would follow links that lead anywhere
                raise ValueError("its checksum is another")
            dimensions, room = beside["shape"].tolist()
            index = hnswlib.Index(space=_SPACES[beside["space"][0]], dim=dimensions)
            index.load_index(str(file), max_elements=room, allow_replace_deleted=True)
            return cls(index, beside["ids"])
        except (Unusable, OSError, ValueError, RuntimeError) as error:
            raise Unusable(f"{file} holds no vectors ({error}).", "Make them anew: lorebook index --full") from error

    def _compare(self, vector: Matrix, n: int, among: Collection[int] | Ids | None) -> tuple[Ids, Matrix]:
        """Return the nearest by comparing with every vector."""
        if self._rows is None:  # hnswlib hands vectors out slowly: 60 ms a thousand
            self._rows = self.ids, self._matrix(self.ids, len(vector))
        ids, matrix = self._rows
        if among is not None:
            allowed = np.isin(ids, self._those(among, _THERE))
            ids, matrix = ids[allowed], matrix[allowed]
        return self._closest(vector, n, ids, matrix)

    def _closest(self, vector: Matrix, n: int, ids: Ids, matrix: Matrix) -> tuple[Ids, Matrix]:
        """Return the `n` of `ids` whose rows are nearest, and how near they are, best first."""
        near = compared(self._similarity, vector, matrix)
        best = np.argsort(-near, kind="stable")[:n]
        return ids[best], near[best]

    def _matrix(self, ids: Ids, dimensions: int) -> Matrix:
        rows = self._index.get_items(ids) if len(ids) else []
        return np.asarray(rows, np.float32).reshape(-1, dimensions)

    def _those(self, ids: Collection[int] | Ids, state: int) -> Ids:
        """Return those of `ids` that are in this state."""
        keys = np.fromiter(ids, np.int64, len(ids)) if not isinstance(ids, np.ndarray) else ids
        keys = keys[keys < len(self._states)]
        found: Ids = keys[self._states[keys] == state]
        return found

    def _mark(self, keys: Ids, state: int) -> None:
        if len(keys) and keys.max() >= len(self._states):
            self._states = np.pad(self._states, (0, max(int(keys.max()) + 1 - len(self._states), len(self._states))))
        self._states[keys] = state

    def _awakened(self, keys: Ids) -> NDArray[np.bool_]:
        """Return which of `keys` have a place in the graph from before they were removed; it is theirs again.

        hnswlib wants such a place awakened and overwritten; the places of others may have been given away since.
        """
        if not len(self._those(keys, _REMOVED)):
            return np.zeros(len(keys), np.bool_)
        placed = np.isin(keys, self._index.get_ids_list())
        for key in keys[placed]:
            self._index.unmark_deleted(key)
        return placed

    def _look_as_far_as_needed(self) -> None:
        self._index.set_ef(round(EF * max(1.0, self._count / _MANY_VECTORS) ** _EF_GROWS))

    def _grow(self, more: int) -> None:
        """Make room for `more` vectors; doubling keeps the copies few."""
        wanted = self._index.get_current_count() + more
        if wanted > self._index.get_max_elements():
            self._index.resize_index(max(wanted, 2 * self._index.get_max_elements()))
