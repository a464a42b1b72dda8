"""PDF: a unit for each page with text on it, tables as rows; of scanned pages the text that OCR finds."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lorebook_daemon.index.loaders.encoding import with_newlines
from lorebook_daemon.index.loaders.scans import lacking, scanned_text
from lorebook_daemon.index.passage import Unit, Unreadable

if TYPE_CHECKING:
    from pypdf import PageObject

SECONDS = 60.0
"""After so long no further page is read; what is left out is counted in the context."""
LEAST_ROWS = 3
"""Rows in columns, one below the other, that make a table."""
LONGEST_CELL = 25
"""Characters of a table's cell, on average; text in two columns has longer ones."""

_GAP = re.compile(r"\s{3,}")
_BULLET = re.compile(r"^([^\w\s]{1,2})\s+")
_NUMBERS = re.compile(r"(?<!\w)[-+]?\d[\d.,:%/]*(?!\w)")


def load_pdf(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each page; lines count in the extracted text, on from page to page.

    A page without text is read as a picture, where what that needs is installed. Raises Unreadable for what is no
    PDF, what a password locks, and where there is no text on any page.
    """
    pages = list(_pages(data, time.monotonic() + SECONDS))
    if not any(text.strip() for _, text in pages):
        missing = lacking()
        raise Unreadable(f"a PDF without text: scanned pages need {missing}" if missing else "a PDF without text")
    units = []
    line = 1
    for context, page in pages:
        text = with_newlines(page)
        if text.strip():
            units.append(Unit(text, "doc", start_line=line, context=context))
            line += text.count("\n") + 1
    return units


def _pages(data: bytes, until: float) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each page's place and text until the time is up."""
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("a PDF that a password locks")
        count = len(reader.pages)
        for number, page in enumerate(reader.pages, 1):
            text = _text(page)
            read = text if text.strip() else _scanned(data, number - 1, until)
            seen = () if text.strip() or not read else ("text in a picture",)
            late = number < count and time.monotonic() > until
            note = (f"the first {number:,} of {count:,} pages: reading took too long",) if late else ()
            yield (f"page {number}", *seen, *note), read
            if late:
                return
    except DependencyError as error:
        raise Unreadable("a PDF that is encrypted") from error
    except PyPdfError as error:
        raise Unreadable(f"not a PDF that can be read: {error}") from error


def _scanned(data: bytes, page: int, until: float) -> str:
    """Return the text in the picture of a page, from 0; empty where there is none, and where it cannot be read."""
    left = until - time.monotonic()
    if left <= 0 or lacking():
        return ""
    try:
        return scanned_text(data, page, left)
    except (Unreadable, RuntimeError):  # the other pages go on
        return ""


def _text(page: PageObject) -> str:
    """Return a page's text; where there is a table on it, and no text in columns, the rows with their cells apart."""
    plain = page.extract_text()
    if not _may_have_table(plain):  # to lay a page out takes as long again
        return plain
    return with_tables(page.extract_text(extraction_mode="layout", layout_mode_space_vertically=False)) or plain


def _may_have_table(plain: str) -> bool:
    """Return whether several lines hold numbers, or are short one after the other: many writers make cells lines."""
    rows = [row.strip() for row in plain.split("\n") if row.strip()]
    numbers = sum(len(_NUMBERS.findall(row)) > 1 for row in rows)
    runs = "".join("1" if len(row) <= LONGEST_CELL else "0" for row in rows)
    return numbers >= LEAST_ROWS or "1" * (2 * LEAST_ROWS) in runs


def with_tables(laid_out: str) -> str:
    """Return a page as it is laid out, its tables' cells parted by ` | `; empty where there is no table.

    Empty as well where prose stands in columns: read from side to side it makes no sense.
    """
    rows = [_GAP.split(_BULLET.sub(r"\1 ", row.strip())) for row in laid_out.split("\n") if row.strip()]
    columns = [len(cells) > 1 for cells in rows]
    if any(wide and not _is_row(cells) for wide, cells in zip(columns, rows, strict=True)):
        return ""
    if "1" * LEAST_ROWS not in "".join("1" if wide else "0" for wide in columns):
        return ""
    return "\n".join(" | ".join(" ".join(cell.split()) for cell in cells) for cells in rows)


def _is_row(cells: list[str]) -> bool:
    return sum(map(len, cells)) <= LONGEST_CELL * len(cells)
