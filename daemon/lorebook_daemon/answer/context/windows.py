"""What stands around a passage: the lines before and after it, the cells before and after its cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorebook_daemon.answer.context.families import joined
from lorebook_daemon.answer.retrieved import Beside, RootHit
from lorebook_daemon.index.passage import Passage

WINDOW = 400
"""Characters on either side, in whole lines."""
BEHIND = 0.9
"""A neighbouring cell's score, as a share of its neighbour's."""


def widened(hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
    """Return each passage with the lines around it, as many as WINDOW holds on either side.

    Lines of another passage that was found are left to that one; tables stay as they are.
    """
    found = {_key(hit.root, hit.passage) for hit in hits}
    return [_widened(hit, beside(hit.root, hit.passage.path), found) for hit in hits]


def with_neighbours(hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
    """Return the passages, behind each cell the Markdown cell before it and the cell after it."""
    seen = {_key(hit.root, hit.passage) for hit in hits}
    held: list[RootHit] = []
    for hit in hits:
        held.append(hit)
        for passage in _cells_beside(hit.passage, beside(hit.root, hit.passage.path)):
            if _key(hit.root, passage) not in seen:
                seen.add(_key(hit.root, passage))
                held.append(RootHit(hit.root, passage, hit.score * BEHIND))
    return held


def _widened(hit: RootHit, passages: Sequence[Passage], found: set[tuple[object, ...]]) -> RootHit:
    if hit.passage not in passages or hit.passage.kind == "data":  # the file has changed since, or is a table
        return hit
    at = passages.index(hit.passage)
    free = [_key(hit.root, one) not in found for one in passages]
    before = [part for one in passages[max(0, at - 1) : at] if free[at - 1] for part in _tail(one)]
    after = [part for one in passages[at + 1 : at + 2] if free[at + 1] for part in _head(one)]
    before = before if joined([*before, hit.passage]) else []  # the end of another cell, of a file before
    after = after if joined([hit.passage, *after]) else []
    whole = joined([*before, hit.passage, *after])
    return hit if whole is None else replace(hit, passage=replace(whole, context=hit.passage.context))


def _tail(passage: Passage) -> list[Passage]:
    """Return a passage's last lines as one, as many as the window holds."""
    rows = passage.text.split("\n")
    kept = _fitting(rows[::-1])
    return [replace(passage, start_line=passage.end_line - kept + 1, text="\n".join(rows[-kept:]))] if kept else []


def _head(passage: Passage) -> list[Passage]:
    rows = passage.text.split("\n")
    kept = _fitting(rows)
    return [replace(passage, end_line=passage.start_line + kept - 1, text="\n".join(rows[:kept]))] if kept else []


def _fitting(rows: Sequence[str]) -> int:
    """Return how many of the first rows the window holds."""
    size = 0
    for count, row in enumerate(rows):
        size += len(row) + 1
        if size > WINDOW:
            return count
    return len(rows)


def _cells_beside(passage: Passage, passages: Sequence[Passage]) -> list[Passage]:
    """Return the first passages of the Markdown cell before a passage's cell, and of the cell after it."""
    if passage.cell is None:
        return []
    cells: dict[int, Passage] = {}
    for one in passages:
        if one.cell is not None:
            cells.setdefault(one.cell.index, one)
    order = sorted(cells)
    if passage.cell.index not in cells:
        return []
    at = order.index(passage.cell.index)
    before = [cells[index] for index in order[max(0, at - 1) : at]]
    after = [cells[index] for index in order[at + 1 : at + 2]]
    return [*(one for one in before if one.cell and one.cell.type == "markdown"), *after]


def _key(root: str, passage: Passage) -> tuple[object, ...]:
    return root, passage.path, passage.cell_index, passage.start_line
