"""Where a passage stands, in words: the one spelling that terminal and notebook share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Located(Protocol):
    """What citations, sources and search results have in common."""

    @property
    def path(self) -> str:
        """Path below the root, with `/`."""
        ...

    @property
    def start_line(self) -> int:
        """First line, 1-based."""
        ...

    @property
    def end_line(self) -> int:
        """Last line, inclusive."""
        ...

    @property
    def cell_id(self) -> str | None:
        """Id of the notebook's cell."""
        ...

    @property
    def cell_index(self) -> int | None:
        """0-based position of the cell among all cells."""
        ...

    @property
    def execution_count(self) -> int | None:
        """The number in `In [7]`."""
        ...

    @property
    def root(self) -> str:
        """The root, where several were asked about."""
        ...


def name_place(item: Located, root: str = "") -> str:
    """Return `src/a.py:10-24`, or `clean.ipynb · cell 5 [In 7] lines 2-4`; `root` is put before the path.

    Cells count from 0, as `cell_index` does.
    """
    path = f"{root.rstrip('/')}/{item.path}" if root else item.path
    if item.cell_index is None:
        return f"{path}:{_span(item)}"
    ran = f" [In {item.execution_count}]" if item.execution_count is not None else ""
    lines = "line" if item.start_line == item.end_line else "lines"
    return f"{path} · cell {item.cell_index}{ran} {lines} {_span(item)}"


def find_file(item: Located, root: str) -> Path:
    """Return the file on this machine: below the item's own root, or below `root` where it names none."""
    return Path(item.root or root, item.path)


def _span(item: Located) -> str:
    if item.start_line == item.end_line:
        return str(item.start_line)
    return f"{item.start_line}-{item.end_line}"
