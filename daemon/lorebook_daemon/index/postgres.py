"""One root's index in PostgreSQL, in a schema of its own: its full-text search finds words, pgvector's HNSW meanings.

Tables and rows are those of `store`; beside them a passage has its terms as a tsvector, each at as many positions as it
stands often, and `terms` says how many passages hold each. Nothing is derived: files of words and graphs do not exist.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lorebook_api.errors import NotFound, StorageFailed, Unusable
from lorebook_api.retrieval import Kind, Similarity
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.pgconnection import Connection, lacks_extension, schema_of
from lorebook_daemon.index.pgsearch import PgVectors, PgWords, quoted, storable_term
from lorebook_daemon.index.pgvectortable import PgVectorTable
from lorebook_daemon.index.records import (
    FORMAT,
    Counts,
    FileRow,
    Gone,
    Meta,
    Put,
    Row,
    described,
    description,
    gone_in,
    unpacked,
)
from lorebook_daemon.index.storage import Derived
from lorebook_daemon.index.store import MOST_GONE
from lorebook_daemon.index.tokens import passage_terms
from lorebook_daemon.index.walk import FileStat

_FIELDS = "start_line, end_line, text, kind, language, context, defines, uses, cell"
_COLUMNS = ", ".join(f"p.{name}" for name in _FIELDS.split(", "))
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL UNIQUE, mtime_ns bigint NOT NULL,
    ctime_ns bigint NOT NULL, size bigint NOT NULL, sha256 bytea NOT NULL, why text);
CREATE TABLE IF NOT EXISTS passages (
    id bigint PRIMARY KEY, file bigint NOT NULL REFERENCES files, key bytea NOT NULL, start_line int NOT NULL,
    end_line int NOT NULL, text text NOT NULL, kind text NOT NULL, language text NOT NULL, context text NOT NULL,
    defines text NOT NULL, uses text NOT NULL, cell text, length int NOT NULL, terms tsvector NOT NULL);
CREATE INDEX IF NOT EXISTS passages_of_file ON passages (file);
CREATE INDEX IF NOT EXISTS passages_with_key ON passages (key);
CREATE INDEX IF NOT EXISTS passages_with_terms ON passages USING gin (terms);
CREATE SEQUENCE IF NOT EXISTS passage_ids;
CREATE TABLE IF NOT EXISTS terms (term text PRIMARY KEY, held_by bigint NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (key bytea PRIMARY KEY, vector vector NOT NULL);
CREATE TABLE IF NOT EXISTS gone (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea, path text, start_line int, end_line int, text text,
    kind text, language text, context text, defines text, uses text, cell text);
CREATE INDEX IF NOT EXISTS gone_from_file ON gone (path);
"""
_META = "CREATE TABLE IF NOT EXISTS meta (one int PRIMARY KEY CHECK (one = 1), body text NOT NULL)"
_DROP = "DROP TABLE IF EXISTS meta, passages, files, vectors, gone, terms; DROP SEQUENCE IF EXISTS passage_ids"
_PASSAGE = f"SELECT p.id, f.path, {_COLUMNS} FROM passages p JOIN files f ON f.id = p.file"  # noqa: S608
_PUT_FILE = (
    "INSERT INTO files (path, mtime_ns, ctime_ns, size, sha256, why) "
    "VALUES (:path, :mtime, :ctime, :size, :sha, :why) RETURNING id"
)
_PUT = f"""
INSERT INTO passages (id, file, key, {_FIELDS}, length, terms)
SELECT r.id, :file, decode(r.key, 'hex'), {_FIELDS}, r.length,
    CAST(r.terms AS tsvector)
FROM json_to_recordset(CAST(:rows AS json)) AS r(id bigint, key text, start_line int, end_line int, text text,
    kind text, language text, context text, defines text, uses text, cell text, length int, terms text)
"""  # noqa: S608
_COUNT_IN = """
INSERT INTO terms SELECT key, CAST(value AS bigint) FROM json_each_text(CAST(:held AS json)) ORDER BY key
ON CONFLICT (term) DO UPDATE SET held_by = terms.held_by + excluded.held_by
"""
_COUNT_OUT = """
UPDATE terms t SET held_by = t.held_by - d.held_by FROM (
    SELECT u.lexeme, count(*) AS held_by FROM passages p, unnest(p.terms) u WHERE p.file = :file GROUP BY u.lexeme) d
WHERE t.term = d.lexeme
"""
_GO = f"""
INSERT INTO gone (key, path, {_FIELDS})
SELECT p.key, f.path, {_COLUMNS} FROM passages p JOIN files f ON f.id = p.file WHERE f.id = :file ORDER BY p.id
"""  # noqa: S608
_COME_BACK = """
DELETE FROM gone g WHERE g.path = :path AND EXISTS (SELECT 1 FROM passages p WHERE p.key = g.key AND p.file = :file
    AND p.start_line = g.start_line AND p.end_line = g.end_line AND p.text = g.text AND p.context = g.context
    AND p.cell IS NOT DISTINCT FROM g.cell)
"""
_WITH_TAG = (
    "EXISTS (SELECT 1 FROM json_array_elements_text(CAST(p.cell AS json) -> 5) own(tag) "
    "WHERE own.tag = ANY(CAST(:tags AS text[])))"
)
_NO_PGVECTOR = "Install it on the server (Debian: postgresql-17-pgvector), then there: CREATE EXTENSION vector"
_MOST_COUNT = 255  # positions that PostgreSQL keeps of a term


