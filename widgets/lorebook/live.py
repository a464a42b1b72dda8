"""One place in a cell's output that changes while an answer is made."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from lorebook_api.markdown import plain, prose

UPDATES_A_SECOND = 12

Bundle = dict[str, Any]
"""What is shown, by MIME type."""


class Handle(Protocol):
    """What IPython's `display(display_id=True)` returns."""

    def update(self, obj: Any, *, raw: bool) -> None:
        """Show `obj` in place of what was shown."""
        ...


class Live:
    """Shows the answer's text as it comes; `open_handle` shows a first bundle and returns its handle.

    On a terminal, where nothing that was shown can be replaced, only the end is shown.
    """

    def __init__(self, open_handle: Callable[[Bundle], Handle], clock: Callable[[], float] = time.monotonic) -> None:
        self._open = open_handle
        self._clock = clock
        self._handle: Handle | None = None
        self._shown = float("-inf")
        self._text = ""
        self._only_end = sys.stdout.isatty()

    def note(self, line: str) -> None:
        """Show what is being done, until text comes."""
        if not self._text:
            self._show({"text/plain": line, "text/markdown": f"*{plain(line)} …*"})

    def add(self, piece: str) -> None:
        """Append a piece of the answer's text."""
        self._text += piece
        self._show(self._bundle(""))

    def show(self, bundle: Bundle) -> None:
        """Show a bundle in place of what is shown, at the pace."""
        self._show(bundle)

    def finish(self, bundle: Bundle) -> None:
        """Show the last bundle, whatever the pace."""
        self._show(bundle, now=True)

    def stop(self, why: str) -> None:
        """Leave what was streamed, and say why it ends here."""
        self._show(self._bundle(why), now=True)

    def _bundle(self, end: str) -> Bundle:
        text = "\n\n".join(filter(None, (self._text, f"({end})" if end else "")))
        markdown = "\n\n".join(filter(None, (prose(self._text), f"*({plain(end)})*" if end else "")))
        return {"text/plain": text, "text/markdown": markdown}

    def _show(self, bundle: Bundle, now: bool = False) -> None:
        moment = self._clock()
        if not now and (self._only_end or moment - self._shown < 1 / UPDATES_A_SECOND):
            return
        self._shown = moment
        if self._handle is None:
            self._handle = self._open(bundle)
        else:
            self._handle.update(bundle, raw=True)


def open_display(bundle: Bundle) -> Handle:
    """Show `bundle` in the output of the cell that runs."""
    from IPython.display import display  # the kernel has it loaded; `import lorebook` does without

    handle: Handle = display(bundle, raw=True, display_id=True)
    return handle
