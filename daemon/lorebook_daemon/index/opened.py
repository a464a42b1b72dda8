"""An index that is open for searching and follows what indexers do to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar

from lorebook_api.errors import NotFound, Unusable
from lorebook_api.indexing import RootInfo
from lorebook_api.retrieval import Filters
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.filters import Reach, choose, reach
from lorebook_daemon.index.learning import EVEN, Weights
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import FORMAT, Meta
from lorebook_daemon.index.search import ALL, Hit, Searcher
from lorebook_daemon.index.searching import Meanings
from lorebook_daemon.index.storage import DATABASE, Damaged, storage
from lorebook_daemon.index.stores import Store, open_store
from lorebook_daemon.index.trace import Trace

T = TypeVar("T")

log = logging.getLogger(__name__)

_TRIES = 5


class _Moved(Exception):
    """While the files of one generation were being read, an indexer went on to the next and deleted them."""


class OpenIndex:
    """One root's index. All methods may be called from any thread; they take turns."""

    def __init__(self, folder: Path, embedder: Embedder | None) -> None:
        self._folder = folder
        self._embedder = embedder
        self._lock = Lock()
        self._file = _identity(folder)
        self._store = _open_store(folder)
        self._meta = Meta()
        self._searcher: Searcher | None = None

    @classmethod
    def open(cls, folder: Path, embedder: Embedder | None) -> OpenIndex:
        """Return the index in `folder` (see `storage.index_folder`).

        Raises NotFound where there is none, or none that was finished, and Unusable where it is damaged.
        """
        index = cls(folder, embedder)
        try:
            index.refresh()
        except BaseException:
            index.close()
            raise
        return index

    def search(
        self,
        query: str,
        k: int,
        filters: Filters = ALL,
        *,
        spread: bool = True,
        weights: Weights = EVEN,
        trace: Trace | None = None,
    ) -> list[Hit]:
        """Return at most `k` passages, best first, from the state that the last indexer committed.

        The rest is as `Searcher.search` has it.
        """
        return self._read(
            lambda searcher: searcher.search(query, k, filters, spread=spread, weights=weights, trace=trace)
        )

    def reach(self, filters: Filters) -> Reach:
        """Return how far filters reach in the last commit. Raises BadRequest for a filter that is none."""
        return self._read(lambda searcher: reach(self._store, filters, _some(searcher, filters)))

    def passages_of(self, path: str) -> list[Passage]:
        """Return a file's passages in its order, none where it is not there, as of the last commit."""
        return self._read(lambda _: self._store.passages_of(path))

    def refresh(self) -> None:
        """Follow the last commit, as `search` does by itself; a fraction of a millisecond where nothing moved."""
        self._read(lambda _: None)

    def info(self) -> RootInfo:
        """Return what the index holds, as of the last `refresh` or `search`; vectors not in use count as none."""
        meta = self._meta
        vectors = meta.vectors if self.retrieval == "hybrid" else 0
        return RootInfo(meta.root, meta.files, meta.passages, vectors, meta.updated)

    @property
    def retrieval(self) -> Literal["hybrid", "lexical"]:
        """By what a search finds: `hybrid` as soon as vectors are used; `info` tells how many passages have one."""
        return "hybrid" if self._searcher is not None and self._searcher.vectors is not None else "lexical"

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._store.close()

    def _read(self, use: Callable[[Searcher], T]) -> T:
        """Return what `use` makes of the last commit, with all its reads from that one state."""
        with self._lock:
            for _ in range(_TRIES):
                try:
                    with storage(self._folder):
                        self._reopen()
                        with self._store.transaction(write=False):
                            return use(self._follow())
                except _Moved:
                    continue
                except Damaged as error:
                    raise _damaged(self._folder, str(error)) from error
        raise _damaged(self._folder, "its files do not stay")

    def _reopen(self) -> None:
        """Open the database again where a damaged one was replaced."""
        if _identity(self._folder) != self._file:
            self._store.close()
            self._file = _identity(self._folder)
            self._store = _open_store(self._folder)
            self._meta, self._searcher = Meta(), None

    def _follow(self) -> Searcher:
        """Return the searcher of the state that the running transaction sees."""
        if self._store.found_format() != FORMAT:
            raise NotFound("The index is of another version's format.", "Make it anew: lorebook index DIR")
        meta = self._store.meta
        if self._searcher is None or meta != self._meta:
            self._searcher = self._load(meta)
            self._meta = meta
        return self._searcher

    def _load(self, meta: Meta) -> Searcher:
        if meta.lexical is None:
            raise NotFound("This folder's index was never finished.", f"Make it: lorebook index {meta.root or 'DIR'}")
        old, searcher = self._meta, self._searcher
        try:
            kept = searcher is not None and old.lexical == meta.lexical
            lexical = searcher.lexical if searcher and kept else self._store.words()
            files = partial(choose, self._store)
            return Searcher(
                lexical, self._load_vectors(meta), self._embedder, self._store.passages, files, self._store.in_files
            )
        except Unusable as error:
            if self._has_moved(meta):
                raise _Moved from error
            raise

    def _load_vectors(self, meta: Meta) -> Meanings | None:
        """Return the vectors; None where there are none yet, none that this embedder made, or none that can be read.

        So where their graph is for another similarity. `info` then counts none, and the indexer makes the file anew
        from the database.
        """
        if meta.nearest is None or self._embedder is None or meta.embedder != self._embedder.identity:
            return None
        if meta.similarity != self._store.similarity:
            return None
        if self._searcher is not None and self._searcher.vectors is not None and self._meta.nearest == meta.nearest:
            return self._searcher.vectors
        try:
            return self._store.nearest()
        except Unusable as error:
            if self._has_moved(meta):
                raise _Moved from error
            log.warning("searching by words alone: %s", error)
            return None

    def _has_moved(self, meta: Meta) -> bool:
        other = _open_store(self._folder)
        try:
            return other.meta.generation != meta.generation
        finally:
            other.close()


def _some(searcher: Searcher, filters: Filters) -> bool:
    among = searcher.among(filters)
    return among is None or bool(among.any())


def _open_store(folder: Path) -> Store:
    try:
        return open_store(folder)
    except Damaged as error:
        raise _damaged(folder, str(error)) from error


def _identity(folder: Path) -> tuple[int, int]:
    """Return what tells this database from another of the same name."""
    try:
        found = (folder / DATABASE).stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _damaged(folder: Path, why: str) -> Unusable:
    return Unusable(f"The index in {folder} is damaged ({why}).", "Make it anew: lorebook index --full DIR")
