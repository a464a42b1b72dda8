"""How fast work may go that nobody waits for: held for a while, or within a share of one processor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lorebook_daemon.index.spent import Spent


class Pace:
    """Stands between two pieces of work; `hold` and `go_on` may be called from another thread."""

    def __init__(self, clock: Callable[[], float] | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take `clock` for the processor's time that was used so far, in seconds; by default all of ours (`Spent`)."""
        self._clock = clock or Spent()
        self._sleep = sleep
        self._may_go = threading.Event()
        self._may_go.set()
        self._percent = 100
        self._last = 0.0

    def limit(self, percent: int) -> None:
        """Keep to so many percent of one processor from now on; 100 is no limit."""
        self._percent = percent
        self._last = self._clock() if percent < 100 else 0.0

    def hold(self) -> None:
        """Let no further piece of work begin."""
        self._may_go.clear()

    def go_on(self) -> None:
        """Let work go on."""
        self._may_go.set()

    def keep(self) -> None:
        """Return when the next piece of work may begin."""
        self._may_go.wait()
        if self._percent == 100:
            return
        now = self._clock()
        self._sleep((now - self._last) * (100 / self._percent - 1))
        self._last = now  # what is used meanwhile, by a process beside this one, counts the next time
