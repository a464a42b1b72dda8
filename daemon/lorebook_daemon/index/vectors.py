"""Nearest neighbours among vectors of length 1: hnswlib (arXiv 1603.09320), kept so that it can grow and shrink."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import hnswlib
import numpy as np
from numpy.typing import NDArray

from lorebook_api.errors import Unusable
from lorebook_daemon.index.embed import Matrix

Ids = NDArray[np.int64]

M = 16
EF_CONSTRUCTION = 200
EF = 128  # recall@10 of 0.96 at 80,000 passages, 0.14 ms a query
_ROOM = 1024
_EXACT_BELOW = 2048  # so few are compared one by one, which is as fast, and exact


class Vectors:
    """Vectors by the id of their passage. Searching from several threads is safe, changing is for one alone."""

    def __init__(self, index: Any, ids: Collection[int]) -> None:
        self._index = index
        self._ids = {int(key) for key in ids}
        self._rows: tuple[Ids, Matrix] | None = None
        self._index.set_ef(EF)

    @classmethod
    def empty(cls, dimensions: int) -> Vectors:
        """Return an index that holds nothing yet."""
        index = hnswlib.Index(space="cosine", dim=dimensions)
        index.init_index(_ROOM, ef_construction=EF_CONSTRUCTION, M=M, allow_replace_deleted=True)
        return cls(index, ())

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> frozenset[int]:
        """The ids that have a vector."""
        return frozenset(self._ids)

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        """Put one row of `matrix` in for each id; an id that is there already gets the new row."""
        self.remove(self._ids.intersection(ids))
        known = set(self._index.get_ids_list())
        back = np.array([key in known for key in ids], bool)
        keys = np.asarray(ids, np.int64)
        for key in keys[back]:  # removed before: hnswlib wants such a place awakened, then overwritten
            self._index.unmark_deleted(key)
        if back.any():
            self._index.add_items(matrix[back], keys[back], num_threads=1)
        if not back.all():
            self._grow(int(np.count_nonzero(~back)))
            self._index.add_items(matrix[~back], keys[~back], num_threads=1, replace_deleted=True)
        self._ids.update(int(key) for key in ids)
        self._rows = None

    def remove(self, ids: Collection[int]) -> None:
        """Take vectors out; an id that has none is passed over, since vectors are made after passages."""
        gone = self._ids.intersection(ids)
        for key in gone:
            self._index.mark_deleted(key)
        self._ids -= gone
        self._rows = None

    def nearest(self, vector: Matrix, n: int, among: Collection[int] | None = None) -> tuple[Ids, Matrix]:
        """Return the ids of the `n` nearest vectors and their cosine similarity, best first.

        `among` names the ids that may come; without it all may.
        """
        allowed = self._ids if among is None else self._ids.intersection(among)
        n = min(n, len(allowed))
        if n == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if len(self._ids) < _EXACT_BELOW:
            return self._compare(vector, n, allowed)
        chosen = None if among is None else allowed.__contains__
        labels, distances = self._index.knn_query(vector[np.newaxis], k=n, num_threads=1, filter=chosen)
        return labels[0].astype(np.int64), 1.0 - distances[0]

    def save(self, file: Path) -> None:
        """Write the index to `file` as it stands; who calls sees to it that a half-written one is never read."""
        with TemporaryDirectory(dir=file.parent) as folder:
            graph = Path(folder) / "graph"
            self._index.save_index(str(graph))
            with file.open("wb") as out:
                np.savez(
                    out,
                    ids=np.array(sorted(self._ids), np.int64),
                    dimensions=np.array(self._index.dim),
                    graph=np.fromfile(graph, np.uint8),
                )

    @classmethod
    def load(cls, file: Path) -> Vectors:
        """Return the index that `save` wrote; raises Unusable where the file is missing, cut or something else."""
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as parts:
                return cls(cls._read(parts, file.parent), parts["ids"])
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile) as error:
            raise Unusable(f"{file} holds no vectors ({error}).", "Make them anew: lorebook index --full") from error

    @staticmethod
    def _read(parts: Mapping[str, Any], folder: Path) -> Any:
        """Return the graph; hnswlib reads from a file of its own only."""
        with TemporaryDirectory(dir=folder) as inside:
            graph = Path(inside) / "graph"
            parts["graph"].tofile(graph)
            index = hnswlib.Index(space="cosine", dim=int(parts["dimensions"]))
            index.load_index(str(graph), allow_replace_deleted=True)
            return index

    def _compare(self, vector: Matrix, n: int, allowed: Collection[int]) -> tuple[Ids, Matrix]:
        """Return the nearest of `allowed` by comparing with every vector."""
        if self._rows is None:  # hnswlib hands vectors out slowly: 60 ms a thousand
            ids = np.array(sorted(self._ids), np.int64)
            self._rows = ids, np.asarray(self._index.get_items(ids), np.float32)
        ids, matrix = self._rows
        similarities = matrix @ vector
        best = np.argsort(-similarities, kind="stable")
        if len(allowed) < len(ids):
            best = best[np.isin(ids[best], list(allowed))]
        return ids[best[:n]], similarities[best[:n]]

    def _grow(self, more: int) -> None:
        """Make room for `more` vectors; doubling keeps the copies few."""
        wanted = self._index.get_current_count() + more
        if wanted > self._index.get_max_elements():
            self._index.resize_index(max(wanted, 2 * self._index.get_max_elements()))
