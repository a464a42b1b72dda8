"""Search in PostgreSQL: BM25 over its full-text index, nearest vectors by pgvector's HNSW (arXiv 1603.09320)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorebook_api.retrieval import Kind, Similarity
from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.index.lexical import K1, B, Ids, Mask, Scores
from lorebook_daemon.index.pgconnection import Connection
from lorebook_daemon.index.similarity import OPERATORS, told_by_pgvector

# `|| ''` unpacks a tsvector once, and not for each term: half the time.
# A term that stands `n` times has the rank r = (1 + 1/4 + … + 1/n²) / 1.645 by PostgreSQL's ts_rank; of r / (1 - r), a
# share of 0.6079 and a little more is n, to within 0.03.
_COUNT = "0.6079 * r / (1 - r) + 0.0575"
_TOP = f"""
SELECT p.id, sum(CASE WHEN r > 0 THEN a.weight * ({_COUNT}) * {K1 + 1}
    / ({_COUNT} + {K1} * ({1 - B} + {B} * p.length / CAST(:average AS float8))) ELSE 0 END) AS score
FROM (SELECT id, length, terms || CAST('' AS tsvector) AS terms FROM passages WHERE terms @@ CAST(:any AS tsquery)
    AND (:all OR id = ANY(CAST(:among AS bigint[]))) OFFSET 0) p
CROSS JOIN unnest(CAST(:terms AS text[]), CAST(:weights AS float8[])) AS a(term, weight)
CROSS JOIN LATERAL ts_rank('{{1,1,1,1}}', p.terms, CAST(a.term AS tsquery)) AS r
GROUP BY p.id ORDER BY score DESC, p.id LIMIT :most
"""  # noqa: S608 - of our own constants
_ENOUGH = 20_000
"""Passages that may hold the rarest terms of a question; those that hold only commoner ones are not looked at."""
_FEW = 20_000
"""So many passages that may come are compared one by one: the graph would lead past them."""


class PgWords:
    """BM25 as `Lexical` has it, of the terms in a root's tables, as of the transaction that runs."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        count, average = db.run("SELECT count(*), avg(length) FROM passages")[0]
        self._count, self._average = int(count), float(average or 1.0)

    @cached_property
    def ids(self) -> Ids:
        """The ids of all passages, rising."""
        return _ids(self._db.run("SELECT string_agg(CAST(id AS text), ',' ORDER BY id) FROM passages"))

    def of_kind(self, kind: Kind) -> Mask:
        """Return which passages, by place, are of this kind."""
        rows = self._db.run("SELECT string_agg(CAST(id AS text), ',') FROM passages WHERE kind = :kind", kind=kind)
        return np.isin(self.ids, _ids(rows))

    def top(self, terms: Sequence[str], n: int, among: Mask | None = None) -> tuple[Ids, Scores]:
        """Return ids and scores of the best `n` passages that hold any of the terms; equals by id.

        `among` says, by place in `ids`, which may come. Exact, but for passages that hold none of a question's rarer
        terms where the commoner ones stand in many thousands.
        """
        held = {term: count for term, count in self._held(terms).items() if count > 0}
        if not held:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        times = Counter(terms)
        rows = self._db.run(
            _TOP,
            average=self._average,
            terms=[quoted(term) for term in held],
            weights=[times[term] * self._idf(count) for term, count in held.items()],
            any=" | ".join(map(quoted, _rarest(held))),
            all=among is None,
            among=[] if among is None else self.ids[among].tolist(),
            most=n,
        )
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)

    def full_score(self, terms: Sequence[str]) -> float:
        """Return what a passage of average length scores that holds each of the terms once (see `Lexical`)."""
        held = self._held(terms)
        return sum(self._idf(held.get(term) or 1) for term in terms)

    def _held(self, terms: Sequence[str]) -> dict[str, int]:
        """Return how many passages hold each term."""
        asked = [storable_term(term) for term in terms]
        rows = self._db.run("SELECT term, held_by FROM terms WHERE term = ANY(CAST(:terms AS text[]))", terms=asked)
        found: dict[str, int] = dict(rows)
        return {term: found.get(storable_term(term), 0) for term in dict.fromkeys(terms)}

    def _idf(self, held_by: int) -> float:
        return float(np.log((self._count + 1) / held_by))


