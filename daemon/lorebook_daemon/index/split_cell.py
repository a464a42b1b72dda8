"""Split a cell of a notebook: whole where it fits, else its code by syntax tree, its prose and outputs by lines."""

from __future__ import annotations

from lorebook_daemon.index.passage import Passage, Unit
from lorebook_daemon.index.split_code import split_code
from lorebook_daemon.index.split_lines import Piece, Sheet, Sizes, passages
from lorebook_daemon.index.split_prose import split_prose


def split_cell(unit: Unit, path: str, sizes: Sizes) -> list[Passage]:
    """Return one passage, or several where the cell is too long; lines count inside the cell."""
    if len(unit.text) > sizes.cell:
        return split_code(unit, path, sizes) if unit.language else split_prose(unit, path, sizes)
    sheet = Sheet(unit.text, sizes)
    return passages(unit, path, sheet, [Piece(0, len(sheet.rows), unit.context)])