class PostgresStore(PgVectorTable):
    """The tables of one index. One process writes at a time, others read the last commit."""

    def __init__(self, db: Connection, similarity: Similarity = "cosine") -> None:
        super().__init__(db)
        self.similarity: Similarity = similarity

    @classmethod
    def create(cls, folder: Path, url: str, similarity: Similarity = "cosine") -> PostgresStore:
        """Open the schema for writing, made where there is none. Raises StorageFailed, Unusable without pgvector."""
        store = cls(Connection(url, schema_of(folder)), similarity)
        try:
            store._prepare()
            with store.transaction():
                store._db.run(f"CREATE SCHEMA IF NOT EXISTS {store._db.schema}")
                store._db.run(_META)
                if store.found_format() == FORMAT:
                    store._run(_TABLES)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, folder: Path, url: str, similarity: Similarity = "cosine") -> PostgresStore:
        """Open the schema for reading. Raises NotFound where there is none, StorageFailed."""
        store = cls(Connection(url, schema_of(folder)), similarity)
        sql = "SELECT 1 FROM pg_tables WHERE schemaname = :schema AND tablename = 'meta'"
        try:
            begun = store._db.run(sql, schema=store._db.schema)
        except BaseException:
            store.close()
            raise
        if not begun:
            store.close()
            raise NotFound("This folder has no index yet.", "Make it: lorebook index DIR")
        return store

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""
        self._db.close()

    def erase(self) -> None:
        """Drop the schema with all that is in it."""
        with self.transaction():
            self._db.run(f"DROP SCHEMA IF EXISTS {self._db.schema} CASCADE")

    def transaction(self, write: bool = True) -> AbstractContextManager[None]:
        """Commit what is written inside, all or nothing; inside a reading one every read sees the same state."""
        return self._db.transaction(write)

    def _prepare(self) -> None:
        """Have pgvector in the database; raises Unusable where it cannot be had."""
        if self._db.run("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            return
        try:
            self._db.run("CREATE EXTENSION IF NOT EXISTS vector")
        except StorageFailed as error:
            if lacks_extension(error):
                raise Unusable(f"This PostgreSQL lacks pgvector: {error}", _NO_PGVECTOR) from error
            raise

    # what the index is

    @property
    def meta(self) -> Meta:
        """What the index is; the default for a new one. Raises Damaged where it cannot be understood."""
        return described(self._body())

    @meta.setter
    def meta(self, meta: Meta) -> None:
        sql = "INSERT INTO meta VALUES (1, :body) ON CONFLICT (one) DO UPDATE SET body = excluded.body"
        self._db.run(sql, body=json.dumps(asdict(meta)))

    def found_format(self) -> int:
        """Return the format of what is there; where it is not FORMAT, only `clear` is of use."""
        return int(self._body().get("format", FORMAT))

    def clear(self) -> None:
        """Empty the tables within the running transaction; readers see that the generation moved."""
        generation = int(self._body().get("generation", 0))
        self._run(f"{_DROP};{_META};{_TABLES}")
        self.meta = Meta(generation=generation + 1)
        self.lose_track()

    def is_finished(self) -> bool:
        """Whether there is something to search."""
        return self.meta.lexical is not None

    def _body(self) -> dict[str, Any]:
        return description(next(iter(self._db.run("SELECT body FROM meta")), None))

    def _run(self, script: str) -> None:
        for statement in filter(str.strip, script.split(";")):
            self._db.run(statement)

    # files and passages

    def files(self, area: Area | None = None) -> dict[str, FileRow]:
        """Return all files by path, or those that lie in the area."""
        rows = self._db.run("SELECT path, id, mtime_ns, ctime_ns, size, sha256, why FROM files ORDER BY id")
        return {
            path: FileRow(key, (mtime, ctime, size), sha, why)
            for path, key, mtime, ctime, size, sha, why in rows
            if area is None or area.covers(path)
        }

    def unread(self) -> dict[str, str]:
        """Return, by path, why files have no passages that could not be read."""
        return {path: why for path, why in self._db.run("SELECT path, why FROM files WHERE why IS NOT NULL")}

    def count(self) -> Counts:
        """Return how much there is."""
        ((files,),) = self._db.run("SELECT count(*) FROM files WHERE why IS NULL")
        ((passages,),) = self._db.run("SELECT count(*) FROM passages")
        return Counts(files, passages, self.count_embedded())

    def put_file(self, stat: FileStat, sha256: bytes, why: str | None, rows: Sequence[Row]) -> Put:
        """Write a file and its passages in place of what was there for its path; return the ids of both."""
        gone = self.remove_file(stat.path)
        mtime, ctime, size = stat.stamp
        file = self._db.run(_PUT_FILE, path=stat.path, mtime=mtime, ctime=ctime, size=size, sha=sha256, why=why)[0][0]
        first = self.last_id() + 1
        ids = range(first, first + len(rows))
        if rows:
            bags = [passage_terms(unpacked((key, stat.path, *row[1:]))[1]) for key, row in zip(ids, rows, strict=True)]
            packed = [_as_json(key, row, bag) for key, row, bag in zip(ids, rows, bags, strict=True)]
            self._db.run(_PUT, file=file, rows=json.dumps(packed))
            self._db.run("SELECT setval('passage_ids', :last)", last=ids[-1])
            self._db.run(_COUNT_IN, held=json.dumps(Counter(storable_term(term) for bag in bags for term in bag)))
        self._db.run(_COME_BACK, path=stat.path, file=file)
        return Put(ids, gone)

    def touch(self, stat: FileStat) -> None:
        """Note a new stamp for a file whose content is the same."""
        mtime, ctime, size = stat.stamp
        sql = "UPDATE files SET mtime_ns = :mtime, ctime_ns = :ctime, size = :size WHERE path = :path"
        self._db.run(sql, mtime=mtime, ctime=ctime, size=size, path=stat.path)

    def remove_file(self, path: str) -> list[int]:
        """Delete a file and its passages, which are then `gone`; return their ids, none where it is not there."""
        ids: list[int] = []
        for (file,) in self._db.run("SELECT id FROM files WHERE path = :path", path=path):
            self._db.run(_GO, file=file)
            self._db.run(_COUNT_OUT, file=file)
            deleted = self._db.run("DELETE FROM passages WHERE file = :file RETURNING id", file=file)
            ids += [key for (key,) in deleted]
            self._db.run("DELETE FROM files WHERE id = :file", file=file)
        return ids

    def last_id(self) -> int:
        """Return the highest id ever given; 0 when none was."""
        last, called = self._db.run("SELECT last_value, is_called FROM passage_ids")[0]
        return int(last) if called else 0

    def passages_after(self, last_id: int) -> Iterator[tuple[int, Passage]]:
        """Yield the passages with an id above `last_id`, by id; above 0 is all."""
        return map(unpacked, self._db.run(f"{_PASSAGE} WHERE p.id > :last ORDER BY p.id", last=last_id))

    def passages(self, ids: Sequence[int]) -> Mapping[int, Passage]:
        """Return passages by id, in the order asked for; an id that is gone is left out."""
        rows = self._db.run(f"{_PASSAGE} WHERE p.id = ANY(CAST(:ids AS bigint[]))", ids=[int(key) for key in ids])
        found = dict(map(unpacked, rows))
        return {key: found[key] for key in ids if key in found}

    def recent(self, since_ns: int, most: int) -> list[tuple[int, Passage]]:
        """Return at most `most` passages of files changed since, the latest first, with the time of the change (ns)."""
        sql = _PASSAGE.replace("p.id", "f.mtime_ns", 1)
        sql += " WHERE f.mtime_ns >= :since ORDER BY f.mtime_ns DESC, p.id LIMIT :most"
        return list(map(unpacked, self._db.run(sql, since=since_ns, most=most)))

    def ids_where(
        self,
        files: Collection[int] | None,
        kinds: Collection[Kind],
        languages: Collection[str],
        tags: Collection[str],
    ) -> list[int]:
        """Return the ids of the passages of these files (None: of all), kinds, languages and cells' tags, by id.

        An empty collection of kinds, languages or tags bounds nothing; a cell with one of the tags is taken.
        """
        bounds: dict[str, tuple[str, list[Any]]] = {}
        if files is not None:
            bounds["files"] = ("p.file = ANY(CAST(:files AS bigint[]))", [*files])
        if kinds:
            bounds["kinds"] = ("p.kind = ANY(CAST(:kinds AS text[]))", [*kinds])
        if languages:
            bounds["languages"] = ("p.language = ANY(CAST(:languages AS text[]))", [*languages])
        if tags:
            bounds["tags"] = (_WITH_TAG, [*tags])
        where = " AND ".join(test for test, _ in bounds.values()) or "true"
        values = {name: wanted for name, (_, wanted) in bounds.items()}
        return [key for (key,) in self._db.run(f"SELECT p.id FROM passages p WHERE {where} ORDER BY p.id", **values)]  # noqa: S608

    def passages_of(self, path: str) -> list[Passage]:
        """Return a file's passages in order, none where it is not there."""
        return list(self.in_files([path]).values())

    def in_files(self, paths: Collection[str]) -> dict[int, Passage]:
        """Return the passages of these files by id, in their order; a file that is not there is passed over."""
        sql = f"{_PASSAGE} WHERE f.path = ANY(CAST(:paths AS text[])) ORDER BY p.id"
        return dict(map(unpacked, self._db.run(sql, paths=[*paths])))

    # passages that went, until what was made of them elsewhere is gone too

    def gone(self, most: int) -> Gone | None:
        """Return the first `most` of the passages that went and were not settled; None where all are."""
        rows = self._db.run(f"SELECT id, path, {_FIELDS} FROM gone ORDER BY id LIMIT :most", most=most)  # noqa: S608
        return gone_in(rows)

    def settle(self, gone: Gone) -> None:
        """Take from the list what `gone` returned."""
        self._db.run("DELETE FROM gone WHERE id <= :last", last=gone.last)

    def empty_log(self) -> None:
        """Have the rows that were deleted leave the tables; the server's own log is the server's to keep."""
        self._db.run("VACUUM gone")

    def bound_gone(self) -> None:
        """Keep the list of what went within its bound."""
        if self._db.run("SELECT count(*) FROM gone")[0][0] > MOST_GONE:
            self.lose_track()

    def lose_track(self) -> None:
        """Note, in place of the list, that it is not known which passages went."""
        self._db.run("DELETE FROM gone")
        self._db.run("INSERT INTO gone (path) VALUES (NULL)")

    # words

    def words(self) -> PgWords:
        """Return the search by words, of the transaction that runs."""
        return PgWords(self._db)

    def put_words(self, old: Any, gone: Collection[int], last_id: int, new: Lexical, generation: int) -> Derived:
        """Return a name for the state of the words: they were written with their passages."""
        return Derived(f"words-{generation}", 0)

    # vectors (the rest of them: `pgvectortable`)

    def take_embedder(self, identity: str) -> None:
        """Drop the vectors of another embedder; they say nothing to this one."""
        if self.meta.embedder != identity:
            self.drop_vectors()
            self.meta = replace(self.meta, embedder=identity, vectors=0, nearest=None)

    def graph(self, dimensions: int, anew: bool = False) -> PgVectors:
        """Return the vectors, to be added to; the rows are the index."""
        return PgVectors(self._db, dimensions, self.similarity)

    def save_graph(self, graph: PgVectors, generation: int) -> Derived:
        """Make the graph of nearest neighbours where there is none; return a name for its state."""
        with self.transaction():
            graph.save()
        return Derived(f"vectors-{generation}", graph.dimensions)

    def nearest(self) -> PgVectors:
        """Return the search by meaning. Raises Unusable where there is none."""
        nearest = self.meta.nearest
        if nearest is None:
            raise Unusable("There are no vectors yet.", "Make them: lorebook index DIR")
        return PgVectors(self._db, nearest.size, self.similarity)


def _as_json(key: int, row: Row, bag: Counter[str]) -> dict[str, Any]:
    names = ("key", *_FIELDS.split(", "))
    terms: Counter[str] = Counter()
    for term, count in bag.items():
        terms[quoted(term)] += count
    spelt = " ".join(f"{term}:{','.join(map(str, range(1, min(n, _MOST_COUNT) + 1)))}" for term, n in terms.items())
    # A PostgreSQL text holds no NUL.
    values = (one.replace("\0", "\ufffd") if isinstance(one, str) else one for one in row)
    fields = dict(zip(names, values, strict=True))
    return {**fields, "id": key, "key": row[0].hex(), "length": bag.total(), "terms": spelt}
