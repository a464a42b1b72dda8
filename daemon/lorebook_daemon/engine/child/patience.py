"""Gives up on a call that does not end: a grammar can keep llama.cpp busy for years over one token."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lorebook_api.errors import BadRequest

T = TypeVar("T")


class Patience:
    """Makes calls on a thread of their own, one at a time, and waits only so long for each."""

    def __init__(self, seconds: float) -> None:
        """Wait `seconds` for a call."""
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1)
        self.lost = False
        """Whether a call was given up. It keeps a core, and what was handed to it, as long as the process lives."""

    def ask(self, call: Callable[[], T]) -> T:
        """Return what a call returns; raises what it raises, and BadRequest where it takes too long."""
        made = self._thread.submit(call)
        try:
            return made.result(self._seconds)
        except TimeoutError:
            if made.done():
                raise
        self.lost = True
        self._thread = ThreadPoolExecutor(1)
        raise BadRequest(
            "the grammar leaves so many ways open that the next token cannot be found.",
            "Do not repeat what may be empty; write the repetition outside of it.",
        )
