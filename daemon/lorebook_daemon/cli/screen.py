"""The terminal: answers on stdout, everything else on stderr, bars only where somebody watches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from lorebook_api.indexing import Progress

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return `text` without control characters: a file's text must not move the cursor or hide what it says."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


class Screen:
    """Where a command writes."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, markup=False, emoji=False)
        self.err = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def write(self, text: str | Text = "", style: str = "") -> None:
        """Write a line to stdout, unwrapped; style and links show on a terminal only."""
        self.out.print(text, style=style, soft_wrap=True)

    def write_prose(self, text: str) -> None:
        """Write text to stdout; a terminal gets it broken between words, anything else as it is."""
        self.out.print(text, soft_wrap=not self.out.is_terminal)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write columns as wide as their text: a name that was cut short could not be typed."""
        lines = [tuple(head), *(tuple(map(printable, row)) for row in rows)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
            self.write("  ".join(padded).rstrip(), style="bold" if line is lines[0] else "")

    def say(self, text: str) -> None:
        """Write a dim line to stderr."""
        self.err.print(printable(text), style="dim", soft_wrap=True)


class Bars:
    """Shows Progress on stderr: a bar for each kind of work, or a line where there is no terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        self._bars = RichProgress(*columns, TimeRemainingColumn(), console=screen.err, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.hide()

    def show(self, progress: Progress) -> None:
        """Show how far the work is."""
        what = printable(progress.what)
        if not self._screen.err.is_terminal:
            self._say(what, progress)
            return
        self._bars.start()
        if what not in self._tasks:
            self._end_others()
            self._tasks[what] = self._bars.add_task(what, total=None)
        self._bars.update(self._tasks[what], completed=progress.done, total=progress.total or None)

    def _end_others(self) -> None:
        """Fill the bars of the work before this; one whose end was not known goes, it would seem to go on."""
        for task in self._bars.tasks:
            if task.total is None:
                self._bars.remove_task(self._tasks.pop(task.description))
            else:
                self._bars.update(task.id, completed=task.total)

    def _say(self, what: str, progress: Progress) -> None:
        """Write a line at the start and at each quarter of long work."""
        quarter = 25 * (4 * progress.done // progress.total) if progress.total else 0
        line = f"{what} {quarter}%" if quarter else what
        if line not in self._said:
            self._said.add(line)
            self._screen.say(line)

    def hide(self) -> None:
        """Take the bars away."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        if self._bars.live.is_started:  # stopped without, it would write an empty line
            self._bars.stop()
