"""Has passages read before they are asked about, while nobody asks and the machine has time to spare.

Where questions are written ahead, those of the passages that were read follow.

First those that earlier questions found (the first of them were read then, the others not), then those of the notebook
that is open, then those of files that changed lately. All are read as `answer` reads them, under no adapter. What was
read of passages that went is forgotten in the same loop, so that no passage is read again that is just being forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lorebook_api.errors import EngineDied, LorebookError
from lorebook_api.home import Home
from lorebook_daemon.answer.prompts import passage_text, stated_prompt
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.app.engines import Engines, LoadedEngine, Spare
from lorebook_daemon.app.forgetting import Forgetter, text_of
from lorebook_daemon.app.sparetime import time_to_spare
from lorebook_daemon.app.writing_ahead import Ahead
from lorebook_daemon.engine.kvplace import KvUse, kv_bounds, kv_bytes_per_token, kv_use
from lorebook_daemon.engine.protocol import Engine, Prompt
from lorebook_daemon.index.lately import passages_of, recent_passages
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

_QUIET_S = 2.0
"""So long nobody asked, and the machine was idle, before the first passage is read; then before each:"""
_PAUSE_S = 0.2
_AGAIN_S = 5.0
"""After so long it is looked again whether there is time now."""
_GLANCE_S = 30.0
"""And after so long, where nothing is left to do, whether another engine is there that has read nothing yet."""
_FOUND = 64
"""Passages that questions found, the latest first."""
_NOTEBOOKS = 2
_ROOTS = 8
_LATELY_NS = 7 * 24 * 3600 * 10**9
_RECENT = 200
"""Passages of files changed within that time, of each root."""
_AT_ONCE = 32
"""Passages whose tokens are counted at once."""
_SHARE = 2
"""Of the memory for kept passages, one part in so many is filled ahead."""


@dataclass(frozen=True)
class Noting:
    """A Retriever that tells what it found."""

    retriever: Retriever
    tell: Callable[[Sequence[RootHit]], None]

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return what the retriever finds."""
        found = await self.retriever.retrieve(query, k)
        self.tell(found.hits)
        return found


