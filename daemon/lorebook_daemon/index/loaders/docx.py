"""Word documents (ECMA-376, part 1): a unit for each section, told by the styles of its headings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from lorebook_daemon.index.loaders.archive import Archive, attribute, child, children, descendants, local
from lorebook_daemon.index.loaders.sections import Line, lines_of, sections_of
from lorebook_daemon.index.passage import Unit

DEEPEST_STYLE = 20
"""Styles that are followed from one to the one it is based on: they may go round in a circle."""
_BODY = "word/document.xml"
_STYLES = "word/styles.xml"
_NOTES = {"word/footnotes.xml": "Footnotes", "word/endnotes.xml": "Endnotes", "word/comments.xml": "Comments"}
_UNSEEN = frozenset({"Fallback", "pPr", "rPr", "del", "moveFrom", "instrText"})
"""What is no text of the paragraph: an older drawing of the same, properties, deleted words, a field's code."""
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}

Levels = Mapping[str, int]


def load_docx(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each section, then the notes and comments; lines count in the extracted text.

    A line is a paragraph or a row of a table. Deleted words of tracked changes are left out. Raises Unreadable for
    what is no Word document, what a password locks, and what unpacks beyond bounds.
    """
    archive = Archive(data, "a Word document")
    levels = _levels(archive.xml(_STYLES)) if _STYLES in archive.names else {}
    body = child(archive.xml(_BODY), "body")
    lines = [] if body is None else list(_blocks(body, levels))
    for name, title in _NOTES.items():
        if name in archive.names:
            lines += _notes(archive.xml(name), title)
    return sections_of(lines)


def _levels(styles: Element) -> Levels:
    """Return the heading's level by the style's id: 1 for the title, 2 for the first level below it."""
    by_id = {attribute(style, "styleId"): style for style in children(styles, "style")}
    return {name: level for name in by_id if (level := _level(name, by_id))}


def _level(name: str, by_id: Mapping[str, Element]) -> int:
    for _ in range(DEEPEST_STYLE):
        style = by_id.get(name)
        if style is None:
            return 0
        title = _value(style, "name").lower()  # the same in every language of Word
        if title == "title":
            return 1
        if title.startswith("heading ") and title[8:].isdecimal():
            return int(title[8:]) + 1
        if outline := _value(style, "pPr", "outlineLvl"):
            return _outline(outline)
        name = _value(style, "basedOn")
    return 0


def _value(node: Element, *names: str) -> str:
    found = child(node, *names)
    return "" if found is None else attribute(found, "val")


def _outline(value: str) -> int:
    """Return the level of an outline level, of which 0 is the highest and 9 means text."""
    return int(value) + 2 if value.isdecimal() and int(value) < 9 else 0


def _blocks(node: Element, levels: Levels) -> Iterator[Line]:
    for block in node:
        match local(block.tag):
            case "p":
                yield from _paragraph(block, levels)
            case "tbl":
                yield from (line for row in descendants(block, "tr") for line in _row(row))
            case name if name not in _UNSEEN:
                yield from _blocks(block, levels)


def _paragraph(paragraph: Element, levels: Levels) -> list[Line]:
    outline = _value(paragraph, "pPr", "outlineLvl")
    level = _outline(outline) if outline else levels.get(_value(paragraph, "pPr", "pStyle"), 0)
    listed = child(paragraph, "pPr", "numPr") is not None and not level
    return lines_of(("- " if listed else "") + "".join(words(paragraph)), level)


def _row(row: Element) -> list[Line]:
    cells = [" ".join(" ".join(words(cell)).split()) for cell in children(row, "tc")]
    return lines_of(" | ".join(cells)) if any(cells) else []


def words(node: Element) -> Iterator[str]:
    """Yield the text below a node of WordprocessingML or DrawingML, formulas and text boxes among it."""
    for part in node:
        name = local(part.tag)
        if name == "t":
            yield part.text or ""
        elif name in _SIGNS:
            yield _SIGNS[name]
        elif name not in _UNSEEN:
            yield from words(part)
            yield "\n" if name == "p" else ""


def _notes(root: Element, title: str) -> Iterable[Line]:
    lines = [line for note in root for line in lines_of(" ".join(" ".join(words(note)).split()))]
    return [Line(title, 2), *lines] if lines else []
