"""OpenDocument (ISO 26300): texts by section, presentations by slide, spreadsheets by sheet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from xml.etree.ElementTree import Element

from lorebook_daemon.index.loaders.archive import Archive, attribute, child, children, descendants, local
from lorebook_daemon.index.loaders.sections import Line, lines_of, sections_of
from lorebook_daemon.index.loaders.sheet import MOST_BLANK, MOST_SHEETS, WIDEST, sheet_unit
from lorebook_daemon.index.passage import Unit, Unreadable

_CONTENT = "content.xml"
_MANIFEST = "META-INF/manifest.xml"
_UNSEEN = frozenset({"tracked-changes", "sequence-decls", "table-of-content", "alphabetical-index", "forms"})


def load_odf(path: Path, data: bytes) -> list[Unit]:
    """Return the document's units by what it says it is; lines count in the extracted text, on from unit to unit.

    Raises Unreadable for what is no OpenDocument file, what a password locks, and what unpacks beyond bounds.
    """
    archive = Archive(data, "an OpenDocument file")
    if _MANIFEST in archive.names and next(descendants(archive.xml(_MANIFEST), "encryption-data"), None) is not None:
        raise Unreadable("an OpenDocument file that a password locks")
    body = child(archive.xml(_CONTENT), "body")
    for content in () if body is None else body:
        match local(content.tag):
            case "text":
                return sections_of(list(_blocks(content)))
            case "presentation" | "drawing":
                return _slides(content)
            case "spreadsheet":
                return _sheets(content)
    raise Unreadable("an OpenDocument file that holds no text, slides or sheets")


def _blocks(node: Element, prefix: str = "") -> Iterator[Line]:
    for block in node:
        match local(block.tag):
            case "h":
                level = attribute(block, "outline-level")
                yield from lines_of(_words(block), int(level) if level.isdecimal() else 1)
            case "p":
                yield from lines_of(prefix + _words(block))
            case "table":
                yield from (line for row in descendants(block, "table-row") for line in _row(row))
            case "list":
                yield from _blocks(block, "- ")
            case name if name not in _UNSEEN:
                yield from _blocks(block, prefix)


def _row(row: Element) -> list[Line]:
    cells = [" ".join(" ".join(map(_words, descendants(cell, "p"))).split()) for cell in children(row, "table-cell")]
    return lines_of(" | ".join(cells)) if any(cells) else []


def _words(node: Element) -> str:
    return "".join(_pieces(node))


def _pieces(node: Element) -> Iterator[str]:
    yield node.text or ""
    for part in node:
        name = local(part.tag)
        if name in ("s", "tab", "line-break"):
            yield "\n" if name == "line-break" else " "
        elif name == "note":  # its text stands where the note is called
            body = child(part, "note-body")
            yield f" ({' '.join(_words(body).split())})" if body is not None else ""
        else:
            yield from _pieces(part)
        yield part.tail or ""


def _slides(content: Element) -> list[Unit]:
    units: list[Unit] = []
    line = 1
    for number, page in enumerate(children(content, "page"), 1):
        lines = [one.text for one in _blocks(page)]
        if lines:
            title = _title(page)
            context = (f"slide {number}", title) if title else (f"slide {number}",)
            units.append(Unit("\n".join(lines), "doc", start_line=line, context=context))
            line += len(lines)
    return units


def _title(page: Element) -> str:
    titles = (frame for frame in children(page, "frame") if attribute(frame, "class") == "title")
    return next((" ".join(" ".join(map(_words, descendants(frame, "p"))).split()) for frame in titles), "")


def _sheets(content: Element) -> list[Unit]:
    units: list[Unit] = []
    line = 1
    for table in list(children(content, "table"))[:MOST_SHEETS]:
        name = attribute(table, "name")
        unit = sheet_unit(name, _rows(table), line, (name,))
        if unit is not None:
            units.append(unit)
            line += unit.text.count("\n") + 1
    return units


def _rows(table: Element) -> Iterator[list[str]]:
    """Yield the rows with their cells; what is said to repeat is repeated, within bounds."""
    for row in descendants(table, "table-row"):
        cells: list[str] = []
        for cell in row:
            text = " ".join(" ".join(map(_words, children(cell, "p"))).split())
            cells += repeat(text, min(_repeated(cell, "number-columns-repeated"), WIDEST - len(cells)))
        yield from repeat(cells, _repeated(row, "number-rows-repeated") if any(cells) else 1)


def _repeated(node: Element, name: str) -> int:
    value = attribute(node, name)
    return min(int(value[:18]), MOST_BLANK) if value.isdecimal() else 1
