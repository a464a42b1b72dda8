"""What was read of a passage goes when the passage goes: nothing of a deleted file stays in memory or on disk."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from lorebook_api.errors import LorebookError
from lorebook_api.home import Home
from lorebook_daemon.answer.doc2query import drop_questions
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.engine.diskblocks import drop_all_files, drop_files, passage_digest
from lorebook_daemon.engine.kvplace import kv_root
from lorebook_daemon.index.lately import cut_cache, cut_caches, gone_passages, index_folders, settle
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import Gone
from lorebook_daemon.index.storage import index_folder

log = logging.getLogger(__name__)


def text_of(passage: Passage) -> str:
    """Return a passage as the model reads it, which is what its KV goes by; a root has no part in it."""
    return passage_text(RootHit("", passage, 0.0))


class Forgetter:
    """Follows the lists that the indexes keep of passages that went, each until nothing is left of them."""

    def __init__(self, engines: Engines, home: Home) -> None:
        self._engines = engines
        self._home = home
        self._pending: set[Path] = set()
        self._begun = False

    def indexed(self, root: Path, splitter: str = "") -> None:
        """Note that passages of `root` may have gone, from the index of its own that a splitter has if one is named."""
        cache = cut_cache(self._home.cache, splitter) if splitter else self._home.cache
        self._pending.add(index_folder(cache, root))

    @property
    def pending(self) -> bool:
        """Whether there may be something to forget."""
        return bool(self._pending)

    async def forget(self) -> bool:
        """Drop what was read of the passages that went; return whether there were any.

        While a request uses an engine nothing is dropped, and it stays `pending`: one that found a passage before it
        went would have it read again.
        """
        if not self._begun:  # an earlier daemon may have ended between an update and what follows it
            for cache in (self._home.cache, *cut_caches(self._home.cache)):
                self._pending |= set(await asyncio.to_thread(index_folders, cache))
            self._begun = True
        some = False
        for folder in sorted(self._pending):
            self._pending.discard(folder)
            try:
                while gone := await asyncio.to_thread(gone_passages, folder):
                    if not (await self._drop(gone) and await asyncio.to_thread(settle, folder, gone)):
                        self._pending.add(folder)
                        break
                    some = True
            except BaseException:
                self._pending.add(folder)
                raise
        return some

    async def _drop(self, gone: Gone) -> bool:
        """Drop these passages, from the memory of the engine and from the disk; False while somebody uses an engine."""
        texts = [text_of(passage) for passage in gone.passages]
        async with self._engines.spare() as spare:
            if spare is None and (self._engines.depth or self._engines.state != "none"):
                return False
            dropped = 0
            if spare is not None:
                try:
                    dropped = await spare.engine.forget(texts)
                except LorebookError as error:  # its memory went with it
                    log.warning("the engine could not forget what it read: %s", error)
            dropped += await asyncio.to_thread(self._drop_files, texts, gone.everything)
        if dropped:
            log.info("dropped %s readings of passages that are gone", dropped)
        return True

    def _drop_files(self, texts: list[str], everything: bool) -> int:
        """Delete what lies on disk, of all models, and the questions written ahead; return how many files of KV."""
        drop_questions(self._home.cache, None if everything else texts)
        root = kv_root(self._home)
        if everything:
            return len(drop_all_files(root))
        return len(drop_files(root, {passage_digest(text) for text in texts}))
