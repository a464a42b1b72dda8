"""What is near to a passage: it is looked up by its own text, which holds the names that it defines and uses."""

from __future__ import annotations

from collections.abc import Iterable

from lorebook_daemon.index.passage import Passage

TEXT_MOST = 4000
"""Characters of a passage that it is looked up by: the embedder reads no further, and so many words are enough."""
BESIDE = 10
"""Hits to ask for beyond those wanted: the passage itself is among them, with its copies and what overlaps it."""


def passage_at(passages: Iterable[Passage], line: int, cell_index: int | None = None) -> Passage | None:
    """Return the passage of a file that holds the line, the first of them where several do, None where none does.

    With `cell_index` the line counts inside that cell; without it no passage of a notebook's cells is meant. A line
    between two passages, as blank ones are, belongs to the one before it; there is none past the last.
    """
    of_cell = sorted((one for one in passages if one.cell_index == cell_index), key=lambda one: one.start_line)
    begun = [passage for passage in of_cell if passage.start_line <= line]
    holding = next((passage for passage in begun if line <= passage.end_line), None)
    between = begun and len(begun) < len(of_cell)
    return holding or (begun[-1] if between else None)


def query_of(passage: Passage) -> str:
    """Return what a passage is looked up by: the headings or enclosing lines it stands under, then its text."""
    return "\n".join((*passage.context, passage.text))[:TEXT_MOST]


def is_other(found: Passage, passage: Passage, in_one_root: bool) -> bool:
    """Return whether `found` is neither a copy of `passage` nor, both being of one root, overlaps it."""
    if found.text == passage.text:
        return False
    in_one_place = in_one_root and found.path == passage.path and found.cell_index == passage.cell_index
    return not in_one_place or found.start_line > passage.end_line or passage.start_line > found.end_line
