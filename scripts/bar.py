"""A progress bar for one long step; a line every tenth where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Bar:
    """Shows how far one step is. ASCII only: it is drawn before we know what the terminal can show."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._tenth = 0
        self._width = 0
        self._terminal = self._stream.isatty()
        self._show(f"{label} ..." if not self._terminal else f"{label:<28} [{'':24}]")

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` is behind us; without a terminal only when a new tenth is reached."""
        total = max(total, 1)
        done = min(max(done, 0), total)
        tenth = done * 10 // total
        if self._terminal:
            filled = done * 24 // total
            gauge = "#" * filled + "-" * (24 - filled)
            self._show(f"{self._label:<28} [{gauge}] {done * 100 // total:3d}%  {self._elapsed()}")
        elif tenth > self._tenth and done < total:
            self._tenth = tenth
            self._show(f"{self._label}: {done * 100 // total}% after {self._elapsed()}")

    def end(self, word: str = "done") -> None:
        """Close the bar with `word` and the time taken."""
        self._show(f"{self._label:<28} {word}, {self._elapsed()}")
        if self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _show(self, text: str) -> None:
        if self._terminal:
            text = text[: shutil.get_terminal_size().columns - 1]
            # Spaces wipe what was there: older Windows consoles print escape sequences as they are.
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
