"""The vectors of an index in SQLite, each by the key of what was embedded: a part of `store.Store`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from lorebook_daemon.index.embed import Matrix

EMBEDDED = "SELECT p.id FROM passages p JOIN vectors v ON v.key = p.key"
COUNT_EMBEDDED = "SELECT count(*) FROM passages p JOIN vectors v ON v.key = p.key"
UNEMBEDDED = (
    "SELECT p.key, p.id FROM passages p JOIN files f ON f.id = p.file "
    "WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.key = p.key) ORDER BY f.mtime_ns DESC, p.id"
)
SPARE_KEYS = 1000
"""Vectors that no passage has are kept up to so many, or to as many as there are passages."""
_VECTOR = "SELECT p.id, v.vector FROM passages p JOIN vectors v ON v.key = p.key"
_MANY = 500


class VectorTable:
    """The part of a store that keeps vectors: one for all passages of the same key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def unembedded(self) -> dict[bytes, list[int]]:
        """Return the keys that have no vector with the ids of their passages, the most recent files first."""
        return ids_by_key(self._db.execute(UNEMBEDDED))

    def embedded_ids(self) -> set[int]:
        """Return the ids of the passages that have a vector."""
        return {key for (key,) in self._db.execute(EMBEDDED)}

    def count_embedded(self) -> int:
        """Return how many passages have a vector."""
        (count,) = self._db.execute(COUNT_EMBEDDED).fetchone()
        return int(count)

    def put_vectors(self, keys: Sequence[bytes], matrix: Matrix) -> None:
        """Write one row of `matrix` for each key, in half precision, which moves no cosine by more than 0.001."""
        rows = zip(keys, matrix.astype("<f2"), strict=True)
        self._db.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?)", [(key, row.tobytes()) for key, row in rows]
        )

    def share_vectors(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Give each second key the vector of the first, where that has one and the second has none.

        A file that was renamed keeps its vectors so: of what was embedded only the name is another.
        """
        self._db.executemany("INSERT OR IGNORE INTO vectors SELECT ?2, vector FROM vectors WHERE key = ?1", [*pairs])

    def vectors(self, ids: Sequence[int]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield ids and the vectors of their passages, some hundreds at a time; ids without one are left out."""
        for rows in rows_of(self._db, _VECTOR, ids):
            if rows:
                matrix = np.stack([np.frombuffer(vector, "<f2") for _, vector in rows]).astype(np.float32)
                yield [key for key, _ in rows], matrix

    def drop_vectors(self) -> None:
        """Delete all vectors."""
        self._db.execute("DELETE FROM vectors")

    def drop_spare_vectors(self) -> None:
        """Delete vectors that no passage has, once they outnumber the passages: a git branch often comes back."""
        unused = "FROM vectors WHERE NOT EXISTS (SELECT 1 FROM passages p WHERE p.key = vectors.key)"
        (spare,) = self._db.execute(f"SELECT count(*) {unused}").fetchone()
        (living,) = self._db.execute("SELECT count(*) FROM passages").fetchone()
        if spare > max(SPARE_KEYS, living):
            self._db.execute(f"DELETE {unused}")


def ids_by_key(rows: Iterable[tuple[bytes, int]]) -> dict[bytes, list[int]]:
    """Return the passages' ids of each key, in the order of the rows."""
    found: dict[bytes, list[int]] = {}
    for key, passage in rows:
        found.setdefault(key, []).append(passage)
    return found


def rows_of(db: sqlite3.Connection, select: str, ids: Sequence[int]) -> Iterator[list[Any]]:
    """Yield the rows that a SELECT over `passages p` has for these ids, those of some hundreds of ids at a time."""
    for start in range(0, len(ids), _MANY):
        part = [int(key) for key in ids[start : start + _MANY]]
        yield db.execute(f"{select} WHERE p.id IN ({','.join('?' * len(part))})", part).fetchall()