class PgVectors:
    """Vectors by the id of their passage: the rows are the index, so nothing has to follow them."""

    def __init__(self, db: Connection, dimensions: int, similarity: Similarity = "cosine") -> None:
        self._db = db
        self._similarity: Similarity = similarity
        self.dimensions = dimensions
        sql = "SELECT count(*) FROM passages p JOIN vectors v ON v.key = p.key"
        self._count = int(db.run(sql)[0][0])

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Ids:
        """The ids that have a vector, rising."""
        joined = "FROM passages p JOIN vectors v ON v.key = p.key"
        return _ids(self._db.run(f"SELECT string_agg(CAST(p.id AS text), ',' ORDER BY p.id) {joined}"))

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        """Note that these have one now; `Store.put_vectors` wrote them."""
        self._count += len(ids)

    def remove(self, ids: Collection[int] | Ids) -> None:
        """Do nothing: with its passage a vector is out of sight."""

    def nearest(self, vector: Matrix, n: int, among: Collection[int] | Ids | None = None) -> tuple[Ids, Matrix]:
        """Return the ids of the `n` nearest vectors and how near they are, best first (see `similarity`)."""
        asked = literal(vector)
        if among is None:
            rows = self._db.run(self._by_graph(""), asked=asked, most=n)
        else:
            ids = among.tolist() if isinstance(among, np.ndarray) else [*among]
            sql = self._one_by_one() if len(ids) <= _FEW else self._by_graph("WHERE p.id = ANY(CAST(:ids AS bigint[]))")
            rows = self._db.run(sql, asked=asked, most=n, ids=ids)
        far = np.array([row[1] for row in rows], np.float32)
        return np.array([row[0] for row in rows], np.int64), told_by_pgvector(self._similarity, vector, far)

    def save(self) -> None:
        """Make the graph where there is none for this similarity; from then on PostgreSQL keeps it."""
        drop_graphs(self._db, but=self._similarity)
        ops = f"vector_{self._similarity}_ops"
        self._db.run(
            f"CREATE INDEX IF NOT EXISTS {_graph(self._similarity)} ON vectors USING hnsw ({self._column} {ops})"
        )

    @property
    def _column(self) -> str:
        return f"(CAST(vector AS vector({self.dimensions})))"

    def _by_graph(self, where: str) -> str:
        column, operator = self._column.replace("vector AS", "v.vector AS"), OPERATORS[self._similarity]
        far = f"{column} {operator} CAST(:asked AS vector({self.dimensions}))"
        joined = f"FROM vectors v JOIN passages p ON p.key = v.key {where}"
        return f"SELECT p.id, {far} {joined} ORDER BY {far} LIMIT :most"

    def _one_by_one(self) -> str:
        far = f"vector {OPERATORS[self._similarity]} CAST(:asked AS vector)"
        may = "SELECT p.id, v.vector FROM passages p JOIN vectors v ON v.key = p.key"
        may += " WHERE p.id = ANY(CAST(:ids AS bigint[]))"
        return f"WITH may AS MATERIALIZED ({may}) SELECT id, {far} FROM may ORDER BY {far}, id LIMIT :most"  # noqa: S608


def drop_graphs(db: Connection, but: Similarity | None = None) -> None:
    """Drop the graphs, but that for one similarity; a graph serves one alone."""
    for similarity in OPERATORS:
        if similarity != but:
            db.run(f"DROP INDEX IF EXISTS {_graph(similarity)}")


def _graph(similarity: Similarity) -> str:
    return f"vectors_nearest_{similarity}"


def quoted(term: str) -> str:
    """Return a term as tsquery and tsvector read it."""
    bare = storable_term(term).replace("\\", "\\\\").replace("'", "''")
    return f"'{bare}'"


def storable_term(term: str) -> str:
    """Return a term as PostgreSQL can keep it: a lexeme has 2046 bytes at the most, and no NUL."""
    return term.replace("\0", "").encode("utf-8", "replace")[:1000].decode("utf-8", "ignore") or "\ufffd"


def literal(vector: NDArray[np.float32]) -> str:
    """Return a vector as pgvector reads it."""
    return f"[{','.join(map(repr, vector.astype(float).tolist()))}]"


def _rarest(held: dict[str, int]) -> list[str]:
    """Return the rarest terms, up to some thousands of passages; one at least."""
    chosen: list[str] = []
    total = 0
    for term, count in sorted(held.items(), key=lambda item: item[1]):
        total += count
        if chosen and total > _ENOUGH:
            break
        chosen.append(term)
    return chosen


def _ids(rows: Sequence[tuple[Any, ...]]) -> Ids:
    joined = rows[0][0]
    return np.array(joined.split(","), np.int64) if joined else np.empty(0, np.int64)
