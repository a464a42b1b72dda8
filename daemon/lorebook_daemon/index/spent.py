"""The processor's time that this process has had, and those that it started."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

_LOOK_S = 0.25  # to look for all processes takes some milliseconds


class Spent:
    """A clock of that time, in seconds; it is looked at four times a second at most, and never goes back.

    Those that have ended count with what they had when they were last seen. Where the system tells what those had that
    a process waited for, as Linux does, that is told instead where it is more.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        self._spent = 0.0
        self._looked = float("-inf")

    def __call__(self) -> float:
        """Return the seconds so far."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._spent = max(self._spent, self._look())
        return self._spent

    def _look(self) -> float:
        told = 0.0
        own = psutil.Process()
        for process in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):  # it ended just now
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
                told += sum((times.user, times.system, times.children_user, times.children_system))
        return max(told, sum(self._seen.values()))
