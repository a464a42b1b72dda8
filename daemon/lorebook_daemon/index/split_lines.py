"""Pieces of a text: rows cut where a text allows it, packed to about a thousand characters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from lorebook_api.splitting import CHARACTERS
from lorebook_daemon.index.passage import Passage, Unit

BARE = 4
"""At most so many characters (a bracket, `end`) always stay with what precedes them."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long passages become, in characters."""

    limit: int = CHARACTERS
    """What a passage holds; only a single row may be longer than `long`."""

    @property
    def scrap(self) -> int:
        """Less than this is no passage of its own where a neighbour takes it."""
        return self.limit // 5

    @property
    def long(self) -> int:
        """Above this a piece is cut at blank rows and, where that is not enough, between any two rows."""
        return self.limit * 3 // 2

    @property
    def cell(self) -> int:
        """Up to this a cell of a notebook, with its outputs, is one passage."""
        return 2 * self.limit


USUAL = Sizes()


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `first` to `stop - 1`, 0-based; `opens` says that a passage should begin here."""

    first: int
    stop: int
    context: tuple[str, ...] = ()
    opens: bool = False

    def until(self, stop: int) -> Piece:
        """Return the piece with another end."""
        return self if stop == self.stop else Piece(self.first, stop, self.context, self.opens)


class Sheet:
    """The rows of a text, and how many characters any run of them holds."""

    def __init__(self, text: str, sizes: Sizes = USUAL) -> None:
        self.sizes = sizes
        self.rows = text.split("\n")
        self._ends = [0, *accumulate([len(row) + 1 for row in self.rows])]

    def size(self, first: int, stop: int) -> int:
        """Return the characters of rows `first` to `stop - 1`, line ends included."""
        return self._ends[stop] - self._ends[first]

    def text(self, first: int, stop: int) -> str:
        """Return rows `first` to `stop - 1`, joined by newlines, without a final one."""
        return "\n".join(self.rows[first:stop])

    def trimmed(self, piece: Piece) -> Piece | None:
        """Return the piece without blank rows at its edges, or None where nothing else is in it."""
        first, stop = piece.first, piece.stop
        while first < stop and not self.rows[first].strip():
            first += 1
        while first < stop and not self.rows[stop - 1].strip():
            stop -= 1
        if first == stop:
            return None
        return piece.until(stop) if first == piece.first else Piece(first, stop, piece.context, piece.opens)


def pack(sheet: Sheet, pieces: Iterable[Piece]) -> list[Piece]:
    """Join neighbours that belong together while they fit, in order; nothing is lost or doubled."""
    packed: list[Piece] = []
    held, stop = None, 0
    for piece in pieces:
        if held is None or not _joins(sheet, held, stop, piece):
            if held is not None:
                packed.append(held.until(stop))
            held = piece
        stop = piece.stop
    return [*packed, held.until(stop)] if held is not None else packed


def fit(sheet: Sheet, pieces: Iterable[Piece]) -> list[Piece]:
    """Cut each piece that is too long at its blank rows and, where a block is still too long, between rows."""
    return [part for piece in pieces for part in _parts(sheet, piece)]


def between_rows(piece: Piece) -> list[Piece]:
    """Return a piece for each row."""
    return [Piece(row, row + 1, piece.context) for row in range(piece.first, piece.stop)]


def at_blank_rows(sheet: Sheet, piece: Piece) -> list[Piece]:
    """Return the blocks of a piece; a block ends with the blank rows that follow it."""
    rows = sheet.rows
    starts = [row for row in range(piece.first + 1, piece.stop) if rows[row].strip() and not rows[row - 1].strip()]
    return cut(piece, starts)


def cut(piece: Piece, starts: Sequence[int]) -> list[Piece]:
    """Return the piece cut before each of these rows, which rise and lie inside it."""
    return [Piece(first, stop, piece.context) for first, stop in pairwise([piece.first, *starts, piece.stop])]


def passages(
    unit: Unit, path: str, sheet: Sheet, pieces: Iterable[Piece], names: Sequence[tuple[int, str]] | None = None
) -> list[Passage]:
    """Return the pieces as passages of `unit`; those with nothing but blank rows fall out.

    `names` are the unit's definitions by 0-based row, in order; None gives every passage all that the unit defines.
    """
    found = []
    for piece in pieces:
        kept = sheet.trimmed(piece)
        if kept is None:
            continue
        defines = unit.defines if names is None else _named(names, kept)
        found.append(_passage(unit, path, sheet, kept, defines))
    return found


def split_lines(unit: Unit, path: str, sizes: Sizes) -> list[Passage]:
    """Split where there is no structure: at blank rows, and between rows where a block is too long."""
    sheet = Sheet(unit.text, sizes)
    whole = Piece(0, len(sheet.rows), unit.context)
    return passages(unit, path, sheet, fit(sheet, pack(sheet, at_blank_rows(sheet, whole))))


def split_records(unit: Unit, path: str, sizes: Sizes) -> list[Passage]:
    """Split data of which every row is a record: between any two rows."""
    sheet = Sheet(unit.text, sizes)
    whole = Piece(0, len(sheet.rows), unit.context)
    return passages(unit, path, sheet, pack(sheet, between_rows(whole)))


def _joins(sheet: Sheet, held: Piece, stop: int, piece: Piece) -> bool:
    """Return whether `piece` belongs to `held`, which has grown up to `stop`."""
    sizes = sheet.sizes
    total = sheet.size(held.first, piece.stop)
    if total > sizes.long:
        return False
    own = sheet.size(piece.first, piece.stop)
    if own < sizes.limit // 10 and len(sheet.text(piece.first, piece.stop).strip()) <= BARE:
        return True
    if piece.context[: len(held.context)] != held.context:
        return False
    if sheet.size(held.first, stop) < sizes.scrap:  # a heading, the line that opens a class
        return not piece.opens or len(piece.context) > len(held.context)
    return not piece.opens and total <= (sizes.limit + sizes.scrap if own < sizes.scrap else sizes.limit)


def _parts(sheet: Sheet, piece: Piece) -> list[Piece]:
    if sheet.size(piece.first, piece.stop) <= sheet.sizes.long:
        return [piece]
    smaller: list[Piece] = []
    for block in at_blank_rows(sheet, piece):
        long = sheet.size(block.first, block.stop) > sheet.sizes.long
        smaller += between_rows(block) if long else [block]
    return pack(sheet, smaller)


def _named(names: Sequence[tuple[int, str]], piece: Piece) -> tuple[str, ...]:
    first, stop = (bisect_left(names, (row, "")) for row in (piece.first, piece.stop))
    return tuple(dict.fromkeys(name for _, name in names[first:stop]))


def _passage(unit: Unit, path: str, sheet: Sheet, piece: Piece, defines: tuple[str, ...]) -> Passage:
    return Passage(
        path=path,
        start_line=unit.start_line + piece.first,
        end_line=unit.start_line + piece.stop - 1,
        text=sheet.text(piece.first, piece.stop),
        kind=unit.kind,
        language=unit.language,
        context=piece.context,
        defines=defines,
        uses=unit.uses,
        cell=unit.cell,
    )
