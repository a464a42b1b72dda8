"""A widget that works in a thread, at one thing at a time: what is begun meanwhile is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from lorebook.channel import State
from lorebook.widget import LorebookWidget
from lorebook_api.errors import Conflict


class WorkingWidget(LorebookWidget):
    """A LorebookWidget with work in hand, or none; `_busy` is how other work is refused: message and hint."""

    _busy = ("This is being done already.", "Wait for its end: .wait()")

    def __init__(self, script: str, state: State, **traits: Any) -> None:
        self._turn = threading.Lock()
        self._running: threading.Thread | None = None
        super().__init__(script, state, **traits)

    def wait(self) -> Self:
        """Return itself when the work in hand has ended."""
        if self._running is not None:
            self._running.join()
        return self

    def _begin(self, start: Callable[[], threading.Thread]) -> None:
        with self._turn:
            if self._running is not None and self._running.is_alive():
                raise Conflict(*self._busy)
            self._running = start()
