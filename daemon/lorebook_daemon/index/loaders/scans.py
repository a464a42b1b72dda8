"""Scanned pages of a PDF: drawn by PDFium, their text read by Tesseract, where a person has installed both."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

from lorebook_daemon.index.loaders.image import LEAST_LETTERS, found_program, read_picture

DOTS = 200
"""Dots an inch at which a page is drawn; 300 takes twice as long and reads hardly better."""
MOST_DOTS = 20_000_000
"""Dots of one page at the most: a page may say that it is as large as a house."""
_POINTS = 72


def lacking() -> str:
    """Return what scanned pages need that is not installed, and what to type; empty where all is there."""
    missing = []
    if found_program() is None:
        missing.append("tesseract-ocr")
    if find_spec("pypdfium2") is None:
        missing.append("'lorebook[documents]'")
    return " and ".join(missing)


def scanned_text(data: bytes, page: int, seconds: float) -> str:
    """Return the text in the picture of a PDF's page, counted from 0; empty where there is hardly any.

    Raises Unreadable where it takes longer than `seconds`, and RuntimeError for what PDFium cannot draw.
    """
    read = read_picture(drawn_page(data, page), seconds)
    return read if sum(map(str.isalnum, read)) >= LEAST_LETTERS else ""


def drawn_page(data: bytes, page: int) -> bytes:
    """Return a PDF's page, counted from 0, as a picture in greys: a portable graymap (PGM).

    The document is opened anew for each page, which takes no time beside reading it. Raises RuntimeError for what
    PDFium cannot draw.
    """
    import pypdfium2

    pages = pypdfium2.PdfDocument(data)
    try:
        return _drawn(pages[page])
    finally:
        pages.close()


def _drawn(page: Any) -> bytes:
    width, height = page.get_size()
    scale = min(DOTS / _POINTS, math.sqrt(MOST_DOTS / max(1.0, width * height)))
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        rows = memoryview(bytes(bitmap.buffer))
        lines = (rows[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
        return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + b"".join(lines)
    finally:
        bitmap.close()
