"""Split prose: paragraphs together up to the limit, a fenced block whole where it fits."""

from __future__ import annotations

from lorebook_daemon.index.passage import Passage, Unit
from lorebook_daemon.index.split_lines import Piece, Sheet, Sizes, cut, fit, pack, passages

FENCES = ("```", "~~~")


def split_prose(unit: Unit, path: str, sizes: Sizes) -> list[Passage]:
    """Split one section of prose; its lines are each in exactly one passage, except blank ones at the edges."""
    sheet = Sheet(unit.text, sizes)
    whole = Piece(0, len(sheet.rows), unit.context)
    return passages(unit, path, sheet, fit(sheet, pack(sheet, cut(whole, _paragraphs(sheet)))))


def _paragraphs(sheet: Sheet) -> list[int]:
    """Return the rows, but the first, at which a paragraph or a fenced block begins."""
    starts, fence, blank = [], "", False
    for row, text in enumerate(sheet.rows):
        bare = text.strip()
        if row and blank and bare and not fence:
            starts.append(row)
        if fence:
            fence = "" if bare.startswith(fence) and not bare.strip(fence[0]) else fence
        elif bare.startswith(FENCES):
            fence = bare[:3]
        blank = not bare
    return starts
