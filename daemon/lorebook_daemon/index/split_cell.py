"""Split a cell of a notebook: whole where it fits, else its code by syntax tree, its prose and outputs by lines."""

from __future__ import annotations

from lorebook_daemon.index.passage import Passage, Unit
from lorebook_daemon.index.split_code import split_code
from lorebook_daemon.index.split_lines import CELL_LIMIT, Piece, Sheet, passages
from lorebook_daemon.index.split_prose import split_prose


def split_cell(unit: Unit, path: str) -> list[Passage]:
    """Return one passage, or several where the cell is too long; lines count inside the cell."""
    if len(unit.text) > CELL_LIMIT:
        return split_code(unit, path) if unit.language else split_prose(unit, path)
    sheet = Sheet(unit.text)
    return passages(unit, path, sheet, [Piece(0, len(sheet.rows), unit.context)])
