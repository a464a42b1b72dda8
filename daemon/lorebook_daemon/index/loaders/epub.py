"""E-pub books (EPUB 3, and 2): a unit for each section of each chapter, in reading order."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from lorebook_daemon.index.loaders.archive import Archive, child, children, descendants
from lorebook_daemon.index.loaders.html import extract
from lorebook_daemon.index.loaders.sections import sections_of
from lorebook_daemon.index.passage import Unit, Unreadable

_CONTAINER = "META-INF/container.xml"
_LOCKED = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")


def load_epub(path: Path, data: bytes) -> list[Unit]:
    """Return the sections of all chapters; lines count in the extracted text, on from chapter to chapter.

    Context is the book's title, the chapter's number in reading order, then its headings. Raises Unreadable for what
    is no e-pub, for a book whose text is encrypted, and what unpacks beyond bounds.
    """
    archive = Archive(data, "an e-pub book")
    package = _package(archive)
    book = archive.xml(package)
    chapters = _chapters(archive, book, posixpath.dirname(package))
    locked = _locked(archive)
    if chapters and locked.issuperset(chapters):
        raise Unreadable("an e-pub book whose text is encrypted")
    title = _title(book)
    units: list[Unit] = []
    line = 1
    for number, chapter in enumerate(chapters, 1):
        if chapter in locked:
            continue
        lines = extract(archive.read(chapter))
        units += sections_of(lines, line, (*title, f"chapter {number}"))
        line += len(lines)
    return units


def _package(archive: Archive) -> str:
    root = next(descendants(archive.xml(_CONTAINER), "rootfile"), None)
    if root is None:
        raise Unreadable("an e-pub book that is damaged: it names no package")
    return root.get("full-path", "")


def _title(book: Element) -> tuple[str, ...]:
    title = child(book, "metadata", "title")
    text = " ".join((title.text or "").split()) if title is not None else ""
    return (text,) if text else ()


def _chapters(archive: Archive, book: Element, folder: str) -> list[str]:
    """Return the names of the chapters in reading order, those that are there."""
    manifest, spine = child(book, "manifest"), child(book, "spine")
    if manifest is None or spine is None:
        raise Unreadable("an e-pub book that is damaged: it has no reading order")
    pages = {item.get("id"): item for item in children(manifest, "item") if item.get("media-type") in _PAGES}
    order = (pages[one] for entry in children(spine, "itemref") if (one := entry.get("idref")) in pages)
    names = (posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "")))) for item in order)
    return [name for name in dict.fromkeys(names) if name in archive.names]


def _locked(archive: Archive) -> frozenset[str]:
    """Return the parts that are encrypted; fonts often are, in books that anybody can read."""
    if _LOCKED not in archive.names:
        return frozenset()
    return frozenset(unquote(one.get("URI", "")) for one in descendants(archive.xml(_LOCKED), "CipherReference"))
