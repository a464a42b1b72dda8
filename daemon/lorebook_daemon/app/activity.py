"""Whether the daemon is in use, so that it can end itself when it is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GLANCE_SECONDS = 15.0
"""How often at most to look whether the idle time is over."""


class Activity:
    """Counts work in hand and knows when the last of it ended (seconds of the given monotonic clock)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._in_hand = 0
        self._begun = clock()
        self._last = self._begun

    @property
    def uptime_s(self) -> float:
        """Seconds since the daemon came up."""
        return self._clock() - self._begun

    @property
    def idle_s(self) -> float:
        """Seconds since the last work ended; 0 while some is in hand."""
        return 0.0 if self._in_hand else self._clock() - self._last

    def begin(self) -> None:
        """Count one more piece of work; each is followed by one `end`."""
        self._in_hand += 1

    def end(self) -> None:
        """Count one piece of work less."""
        self._in_hand -= 1
        self._last = self._clock()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the block as work."""
        self.begin()
        try:
            yield
        finally:
            self.end()


async def until_idle(activity: Activity, limit_s: float) -> None:
    """Return once there was no work for `limit_s` seconds; never where that is 0."""
    if limit_s <= 0:
        await asyncio.Event().wait()
    while activity.idle_s < limit_s:
        await asyncio.sleep(min(_GLANCE_SECONDS, max(0.05, limit_s - activity.idle_s)))
