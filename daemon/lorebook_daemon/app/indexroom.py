"""The index room, as it is handed to `Roots`: one embedder for all questions, workers for the indexing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lorebook_api.errors import LorebookError, NotFound, Unusable
from lorebook_api.home import Home
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.indexing import Events
from lorebook_daemon.app.roots import Index, Indexes, NamedEmbedder
from lorebook_daemon.app.threads import in_thread
from lorebook_daemon.index.embed import EMBEDDERS
from lorebook_daemon.index.indexer import Indexer
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.update import is_stale
from lorebook_daemon.models.pull import ensure_embedder
from lorebook_daemon.settings import Settings


class _Room:
    """Holds the embedder and the indexer that goes with it."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._preparing = asyncio.Lock()
        self._embedder: NamedEmbedder | None = None
        self._indexer = Indexer(home.cache, None, settings.max_file_mb)
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
            self._indexer = Indexer(self._home.cache, model.path, self._settings.max_file_mb)

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
        return is_stale(root, self._folder(root))

    def run(self, root: Path, full: bool) -> Events:
        return self._indexer.run(root, full)

    def _folder(self, root: Path) -> Path:
        return index_folder(self._home.cache, root)


def indexes_at(home: Home, settings: Settings) -> Indexes:
    """Return the functions over the indexes of `home`."""
    room = _Room(home, settings)
    return Indexes(room.open, room.stale, room.run, room.prepare, room.lacking, room.embedder)
