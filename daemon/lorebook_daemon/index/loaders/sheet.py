"""One sheet of a workbook as a unit: its first rows as lines, under a summary of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from lorebook_daemon.index.loaders.records import MOST_SCANNED, sample, shown
from lorebook_daemon.index.passage import Unit

MOST_SHEETS = 500
WIDEST = 1_000
"""Columns of a sheet that are looked at."""
MOST_BLANK = 10_000
"""Empty rows in a row after which the sheet is taken to end: a format set on a whole sheet fills it to the last row."""


def sheet_unit(name: str, rows: Iterable[Sequence[object]], start_line: int, defines: tuple[str, ...]) -> Unit | None:
    """Return the sheet as a unit, a line for each row that is not empty; None for an empty sheet.

    The first row with at least two values names the columns; lines above it are shown with it. A sheet of more than
    MOST_SCANNED rows is summed up from those.
    """
    found = _filled(rows)
    more = len(found) > MOST_SCANNED
    found = found[:MOST_SCANNED]
    if not found:
        return None
    first = next((place for place, row in enumerate(found) if sum(map(bool, row)) > 1), 0)
    width = max(map(len, found[first:]))
    header = [value or f"column {number}" for number, value in enumerate(_wide(found[first], width), 1)]
    records = [_wide(row, width) for row in found[first + 1 :]]
    table = sample(f"sheet {name}", header, records, len(records))
    above = [" | ".join(value for value in row if value) for row in found[:first]]
    cut = (f"only the first {MOST_SCANNED:,} rows were looked at",) if more else ()
    lines = [*above, *(table.lines or [" | ".join(header)])]
    return Unit("\n".join(lines), "data", start_line=start_line, context=(*table.context, *cut), defines=defines)


def _filled(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    """Return the rows that hold something as text, without empty cells at their end: one more than are looked at."""
    found: list[list[str]] = []
    blank = 0
    for row in rows:
        values = [shown(value) for value in islice(row, WIDEST)]
        while values and not values[-1]:
            values.pop()
        blank = 0 if values else blank + 1
        if values:
            found.append(values)
        if len(found) > MOST_SCANNED or blank > MOST_BLANK:
            break
    return found


def _wide(row: list[str], width: int) -> list[str]:
    return row + [""] * (width - len(row))
