"""The index's nouns: the cell of a notebook, the unit that a loader yields, the passage that is searched."""

from __future__ import annotations

from dataclasses import dataclass

from lorebook_api.retrieval import Kind

TOO_DEEP = "nested too deep to be read"
"""Why a file is not read that would take a stack as deep as it is."""


class Unreadable(Exception):
    """A file that a loader cannot make sense of; the message is the reason shown to the person."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where in its notebook a passage stands, and what the cell shows.

    `index` is 0-based among all cells. `shows` is `error` where the cell failed, else `image`, else `text`, and empty
    where it shows nothing.
    """

    id: str
    index: int
    type: str
    execution_count: int | None = None
    shows: str = ""
    tags: tuple[str, ...] = ()
    """Those of the cell's metadata."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of one file that belongs together: a whole module, a section of prose, a cell, a table.

    `start_line` is 1-based within the file, or within the cell where there is one. `language` is a
    tree-sitter grammar's name, empty for prose and data. `context` holds headings or enclosing lines,
    outermost first.
    """

    text: str
    kind: Kind
    language: str = ""
    start_line: int = 1
    context: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """What is searched, shown to the model and cited: at most a screenful of consecutive lines of one file.

    `path` is relative to the root, with `/`. `text` is exactly lines `start_line` to `end_line`,
    joined by newlines, without a final one.
    """

    path: str
    start_line: int
    end_line: int
    text: str
    kind: Kind
    language: str = ""
    context: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    cell: Cell | None = None

    @property
    def cell_index(self) -> int | None:
        """Which of its notebook's cells it stands in; None where that is no notebook."""
        return self.cell.index if self.cell else None
