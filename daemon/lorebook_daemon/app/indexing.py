"""One run of the indexer over one root, which several requests may wait for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator

from lorebook_api.errors import Cancelled
from lorebook_api.indexing import Indexing, IndexReport, Progress
from lorebook_daemon.app.engines import Report

log = logging.getLogger(__name__)

_FEW = 64
_GRACE_S = 0.3

Events = AsyncGenerator[Progress | IndexReport, None]
"""What an indexer says: progress, the report once words can be searched, then progress until meanings can be too."""


class IndexRun:
    """Runs in the background from its making on; a waiter that gives up does not end it, `cancel` does."""

    def __init__(
        self,
        events: Events,
        indexed: Callable[[], None],
        over: Callable[[IndexRun], None],
        before: IndexRun | None = None,
    ) -> None:
        """Start the run; `indexed` is called once words can be searched, `over` once it has ended, however it did.

        It takes over who listens to the run `before` it, which gave way to it.
        """
        self._events = events
        self._tell_indexed = indexed
        self._listeners: list[Report] = before._listeners if before else []
        self._heir: asyncio.Future[IndexRun] | None = None
        if before is not None:
            before.leave_to(self)
        self._progress = Progress("looking for changes")
        self._begun = time.monotonic()
        self._held = ""
        self._news = asyncio.Event()
        self._indexed: asyncio.Future[IndexReport] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._drain())
        self._task.add_done_callback(self._conclude)
        self._over = over

    @property
    def searchable(self) -> bool:
        """Whether the report is there: only vectors are still to come."""
        return self._indexed.done()

    @property
    def waiters(self) -> int:
        """How many requests listen to it."""
        return len(self._listeners)

    @contextlib.contextmanager
    def heard_by(self, report: Report) -> Iterator[None]:
        """Pass progress on to `report` for the block."""
        self._listeners.append(report)
        try:
            yield
        finally:
            self._listeners.remove(report)

    async def report(self) -> IndexReport:
        """Wait until words can be searched; raises what the indexer failed with."""
        return await asyncio.shield(self._indexed)

    async def finished(self) -> None:
        """Wait until the vectors are there too; raises what the indexer failed with."""
        await asyncio.wait([self._task])  # awaiting the task itself would cancel the waiter along with it
        if self._task.cancelled():
            raise Cancelled("The indexing was taken back.")
        self._task.result()

    async def settled(self) -> None:
        """Wait until the vectors are there too, whichever run makes them; raises what the last one failed with."""
        run = self
        while True:
            await asyncio.wait([run._task])
            if run._heir is None:
                return await run.finished()
            run = await asyncio.shield(run._heir)

    async def give_way(self) -> None:
        """End the run for another one, which is told by `leave_to` and goes on where this one was.

        The few vectors of a saved file come to their end: to begin anew would take longer.
        """
        self._heir = asyncio.get_running_loop().create_future()
        if self._progress.total <= _FEW:
            await asyncio.wait([self._task], timeout=_GRACE_S)
        await self.cancel()

    def leave_to(self, heir: IndexRun) -> None:
        """Name the run that whoever waits for this one waits for now."""
        if self._heir is not None and not self._heir.done():
            self._heir.set_result(heir)

    async def finished_or_held(self) -> None:
        """Wait as `finished` does, but not for a run that is made to wait."""
        while not self._held and not self._task.done():
            self._news.clear()
            news = asyncio.create_task(self._news.wait())
            try:
                await asyncio.wait([self._task, news], return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
        if not self._held:
            await self.finished()

    @property
    def held(self) -> str:
        """Why the run waits; empty where it does not."""
        return self._held

    @held.setter
    def held(self, why: str) -> None:
        self._held = why
        self._news.set()

    def work(self, root: str) -> Indexing:
        """Return how far the run is, and how long what it is doing now will take."""
        done, total = self._progress.done, self._progress.total
        spent = time.monotonic() - self._begun
        left = spent / done * (total - done) if 0 < done <= total and not self._held else None
        return Indexing(root, self._progress, None if left is None else round(left, 1), self._held)

    async def cancel(self) -> None:
        """End the run; what it had written stays and is whole."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _drain(self) -> None:
        async with contextlib.aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, IndexReport):
                    self._indexed.set_result(event)
                    self._tell_indexed()
                else:
                    self._note(event)
                    for listener in list(self._listeners):
                        listener(event)

    def _note(self, progress: Progress) -> None:
        if progress.what != self._progress.what:
            self._begun = time.monotonic()
        self._progress = progress

    def _conclude(self, task: asyncio.Task[None]) -> None:
        error = Cancelled("The indexing was taken back.") if task.cancelled() else task.exception()
        if not self._indexed.done():
            self._indexed.set_exception(error or Cancelled("The indexer ended without a report."))
            self._indexed.exception()  # seen: a run that nobody waits for may fail without a second complaint
        if error is not None and not isinstance(error, Cancelled):
            log.warning("indexing failed: %s", error)
        self._over(self)
