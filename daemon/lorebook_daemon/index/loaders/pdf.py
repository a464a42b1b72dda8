"""PDF: a unit for each page with text on it."""

from __future__ import annotations

import io
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import with_newlines
from lorebook_daemon.index.passage import Unit, Unreadable


def load_pdf(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each page; lines count in the extracted text, on from page to page.

    Raises Unreadable for what is no PDF, what a password locks, and scans without text.
    """
    units = []
    line = 1
    for number, page in enumerate(_pages(data), 1):
        text = with_newlines(page)
        if text.strip():
            units.append(Unit(text, "doc", start_line=line, context=(f"page {number}",)))
            line += text.count("\n") + 1
    if not units:
        raise Unreadable("a PDF without text: scanned pages?")
    return units


def _pages(data: bytes) -> list[str]:
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("a PDF that a password locks")
        return [page.extract_text() for page in reader.pages]
    except DependencyError as error:
        raise Unreadable("a PDF that is encrypted") from error
    except PyPdfError as error:
        raise Unreadable(f"not a PDF that can be read: {error}") from error
