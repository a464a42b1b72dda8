"""The vectors of an index in PostgreSQL, each by the key of what was embedded: a part of `postgres.PostgresStore`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.index.pgconnection import Connection
from lorebook_daemon.index.pgsearch import drop_graphs, literal
from lorebook_daemon.index.vectortable import COUNT_EMBEDDED, EMBEDDED, SPARE_KEYS, UNEMBEDDED, ids_by_key


class PgVectorTable:
    """The part of a store that keeps vectors, as `vectortable.VectorTable` does in SQLite."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def unembedded(self) -> dict[bytes, list[int]]:
        """Return the keys that have no vector with the ids of their passages, the most recent files first."""
        return ids_by_key(self._db.run(UNEMBEDDED))

    def embedded_ids(self) -> set[int]:
        """Return the ids of the passages that have a vector."""
        return {key for (key,) in self._db.run(EMBEDDED)}

    def count_embedded(self) -> int:
        """Return how many passages have a vector."""
        ((count,),) = self._db.run(COUNT_EMBEDDED)
        return int(count)

    def put_vectors(self, keys: Sequence[bytes], matrix: Matrix) -> None:
        """Write one row of `matrix` for each key."""
        rows = [{"key": key.hex(), "vector": literal(row)} for key, row in zip(keys, matrix, strict=True)]
        self._db.run(
            "INSERT INTO vectors SELECT DISTINCT ON (r.key) decode(r.key, 'hex'), CAST(r.vector AS vector) "
            "FROM json_to_recordset(CAST(:rows AS json)) AS r(key text, vector text) "
            "ON CONFLICT (key) DO UPDATE SET vector = excluded.vector",
            rows=json.dumps(rows),
        )

    def share_vectors(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Give each second key the vector of the first, where that has one and the second has none."""
        sql = "INSERT INTO vectors SELECT :new, vector FROM vectors WHERE key = :old ON CONFLICT (key) DO NOTHING"
        for old, new in pairs:
            self._db.run(sql.replace(":new", "CAST(:new AS bytea)"), old=old, new=new)

    def vectors(self, ids: Sequence[int]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield ids and the vectors of their passages; ids without one are left out."""
        rows = self._db.run(
            "SELECT p.id, CAST(v.vector AS text) FROM passages p JOIN vectors v ON v.key = p.key "
            "WHERE p.id = ANY(CAST(:ids AS bigint[])) ORDER BY p.id",
            ids=[int(key) for key in ids],
        )
        if rows:
            yield [key for key, _ in rows], np.array([json.loads(vector) for _, vector in rows], np.float32)

    def drop_vectors(self) -> None:
        """Delete all vectors, and the graph, whose vectors may have had another length."""
        drop_graphs(self._db)
        self._db.run("DELETE FROM vectors")

    def drop_spare_vectors(self) -> None:
        """Delete vectors that no passage has, once they outnumber the passages: a git branch often comes back."""
        unused = "FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM passages p WHERE p.key = v.key)"
        spare = self._db.run(f"SELECT count(*) {unused}")[0][0]
        living = self._db.run("SELECT count(*) FROM passages")[0][0]
        if spare > max(SPARE_KEYS, living):
            self._db.run(f"DELETE {unused}")
