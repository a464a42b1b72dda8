"""What reading may take of the machine, and who ends the process that takes more."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one file may take."""

    seconds: float = 90.0
    megabytes: int = 2_000
    """Of memory."""
    look_s: float = 0.25
    """How often that is looked at."""


class Watch:
    """Ends a process, and what it started, where it takes more than it may."""

    def __init__(self, pid: int, bounds: Bounds, family: bool = True) -> None:
        """Begin to look; the memory is that of the process and all that it started, without `family` its own."""
        self._pid, self._bounds, self._family = pid, bounds, family
        self._why = ""
        self._over = threading.Event()
        self.renew()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def renew(self) -> None:
        """Count the seconds from now on: another file was begun."""
        self._until = time.monotonic() + self._bounds.seconds

    def end(self) -> str:
        """Look no more; return why the process was ended, empty where it was not."""
        self._over.set()
        self._thread.join()
        return self._why

    def _look(self) -> None:
        while not self._over.wait(self._bounds.look_s):
            if time.monotonic() > self._until:
                self._why = f"given up after {self._bounds.seconds:g} s"
            elif self._memory() > self._bounds.megabytes * 1024**2:
                self._why = f"given up: it takes more than {self._bounds.megabytes:,} MB of memory to read"
            if self._why:
                kill(self._pid)
                return

    def _memory(self) -> int:
        total = 0
        with suppress(psutil.Error):
            for process in family(self._pid) if self._family else [psutil.Process(self._pid)]:
                with suppress(psutil.Error):
                    total += process.memory_info().rss
        return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process, last, and before it all that it started; nothing where it has ended."""
    with suppress(psutil.Error):
        first = psutil.Process(pid)
        return [*first.children(recursive=True), first]
    return []


def kill(pid: int) -> None:
    """End a process and all that it started."""
    for process in family(pid):
        with suppress(psutil.Error):
            process.kill()
