"""One root's index in SQLite: files, their passages, the passages' vectors, and which derived files belong to them."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from lorebook_api.errors import NotFound, Unusable
from lorebook_api.retrieval import Kind, Similarity
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
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
from lorebook_daemon.index.storage import DATABASE, Derived, is_whole, storage, write_derived
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.index.vectortable import VectorTable, rows_of
from lorebook_daemon.index.walk import FileStat

log = logging.getLogger(__name__)

_META = "CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);"
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL, sha256 BLOB NOT NULL, why TEXT);
CREATE TABLE IF NOT EXISTS passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL REFERENCES files, key BLOB NOT NULL,
    start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL,
    language TEXT NOT NULL, context TEXT NOT NULL, defines TEXT NOT NULL, uses TEXT NOT NULL, cell TEXT);
CREATE INDEX IF NOT EXISTS passages_of_file ON passages (file);
CREATE INDEX IF NOT EXISTS passages_with_key ON passages (key);
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS gone (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB, path TEXT, start_line INTEGER, end_line INTEGER, text TEXT,
    kind TEXT, language TEXT, context TEXT, defines TEXT, uses TEXT, cell TEXT);
CREATE INDEX IF NOT EXISTS gone_from_file ON gone (path);
"""
_DROP = "".join(f"DROP TABLE IF EXISTS {table};" for table in ("meta", "passages", "files", "vectors", "gone"))
_PASSAGE = (
    "SELECT p.id, f.path, p.start_line, p.end_line, p.text, p.kind, p.language, p.context, p.defines, p.uses, p.cell "
    "FROM passages p JOIN files f ON f.id = p.file"
)
_GO = (
    "INSERT INTO gone (key, path, start_line, end_line, text, kind, language, context, defines, uses, cell) "
    "SELECT p.key, f.path, p.start_line, p.end_line, p.text, p.kind, p.language, p.context, p.defines, p.uses, p.cell "
    "FROM passages p JOIN files f ON f.id = p.file WHERE f.path = ?"
)
_GONE = (
    "SELECT id, path, start_line, end_line, text, kind, language, context, defines, uses, cell FROM gone "
    "ORDER BY id LIMIT ?"
)
_COME_BACK = (
    "DELETE FROM gone WHERE path = ? AND EXISTS (SELECT 1 FROM passages p WHERE p.key = gone.key AND +p.file = ? "
    "AND p.start_line = gone.start_line AND p.end_line = gone.end_line AND p.text = gone.text "
    "AND p.context = gone.context AND p.cell IS gone.cell)"
)
_FILES = "SELECT path, id, mtime_ns, ctime_ns, size, sha256, why FROM files"
_FILES_WITHIN = (
    "WITH spans AS (SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS stop, "
    "json_extract(value, '$[2]') AS deep FROM json_each(?)) "
    "SELECT f.path, f.id, f.mtime_ns, f.ctime_ns, f.size, f.sha256, f.why FROM spans s CROSS JOIN files f "
    "WHERE f.path >= s.first AND f.path < s.stop AND (s.deep OR instr(substr(f.path, 1 + length(s.first)), '/') = 0)"
)
_IDS = "SELECT id FROM passages"
_AT_PATHS = "f.path IN (SELECT value FROM json_each(?))"
_IN_FILES = "file IN (SELECT value FROM json_each(?))"
_OF_KIND = "kind IN (SELECT value FROM json_each(?))"
_IN_LANGUAGE = "language IN (SELECT value FROM json_each(?))"
_WITH_TAG = "EXISTS (SELECT 1 FROM json_each(cell, '$[5]') own JOIN json_each(?) asked ON own.value = asked.value)"
_PUT = "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MOST_GONE = 20_000
"""Passages that went are listed up to so many; from there on everything counts as gone."""


