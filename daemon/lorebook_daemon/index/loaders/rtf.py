"""Rich Text Format (version 1.9.1): the text, a line for each paragraph or row of a table."""

from __future__ import annotations

import re
from pathlib import Path

from lorebook_daemon.index.loaders.sections import Line, lines_of, sections_of
from lorebook_daemon.index.passage import Unit, Unreadable

_MAGIC = re.compile(rb"\A\s*\{\\rtf")
_PICTURE = re.compile(rb"[0-9a-fA-F]{100,}")
"""Bytes of a picture in hexadecimal, a line of them; nobody writes such a word."""


def load_rtf(path: Path, data: bytes) -> list[Unit]:
    """Return the document's text as one unit; lines count in it. The cells of a table's row are parted by ` | `.

    Raises Unreadable for what is no RTF.
    """
    from striprtf.striprtf import rtf_to_text

    if not data:
        return []
    if not _MAGIC.match(data):
        raise Unreadable("not an RTF document")
    text: str = rtf_to_text(_PICTURE.sub(b"", data).decode("latin-1"), errors="replace")
    return sections_of([line for row in text.split("\n") for line in _lines(row)])


def _lines(row: str) -> list[Line]:
    cells = [" ".join(cell.split()) for cell in row.split("|")]
    if len(cells) == 1:
        return lines_of(row)
    cells = cells[:-1] if not cells[-1] else cells  # a row of a table ends with what parts its cells
    return lines_of(" | ".join(cells)) if any(cells) else []
