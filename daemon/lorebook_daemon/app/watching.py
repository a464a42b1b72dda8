"""Roots whose changes are followed as they happen: served ones, those open in an editor, those a client watches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorebook_api.errors import LorebookError, NotFound
from lorebook_api.indexing import IndexReport, RootNotice
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.walk import in_reach
from lorebook_daemon.index.watch import Batches, Paths, Say, watch

log = logging.getLogger(__name__)

Hear = Callable[[IndexReport | RootNotice], None]
"""Takes what happens to a root: the report of each change, and what else a person should know."""

_AGAIN_S = 3.0
_LONGEST_PAUSE_S = 5.0
_AT_ONCE_S = 0.2


@dataclass
class _Watched:
    """A root that is watched, by how many, and who hears of it."""

    task: asyncio.Task[None]
    wanted: int = 0
    hearers: list[Hear] = field(default_factory=list)


class Watching:
    """Watches roots for as long as somebody wants it, and brings their indexes up to date."""

    def __init__(self, roots: Roots, watch: Callable[[Path, Say], Batches] = watch) -> None:
        self._roots = roots
        self._watch = watch
        self._watched: dict[Path, _Watched] = {}

    def roots(self) -> tuple[str, ...]:
        """Return the roots that are watched now."""
        return tuple(str(root) for root in self._watched)

    def keep(self, root: Path) -> None:
        """Watch `root` until as many have left it as wanted it."""
        if root not in self._watched:
            self._watched[root] = _Watched(asyncio.create_task(self._follow(root)))
            self._roots.stay_ready(True)
        self._watched[root].wanted += 1

    async def leave(self, root: Path) -> None:
        """Want it no longer; nothing happens where nobody does."""
        watched = self._watched.get(root)
        if watched is None:
            return
        watched.wanted -= 1
        if watched.wanted <= 0:
            del self._watched[root]
            await self._end(root, watched)
        if not self._watched:
            self._roots.stay_ready(False)

    @contextlib.contextmanager
    def heard_by(self, root: Path, hear: Hear) -> Iterator[None]:
        """Tell `hear` what happens to a root that is kept, for the block."""
        hearers = self._watched[root].hearers
        hearers.append(hear)
        try:
            yield
        finally:
            hearers.remove(hear)

    async def close(self) -> None:
        """Watch nothing any more."""
        while self._watched:
            await self._end(*self._watched.popitem())

    async def _end(self, root: Path, watched: _Watched) -> None:
        self._roots.unfollow(root)
        watched.task.cancel()
        await asyncio.gather(watched.task, return_exceptions=True)

    async def _follow(self, root: Path) -> None:
        """Bring the index up to date after each batch; an unforeseen failure ends neither the watch nor the daemon."""
        while True:
            try:
                async with contextlib.aclosing(self._watch(root, lambda text: self._say(root, text))) as batches:
                    await self._follow_all(root, batches)
            except Exception:
                log.exception("watching %s failed", root)
            self._roots.unfollow(root)
            await asyncio.sleep(_AGAIN_S)

    async def _follow_all(self, root: Path, batches: Batches) -> None:
        ended = 0.0
        async for batch in batches:
            begun = time.monotonic()
            await self._catch_up(root, batch)
            before, ended = ended, time.monotonic()
            if begun - before < _AT_ONCE_S:  # a root that changes all the time gets half of the attention at most
                await asyncio.sleep(min(_LONGEST_PAUSE_S, ended - begun))

    async def _catch_up(self, root: Path, batch: Paths | None) -> None:
        """Follow what happened; what cannot be done now is done a moment later, then by looking everywhere."""
        if batch is not None and not await self._reaches(root, batch):
            return
        said = ""
        while True:
            try:
                report = await self._roots.follow(root, batch)
            except NotFound as error:  # the watch waits for it to come back
                self._say(root, str(error))
                return
            except LorebookError as error:
                if str(error) != said:
                    self._say(root, said := str(error))
                batch = None
                await asyncio.sleep(_AGAIN_S)
                continue
            if report.changes or said:
                self._tell(root, report)
            return

    async def _reaches(self, root: Path, batch: Paths) -> bool:
        try:
            return await asyncio.to_thread(in_reach, root, Area.of(batch))
        except LorebookError:
            return True  # `_catch_up` meets it again, and says it

    def _say(self, root: Path, text: str) -> None:
        log.info("%s", text)
        self._tell(root, RootNotice(str(root), text))

    def _tell(self, root: Path, what: IndexReport | RootNotice) -> None:
        watched = self._watched.get(root)
        for hear in list(watched.hearers) if watched else ():
            hear(what)