class Store(VectorTable):
    """The database of one index. One process writes (see `storage.lock`), others read the last commit."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, similarity: Similarity) -> None:
        super().__init__(connection)
        self._folder = folder
        self.similarity: Similarity = similarity

    @classmethod
    def create(cls, folder: Path, similarity: Similarity = "cosine") -> Store:
        """Open the database for writing, made where there is none. Raises Damaged, StorageFailed."""
        with storage(folder):
            store = cls(_connect(folder, "rwc"), folder, similarity)
            try:
                store._db.execute("PRAGMA journal_mode = WAL")
                with store.transaction():
                    store._run(_META)
                    if store.found_format() == FORMAT:
                        store._run(_TABLES)
            except BaseException:
                store.close()
                raise
            return store

    @classmethod
    def open(cls, folder: Path, similarity: Similarity = "cosine") -> Store:
        """Open the database for reading. Raises NotFound where there is none, Damaged where it is something else."""
        none = NotFound("This folder has no index yet.", "Make it: lorebook index DIR")
        if not (folder / DATABASE).is_file():
            raise none
        with storage(folder):
            store = cls(_connect(folder, "rw"), folder, similarity)
            try:
                begun = store._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
            except BaseException:
                store.close()
                raise
        if begun is None:
            store.close()
            raise none
        return store

    def close(self) -> None:
        """Close the database; what was not committed is undone."""
        self._db.close()

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[None]:
        """Commit what is written inside, all or nothing; inside a reading one every read sees the same state."""
        self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # what the index is

    @property
    def meta(self) -> Meta:
        """What the index is; the default for a new one. Raises Damaged where it cannot be understood."""
        return described(self._body())

    @meta.setter
    def meta(self, meta: Meta) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (1, ?)", (json.dumps(asdict(meta)),))

    def found_format(self) -> int:
        """Return the format of what is there; where it is not FORMAT, only `clear` is of use."""
        return int(self._body().get("format", FORMAT))

    def clear(self) -> None:
        """Empty the database within the running transaction; readers see that the generation moved."""
        generation = int(self._body().get("generation", 0))
        self._run(_DROP + _META + _TABLES)
        self.meta = Meta(generation=generation + 1)
        self.lose_track()

    def is_finished(self) -> bool:
        """Whether there is something to search, in full length."""
        return is_whole(self._folder, self.meta.lexical)

    def _body(self) -> dict[str, Any]:
        return description(self._db.execute("SELECT body FROM meta").fetchone())

    def _run(self, script: str) -> None:
        """Run statements within the transaction, which sqlite3's executescript would end."""
        for statement in script.split(";"):
            self._db.execute(statement)

    # files and passages

    def files(self, area: Area | None = None) -> dict[str, FileRow]:
        """Return all files by path, or those that lie in the area."""
        rows = self._db.execute(_FILES) if area is None else self._db.execute(_FILES_WITHIN, (_spans(area),))
        return {path: FileRow(key, (mtime, ctime, size), sha, why) for path, key, mtime, ctime, size, sha, why in rows}

    def put_file(self, stat: FileStat, sha256: bytes, why: str | None, rows: Sequence[Row]) -> Put:
        """Write a file and its passages in place of what was there for its path; return the ids of both.

        An id is never given twice.
        """
        gone = self.remove_file(stat.path)
        file = self._db.execute(
            "INSERT INTO files (path, mtime_ns, ctime_ns, size, sha256, why) VALUES (?, ?, ?, ?, ?, ?)",
            (stat.path, *stat.stamp, sha256, why),
        ).lastrowid
        first = self.last_id() + 1
        ids = range(first, first + len(rows))
        self._db.executemany(_PUT, [(key, file, *row) for key, row in zip(ids, rows, strict=True)])
        self._db.execute(_COME_BACK, (stat.path, file))
        return Put(ids, gone)

    def unread(self) -> dict[str, str]:
        """Return, by path, why files have no passages that could not be read."""
        return dict(self._db.execute("SELECT path, why FROM files WHERE why IS NOT NULL"))

    def count(self) -> Counts:
        """Return how much there is."""
        (files,) = self._db.execute("SELECT count(*) FROM files WHERE why IS NULL").fetchone()
        (passages,) = self._db.execute("SELECT count(*) FROM passages").fetchone()
        return Counts(files, passages, self.count_embedded())

    def touch(self, stat: FileStat) -> None:
        """Note a new stamp for a file whose content is the same."""
        self._db.execute(
            "UPDATE files SET mtime_ns = ?, ctime_ns = ?, size = ? WHERE path = ?", (*stat.stamp, stat.path)
        )

    def remove_file(self, path: str) -> list[int]:
        """Delete a file and its passages, which are then `gone`; return their ids, none where it is not there."""
        row = self._db.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            return []
        self._db.execute(_GO, (path,))
        ids = [key for (key,) in self._db.execute(f"{_IDS} WHERE file = ?", row)]
        self._db.execute("DELETE FROM passages WHERE file = ?", row)
        self._db.execute("DELETE FROM files WHERE id = ?", row)
        return ids

    def last_id(self) -> int:
        """Return the highest id ever given; 0 when none was."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'passages'").fetchone()
        return int(row[0]) if row else 0

    def passages_after(self, last_id: int) -> Iterator[tuple[int, Passage]]:
        """Yield the passages with an id above `last_id`, by id; above 0 is all."""
        return map(unpacked, self._db.execute(f"{_PASSAGE} WHERE p.id > ? ORDER BY p.id", (last_id,)))

    def passages(self, ids: Sequence[int]) -> Mapping[int, Passage]:
        """Return passages by id, in the order asked for; an id that is gone is left out."""
        found: dict[int, Passage] = {}
        for rows in rows_of(self._db, _PASSAGE, ids):
            found.update(map(unpacked, rows))
        return {key: found[key] for key in ids if key in found}

    def recent(self, since_ns: int, most: int) -> list[tuple[int, Passage]]:
        """Return at most `most` passages of files changed since, the latest first, with the time of the change (ns)."""
        rows = self._db.execute(
            f"{_PASSAGE.replace('p.id', 'f.mtime_ns', 1)} WHERE f.mtime_ns >= ? ORDER BY f.mtime_ns DESC, p.id LIMIT ?",
            (since_ns, most),
        )
        return list(map(unpacked, rows))

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
        bounds: list[tuple[str, Collection[Any]]] = []
        if files is not None:
            bounds.append((_IN_FILES, files))
        bounds += [(test, wanted) for test, wanted in ((_OF_KIND, kinds), (_IN_LANGUAGE, languages)) if wanted]
        if tags:
            bounds.append((_WITH_TAG, tags))
        where = " AND ".join(test for test, _ in bounds) or "1"
        values = [json.dumps([*wanted]) for _, wanted in bounds]
        return [key for (key,) in self._db.execute(f"{_IDS} WHERE {where} ORDER BY id", values)]

    def passages_of(self, path: str) -> list[Passage]:
        """Return a file's passages in order, none where it is not there."""
        return [passage for _, passage in map(unpacked, self._db.execute(f"{_PASSAGE} WHERE f.path = ?", (path,)))]

    def in_files(self, paths: Collection[str]) -> dict[int, Passage]:
        """Return the passages of these files by id, in their order; a file that is not there is passed over."""
        rows = self._db.execute(f"{_PASSAGE} WHERE {_AT_PATHS} ORDER BY p.id", (json.dumps([*paths]),))
        return dict(map(unpacked, rows))

    # passages that went, until what was made of them elsewhere is gone too

    def gone(self, most: int) -> Gone | None:
        """Return the first `most` of the passages that went and were not settled; None where all are."""
        table = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'gone'").fetchone()
        rows = self._db.execute(_GONE, (most,)).fetchall() if table else []
        return gone_in(rows)

    def settle(self, gone: Gone) -> None:
        """Take from the list what `gone` returned."""
        self._db.execute("DELETE FROM gone WHERE id <= ?", (gone.last,))

    def empty_log(self) -> None:
        """Write SQLite's log into the database and cut it: until then it holds what was deleted."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def bound_gone(self) -> None:
        """Keep the list of what went within its bound."""
        (count,) = self._db.execute("SELECT count(*) FROM gone").fetchone()
        if count > MOST_GONE:
            self.lose_track()

    def lose_track(self) -> None:
        """Note, in place of the list, that it is not known which passages went."""
        self._db.execute("DELETE FROM gone")
        self._db.execute("INSERT INTO gone (path) VALUES (NULL)")

    # words, in a file beside the database

    def words(self) -> Lexical:
        """Return the word index. Raises Unusable where there is none, or none that can be read."""
        lexical = self.meta.lexical
        if lexical is None:
            raise Unusable("There is no word index.", "Make it: lorebook index DIR")
        return Lexical.load(self._folder / lexical.name)

    def put_words(
        self, old: Lexical | None, gone: Collection[int], last_id: int, new: Lexical, generation: int
    ) -> Derived:
        """Write the word index: `old` without `gone`, and `new`, the passages above `last_id`.

        `old` is what `words` returned; where that is None it is made anew from the passages.
        """
        if old is None:
            old = Lexical.build(takewhile(lambda row: row[0] <= last_id, self.passages_after(0)))
        lexical = old.without(gone).joined(new)
        return write_derived(self._folder, f"lexical-{generation}.words", lexical.save)

    # vectors (the rest of them: `vectortable`), and their graph in a file beside the database

    def take_embedder(self, identity: str) -> None:
        """Drop the vectors of another embedder; they say nothing to this one."""
        if self.meta.embedder != identity:
            self.drop_vectors()
            self.meta = replace(self.meta, embedder=identity, vectors=0, nearest=None)

    def graph(self, dimensions: int, anew: bool = False) -> Vectors:
        """Return the graph of nearest neighbours, to be added to; an empty one where none can be read, or `anew`.

        So for another similarity than before: vectors stay as they are, only the graph does not serve it.
        """
        meta, nearest = self.meta, self.meta.nearest
        anew = anew or meta.similarity != self.similarity
        if not anew and nearest is not None and is_whole(self._folder, nearest):
            try:
                return Vectors.load(self._folder / nearest.name)
            except Unusable as error:
                log.warning("%s", error)  # nothing is lost: the vectors themselves are in the database
        return Vectors.empty(dimensions, self.similarity)

    def save_graph(self, graph: Vectors, generation: int) -> Derived:
        """Write the graph as the one of this generation."""
        return graph.save(self._folder, f"vectors-{generation}.graph")

    def nearest(self) -> Vectors:
        """Return the graph of nearest neighbours. Raises Unusable where there is none, or none that can be read."""
        nearest = self.meta.nearest
        if nearest is None:
            raise Unusable("There are no vectors yet.", "Make them: lorebook index DIR")
        return Vectors.load(self._folder / nearest.name)


def _spans(area: Area) -> str:
    """Return, as JSON, for each folder of the area from where to where its files' paths go, and whether all count.

    Paths are ordered by their characters' numbers, and `0` comes after `/`.
    """
    folders = [(folder, folder in area.deep) for folder in area.flat | area.deep]
    return json.dumps([(folder, f"{folder[:-1]}0" if folder else "\U0010ffff", deep) for folder, deep in folders])


def _connect(folder: Path, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
    uri = f"{(folder / DATABASE).absolute().as_uri()}?mode={mode}"
    # Who shares a connection between threads holds a lock of their own (opened.OpenIndex).
    connection = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA secure_delete = ON")  # what a person deleted does not stay in free pages
    connection.execute("PRAGMA synchronous = FULL")  # derived files are deleted only after their successor is safe
    return connection
