"""The line in front of the engine: one at a time, asks first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first: a lower number before a higher one, in order of arrival within a number."""

    ask = 0
    other = 1


@dataclass(order=True)
class _Place:
    """A place in the line, ordered by priority, then by arrival."""

    priority: Priority
    arrival: int
    request_id: str = field(compare=False)
    called: asyncio.Future[None] = field(compare=False)


class Queue:
    """Hands the engine to one request at a time; cancelling the task that waits takes its place out of the line."""

    def __init__(self) -> None:
        self._line: list[_Place] = []
        self._arrivals = 0
        self._holder: str | None = None

    @property
    def depth(self) -> int:
        """How many requests hold the engine or wait for it."""
        return len(self._line) + (self._holder is not None)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The ids of the requests that wait, the next one first."""
        return tuple(place.request_id for place in sorted(self._line))

    @asynccontextmanager
    async def turn(self, priority: Priority, request_id: str) -> AsyncIterator[None]:
        """Wait for this request's turn and hold the engine until the block is left."""
        await self._wait(priority, request_id)
        try:
            yield
        finally:
            self._call_next()

    async def _wait(self, priority: Priority, request_id: str) -> None:
        if self._holder is None:
            self._holder = request_id
            return
        self._arrivals += 1
        place = _Place(priority, self._arrivals, request_id, asyncio.get_running_loop().create_future())
        heapq.heappush(self._line, place)
        try:
            await place.called
        except asyncio.CancelledError:
            self._leave(place)
            raise

    def _leave(self, place: _Place) -> None:
        if place in self._line:
            self._line.remove(place)
            heapq.heapify(self._line)
        elif place.called.done() and not place.called.cancelled():
            # Called and cancelled in the same turn of the loop: the engine must go on to the next.
            self._call_next()

    def _call_next(self) -> None:
        self._holder = None
        while self._line and self._holder is None:
            place = heapq.heappop(self._line)
            if not place.called.done():  # else cancelled, and its task has not run yet
                self._holder = place.request_id
                place.called.set_result(None)