class Warmer:
    """Knows what is worth reading, and has it read; `run` never ends by itself."""

    def __init__(
        self,
        engines: Engines,
        home: Home,
        settings: Settings,
        idle: Callable[[], bool] = time_to_spare,
        ahead: Ahead | None = None,
    ) -> None:
        """Take `idle` for whether the machine had time to spare since that was called last.

        `ahead` writes questions; without it none are written.
        """
        self._engines, self._home, self._settings, self._idle = engines, home, settings, idle
        self._ahead = ahead
        self._forgetter = Forgetter(engines, home)
        self._reads = settings.kv_reuse == "blocks" and settings.engine == "llama"
        self._news = asyncio.Event()
        self._found: OrderedDict[str, None] = OrderedDict()
        self._notebooks: OrderedDict[tuple[Path, str], None] = OrderedDict()
        self._roots: OrderedDict[Path, None] = OrderedDict()
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._refused: set[str] = set()
        self._engine: Engine | None = None
        self._plan: list[str] = []
        self._stale = True
        self._died = False

    def noting(self, retriever: Retriever) -> Retriever:
        """Return a retriever whose passages are worth reading from then on."""
        return Noting(retriever, self._note_found)

    def foreseeing(self, retriever: Retriever) -> Retriever:
        """Return a retriever that looks at the questions written ahead, where there are any."""
        return self._ahead.looked_at(retriever) if self._ahead else retriever

    def opened(self, root: Path, path: str) -> None:
        """Note the notebook (or file) that the person has open, by its path in `root`."""
        _put_last(self._notebooks, (root, path), _NOTEBOOKS)
        self._tell()

    def indexed(self, root: Path) -> None:
        """Note that the index of `root` is up to date, and that passages may have gone from it."""
        _put_last(self._roots, root, _ROOTS)
        self._forgetter.indexed(root)
        self._tell()

    def emptied(self, root: Path, splitter: str) -> None:
        """Note that passages may have gone from the index of `root` that was made for another splitter."""
        self._forgetter.indexed(root, splitter)
        self._tell()

    def kept(self) -> KvUse:
        """Return how much of what was read is kept, and how much may be. Blocking, some milliseconds."""
        return kv_use(self._settings, self._home)

    async def run(self) -> None:
        """Forget and read until the task is cancelled."""
        while True:
            self._news.clear()
            try:
                pause_s = _AGAIN_S if await self._work() else _GLANCE_S
            except LorebookError as error:
                log.warning("reading ahead failed: %s", error)
                pause_s = _GLANCE_S
            except Exception:  # nobody waits for this work, so nobody else would hear of it
                log.exception("reading ahead failed")
                pause_s = _GLANCE_S
            await _within(pause_s, self._news.wait())

    async def _work(self) -> bool:
        """Forget, then read; return whether some was left because there is no time for it now."""
        if await self._forgetter.forget():
            self._found.clear()  # some of these may have gone; what is still there is soon found again
            self._stale = True
        left = self._reads and not self._died and await self._read_ahead()
        return left or self._forgetter.pending

    def _note_found(self, hits: Sequence[RootHit]) -> None:
        for hit in reversed(hits):  # the best one last
            _put_last(self._found, passage_text(hit), _FOUND)
            _put_last(self._roots, Path(hit.root), _ROOTS)
        self._died = False
        self._tell()

    def _tell(self) -> None:
        self._stale = True
        self._news.set()

    # -- reading

    async def _read_ahead(self) -> bool:
        """Read one passage after the other while nobody asks; return whether some was left."""
        async with self._engines.spare() as spare:
            if spare is None:
                return self._engines.depth > 0
            if spare.engine is self._engine and not self._stale and not self._left() and not self._unwritten():
                return False
            if not await self._calm(_QUIET_S):
                return True
            for text in await self._planned(spare):
                if self._stale or not await self._calm(_PAUSE_S) or not await self._warm(spare.engine, text):
                    return True
            return await self._write_ahead(spare.engine)

    async def _write_ahead(self, engine: LoadedEngine) -> bool:
        """Have questions of one passage after the other written while nobody asks; return whether some were left."""
        if self._ahead is None or not self._unwritten():
            return False
        missing = set(await self._ahead.missing(self._unwritten()))
        for text in self._unwritten():
            if text not in missing:
                self._written.add(text)
            elif self._stale or not await self._calm(_PAUSE_S) or not await self._write(self._ahead, engine, text):
                return True
        return False

    async def _calm(self, for_s: float) -> bool:
        """Return whether, for so long from now on, nobody wants the engine and the machine has time to spare."""
        self._idle()
        return not await _within(for_s, self._engines.wanted()) and self._idle()

    async def _warm(self, engine: LoadedEngine, text: str) -> bool:
        """Have a passage read, unless somebody wants the engine meanwhile; return whether it was done with."""
        return await self._done(text, engine.warm([_prompt(text)]), self._read)

    async def _write(self, ahead: Ahead, engine: LoadedEngine, text: str) -> bool:
        """Have a passage's questions written, likewise."""
        return await self._done(text, ahead.write(engine, text), self._written)

    async def _done(self, text: str, work: Coroutine[Any, Any, object], done: set[str]) -> bool:
        working = asyncio.create_task(work)
        wanted = asyncio.create_task(self._engines.wanted())
        try:
            await asyncio.wait({working, wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            wanted.cancel()
            ended, _ = await asyncio.gather(working, wanted, return_exceptions=True)
        if isinstance(ended, asyncio.CancelledError):
            return False
        if isinstance(ended, LorebookError):
            log.info("a passage could not be read ahead: %s", ended)
            self._refused.add(text)
            self._died = isinstance(ended, EngineDied)  # the next question starts it again, not this
            return not self._died
        if isinstance(ended, BaseException):
            raise ended
        done.add(text)
        return True

    # -- what to read

    async def _planned(self, spare: Spare) -> list[str]:
        """Return what is still to be read, in order, after news from a new plan."""
        if spare.engine is not self._engine:
            self._engine, self._stale = spare.engine, True
            self._read.clear()
        if self._stale:
            self._stale = False  # what is told from here on makes it so again
            try:
                self._plan = await self._made_plan(spare)
            except BaseException:
                self._stale = True
                raise
        return self._left()

    def _left(self) -> list[str]:
        return [text for text in self._plan if text not in self._read and text not in self._refused]

    def _unwritten(self) -> list[str]:
        """Return the passages whose questions are still to be written, in order; none where none are written."""
        plan = self._plan if self._ahead else ()
        return [text for text in plan if text not in self._written and text not in self._refused]

    async def _made_plan(self, spare: Spare) -> list[str]:
        found, notebooks, roots = list(self._found), list(self._notebooks), list(self._roots)
        texts = await asyncio.to_thread(lambda: list(dict.fromkeys(self._worth(found, notebooks, roots))))
        self._read &= set(texts)
        self._written &= set(texts)
        self._refused &= set(texts)
        return await self._fitting(texts, spare)

    async def _fitting(self, texts: Sequence[str], spare: Spare) -> list[str]:
        """Return the first of the passages, as many as there is room for."""
        room = await asyncio.to_thread(self._room, spare.model)
        fitting: list[str] = []
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            for text, size in zip(some, await spare.engine.count([_prompt(text) for text in some]), strict=True):
                room -= sum(size.passages)
                if room < 0:
                    return fitting
                fitting.append(text)
        return fitting

    def _worth(
        self, found: Sequence[str], notebooks: Sequence[tuple[Path, str]], roots: Sequence[Path]
    ) -> Iterator[str]:
        """Yield the passages that may be asked about as the model reads them, the likeliest first; some twice."""
        yield from reversed(found)
        cache = self._home.cache
        for root, path in reversed(notebooks):
            yield from map(text_of, passages_of(index_folder(cache, root), path))
        since_ns = time.time_ns() - _LATELY_NS
        recent = [each for root in roots for each in recent_passages(index_folder(cache, root), since_ns, _RECENT)]
        for _, passage in sorted(recent, key=lambda each: -each[0]):
            yield text_of(passage)

    def _room(self, model: LocalModel) -> int:
        """Return how many tokens may be read ahead; none for a model whose file does not tell what they take."""
        try:
            each = kv_bytes_per_token(model.path)
        except LorebookError as error:
            log.warning("nothing is read ahead: %s", error)
            return 0
        memory = kv_bounds(self._settings, self._home).memory_mb << 20
        return memory // _SHARE // each if each else 0


def _prompt(text: str) -> Prompt:
    """Return a prompt that reads a passage under the very head that answers read it under."""
    return stated_prompt("", text)


async def _within(seconds: float, happens: Awaitable[object]) -> bool:
    """Wait for something so long at the most; return whether it came.

    Not by `asyncio.wait_for`: before Python 3.12 it may lose a cancellation that comes at that very moment.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await happens
            return True
    return False


def _put_last(things: OrderedDict[T, None], thing: T, most: int) -> None:
    """Put a thing at the end, once; what is over the bound goes from the start."""
    things.pop(thing, None)
    things[thing] = None
    while len(things) > most:
        things.popitem(last=False)
