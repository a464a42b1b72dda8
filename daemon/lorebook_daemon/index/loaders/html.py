"""HTML as text: a line for each block, headings kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lorebook_daemon.index.loaders.encoding import printable, refuse_binary
from lorebook_daemon.index.loaders.sections import Line, sections_of
from lorebook_daemon.index.passage import Unit

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from bs4.element import NavigableString

DEEPEST = 200
"""Levels that are searched upward for the block that a text stands in."""

_BREAK = "\u2028"  # stands for <br>: a line end in the source is only white space
_UNSEEN = ("script", "style", "noscript", "template", "svg", "iframe", "object")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset({"td", "th"})
_BLOCKS = frozenset(
    {"html", "body", "title", "address", "article", "aside", "main", "nav", "section", "header", "footer", "div", "p"}
    | {"blockquote", "pre", "hr", "figure", "figcaption", "details", "summary", "dialog", "form", "fieldset", "legend"}
    | {"ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "tbody", "tfoot", "thead", "tr", "option", *_HEADINGS}
)


def load_html(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each section; lines count in the extracted text, not in the file.

    Nothing is run or fetched. Raises Unreadable for binary data.
    """
    refuse_binary(data)
    return sections_of(extract(data))


def extract(markup: bytes | str) -> list[Line]:
    """Return the visible text, a line for each block or row of a table; white space as a browser shows it."""
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it looks like XML, or like a file name
        soup = BeautifulSoup(markup, "html.parser")
    for unseen in soup.find_all(_UNSEEN):
        unseen.decompose()
    return [line for block in _blocks(soup) for line in _lines(*block)]


def _blocks(soup: BeautifulSoup) -> Iterator[tuple[Tag, str]]:
    """Yield each stretch of text with the block that it stands in, in the document's order."""
    from bs4.element import NavigableString, PreformattedString, Tag

    held: Tag | None = None
    cell: Tag | None = None
    parts: list[str] = []
    for node in soup.descendants:
        if isinstance(node, Tag):
            parts += [_BREAK] if node.name == "br" else []
            continue
        if not isinstance(node, NavigableString) or isinstance(node, PreformattedString):  # comment, doctype
            continue
        block, in_cell = _block_of(node, soup)
        if block is not held:
            if held is not None:
                yield held, "".join(parts)
            held, parts = block, []
        elif in_cell is not cell and str(node).strip():
            parts.append(" | ")
        cell = in_cell if str(node).strip() else cell
        parts.append(str(node))
    if held is not None:
        yield held, "".join(parts)


def _block_of(text: NavigableString, soup: BeautifulSoup) -> tuple[Tag, Tag | None]:
    """Return the nearest block around a text, and the cell of a table where it stands in one."""
    cell = None
    block: Tag = soup
    for block in islice(text.parents, DEEPEST):
        if block.name in _CELLS:
            cell = block
        elif block.name in _BLOCKS and (cell is None or block.name == "tr"):
            break
    return block, cell


def _lines(block: Tag, text: str) -> Iterator[Line]:
    level = _HEADINGS.get(block.name, 0)
    text = printable(text)
    if block.name == "pre":
        rows = text.replace(_BREAK, "\n").split("\n")
    elif level:
        rows = [" ".join(text.split())]
    else:
        rows = [" ".join(row.split()) for row in text.split(_BREAK)]
    yield from (Line(row.rstrip(), level) for row in rows if row.strip())
