"""The index room, as it is handed to `Roots`: one embedder for all questions, workers for the indexing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from lorebook_api.errors import LorebookError, NotFound, Unusable
from lorebook_api.home import Home
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.indexing import Events
from lorebook_daemon.app.opened import Index
from lorebook_daemon.app.roots import Indexes, NamedEmbedder
from lorebook_daemon.app.threads import in_thread
from lorebook_daemon.index.embed import EMBEDDERS
from lorebook_daemon.index.indexer import Indexer
from lorebook_daemon.index.lately import cut_cache, cut_caches, index_folders
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.stores import Choice, choose
from lorebook_daemon.index.unsaved import Unsaved, drop_all_unsaved, drop_unsaved, keep_unsaved
from lorebook_daemon.index.update import empty, is_stale
from lorebook_daemon.models.pull import ensure_embedder
from lorebook_daemon.settings import Settings


class _Room:
    """Holds the embedder and the indexer that goes with it."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._preparing = asyncio.Lock()
        self._embedder: NamedEmbedder | None = None
        self._indexer = Indexer(home.cache, None, settings.max_file_mb, settings.index_cpu_percent, settings.splitter)
        self._failure: LorebookError | None = None

    async def prepare(self, report: Report) -> None:
        """Bring and load the embedder. After a failure it is only looked for on this machine."""
        async with self._preparing:
            if self._embedder is not None:
                return
            offline = self._settings.offline or self._failure is not None
            try:
                model = await in_thread(lambda relay: ensure_embedder(self._home, relay, offline), report)
                embedder = await asyncio.to_thread(EMBEDDERS[model.name], model.path)
            except LorebookError as error:
                self._failure = self._failure or error
                return
            self._embedder, self._failure = NamedEmbedder(model.name, embedder), None
            self._indexer.embedder_folder = model.path

    def lacking(self) -> str:
        return "" if self._failure is None else f"Search goes by words alone, not by meaning: {self._failure}"

    async def embedder(self, report: Report) -> NamedEmbedder:
        await self.prepare(report)
        if self._embedder is None:
            raise self._failure or NotFound("There is no embedder.", "Bring it: lorebook models pull minilm")
        return self._embedder

    def open(self, root: Path) -> Index | None:
        embedder = None if self._embedder is None else self._embedder.embedder
        try:
            return OpenIndex.open(self._folder(root), embedder)
        except (NotFound, Unusable):  # none, or a damaged one, which the indexer makes anew and says so
            return None

    def stale(self, root: Path) -> int:
        return is_stale(root, self._folder(root), self._settings.splitter)

    def run(self, root: Path, full: bool, paths: Collection[str] | None) -> Events:
        return self._indexer.run(root, full, paths)

    def hold(self, root: Path, held: bool) -> None:
        self._indexer.hold(root, held)

    def stay_ready(self, ready: bool) -> None:
        self._indexer.stay_ready(ready)

    def put_unsaved(self, root: Path, path: str, text: str) -> None:
        found = (root / path).lstat()
        on_disk = (found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        keep_unsaved(self._folder(root), Unsaved(path, on_disk, time.time_ns(), text))

    def drop_unsaved(self, root: Path, path: str) -> bool:
        return drop_unsaved(self._folder(root), path)

    def empty(self, root: Path) -> bool:
        return empty(root, self._folder(root))

    async def close(self) -> None:
        await self._indexer.close()

    def _folder(self, root: Path) -> Path:
        return index_folder(self._home.cache, root)


def indexes_cut(home: Home, settings: Settings, splitter: str) -> Indexes:
    """Return the functions over indexes whose files are cut by another splitter; who is done with one empties it."""
    cache = cut_cache(home.cache, splitter)
    return indexes_at(replace(home, cache=cache), replace(settings, splitter=splitter, store="sqlite"))


def indexes_at(home: Home, settings: Settings) -> Indexes:
    """Return the functions over the indexes of `home`."""
    url = settings.store_url if settings.store == "postgres" else ""
    choose(home.cache, Choice(settings.store, url, settings.similarity))
    room = _Room(home, settings)
    for folder in index_folders(home.cache):
        drop_all_unsaved(folder)  # of an earlier daemon: the editors may have been closed since
    for cache in cut_caches(home.cache):
        for folder in index_folders(cache):
            empty(folder, folder)  # of one that was killed while it measured
    return Indexes(
        open=room.open,
        stale=room.stale,
        run=room.run,
        hold=room.hold,
        stay_ready=room.stay_ready,
        put_unsaved=room.put_unsaved,
        drop_unsaved=room.drop_unsaved,
        empty=room.empty,
        prepare=room.prepare,
        lacking=room.lacking,
        embedder=room.embedder,
        close=room.close,
    )
