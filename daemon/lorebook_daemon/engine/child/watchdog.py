"""Notices a step that never ends: a grammar can keep llama.cpp busy for years over one letter, and nothing stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Watchdog(Generic[T]):
    """Watches one thread, which says what it is at; tells another's hand where that takes too long."""

    def __init__(self, seconds: float, stuck: Callable[[T], None]) -> None:
        """Call `stuck`, on a thread of its own, with what has taken more than `seconds`; once for each."""
        self._seconds, self._stuck = seconds, stuck
        self._since: tuple[T, float] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def watching(self, what: T) -> Iterator[None]:
        """Watch what happens inside."""
        self._since = (what, time.monotonic())
        try:
            yield
        finally:
            self._since = None

    def _watch(self) -> None:
        told = None
        while True:
            time.sleep(self._seconds / 10)
            since = self._since
            if since and since is not told and time.monotonic() - since[1] > self._seconds:
                told = since
                self._stuck(since[0])
