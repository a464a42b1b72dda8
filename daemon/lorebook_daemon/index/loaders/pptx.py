"""PowerPoint presentations (ECMA-376, part 1): a unit for each slide, its notes among it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from lorebook_daemon.index.loaders.archive import Archive, attribute, child, children, descendants, local
from lorebook_daemon.index.loaders.docx import words
from lorebook_daemon.index.loaders.sections import Line, lines_of
from lorebook_daemon.index.passage import Unit

_SHOW = "ppt/presentation.xml"
_TITLES = ("title", "ctrTitle")
_UNSEEN = ("sldNum", "dt", "ftr", "hdr", "sldImg")
"""Kinds of boxes that every slide has, with its number, its date and the like."""


def load_pptx(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each slide with text, in the order shown; lines count on from slide to slide.

    Context is the slide's number and its title. Raises Unreadable for what is no presentation, what a password
    locks, and what unpacks beyond bounds.
    """
    archive = Archive(data, "a PowerPoint presentation")
    units: list[Unit] = []
    line = 1
    for number, name in enumerate(_slides(archive), 1):
        title, lines = _slide(archive, name)
        if lines:
            context = (f"slide {number}", title) if title else (f"slide {number}",)
            units.append(Unit("\n".join(one.text for one in lines), "doc", start_line=line, context=context))
            line += len(lines)
    return units


def _slides(archive: Archive) -> list[str]:
    """Return the slides' parts in the order in which they are shown."""
    order = child(archive.xml(_SHOW), "sldIdLst")
    parts = _targets(archive, _SHOW)
    ids = [] if order is None else [_relation(slide) for slide in children(order, "sldId")]
    return [parts[one] for one in ids if parts.get(one) in archive.names]


def _relation(slide: Element) -> str:
    # Its own number, too, is called id; only the relation's is in a namespace.
    return next((value for key, value in slide.attrib.items() if key.endswith("}id")), "")


def _targets(archive: Archive, name: str) -> Mapping[str, str]:
    """Return the parts that a part points to, by the relation's id."""
    folder, base = posixpath.split(name)
    relations = f"{folder}/_rels/{base}.rels"
    if relations not in archive.names:
        return {}
    return {
        relation.get("Id", ""): posixpath.normpath(posixpath.join(folder, relation.get("Target", ""))).lstrip("/")
        for relation in archive.xml(relations)
        if relation.get("TargetMode") != "External"
    }


def _slide(archive: Archive, name: str) -> tuple[str, list[Line]]:
    """Return a slide's title and its lines."""
    root = archive.xml(name)
    title, lines = "", []
    for kind, found in _shapes(root):
        lines += found
        if kind in _TITLES and not title:
            title = " ".join(line.text for line in found)
    for part in _targets(archive, name).values():
        if "/notesSlides/" in part and part in archive.names:
            notes = [line for _, found in _shapes(archive.xml(part)) for line in found]
            lines += [Line("Notes:"), *notes] if notes else []
    return title, lines


def _shapes(root: Element) -> Iterator[tuple[str, list[Line]]]:
    """Yield each shape's kind, empty for most, and its lines: paragraphs, rows of a table."""
    for shape in root.iter():
        name = local(shape.tag)
        if name == "sp":
            place = next(descendants(shape, "ph"), None)
            kind = "" if place is None else attribute(place, "type")
            if kind not in _UNSEEN:
                yield kind, [line for text in descendants(shape, "p") for line in lines_of("".join(words(text)))]
        elif name == "tr":
            cells = [" ".join(" ".join(words(cell)).split()) for cell in children(shape, "tc")]
            yield "", lines_of(" | ".join(cells)) if any(cells) else []
