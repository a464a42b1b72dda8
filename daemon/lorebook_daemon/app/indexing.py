"""One run of the indexer over one root, which several requests may wait for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator

from lorebook_api.errors import Cancelled
from lorebook_api.schema import IndexReport, Progress
from lorebook_daemon.app.engines import Report

log = logging.getLogger(__name__)

Events = AsyncGenerator[Progress | IndexReport, None]
"""What an indexer says: progress, the report once words can be searched, then progress until meanings can be too."""


class IndexRun:
    """Runs in the background from its making on; a waiter that gives up does not end it, `cancel` does."""

    def __init__(self, events: Events, indexed: Callable[[], None], over: Callable[[IndexRun], None]) -> None:
        """Start the run; `indexed` is called once words can be searched, `over` once it has ended, however it did."""
        self._events = events
        self._tell_indexed = indexed
        self._listeners: list[Report] = []
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
                    for listener in list(self._listeners):
                        listener(event)

    def _conclude(self, task: asyncio.Task[None]) -> None:
        error = Cancelled("The indexing was taken back.") if task.cancelled() else task.exception()
        if not self._indexed.done():
            self._indexed.set_exception(error or Cancelled("The indexer ended without a report."))
            self._indexed.exception()  # seen: a run that nobody waits for may fail without a second complaint
        if error is not None and not isinstance(error, Cancelled):
            log.warning("indexing failed: %s", error)
        self._over(self)
