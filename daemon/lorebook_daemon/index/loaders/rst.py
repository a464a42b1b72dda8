"""reStructuredText: a unit for each section, told by its underlined titles.

Only the titles are looked for, by the rules of docutils' specification ("Sections"): a full parse reports
every role and directive that Sphinx or another tool adds as an error, and follows includes.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.loaders.sections import Heading, sections
from lorebook_daemon.index.passage import Unit

_ADORNMENT = re.compile(r"([!-/:-@[-`{-~])\1+\s*$")
SHORTEST_ADORNMENT = 4
"""Shorter lines of punctuation must be as wide as the title they underline."""


def load_rst(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each section, its lines the file's own; raises Unreadable for binary and minified files."""
    rows = read_lines(data).split("\n")
    return sections(rows, headings(rows))


def headings(rows: list[str]) -> list[Heading]:
    """Return the titles; their styles rank in the order in which the file first uses them."""
    found: list[Heading] = []
    styles: list[tuple[str, bool]] = []
    for row in range(1, len(rows)):
        title, under = rows[row - 1], rows[row]
        if not _ADORNMENT.match(under) or not title.strip() or _ADORNMENT.match(title):
            continue
        over = row >= 2 and rows[row - 2].rstrip() == under.rstrip()
        if not over and not _is_underlined(rows, row):
            continue
        style = (under[0], over)
        if style not in styles:
            styles.append(style)
        found.append(Heading(row - 2 if over else row - 1, row + 1, styles.index(style) + 1, title.strip()))
    return found


def _is_underlined(rows: list[str], row: int) -> bool:
    """Return whether the row underlines the one before it, which then begins a block and is not indented."""
    title, under = rows[row - 1].rstrip(), rows[row].rstrip()
    wide_enough = len(under) >= min(_width(title), SHORTEST_ADORNMENT)
    return wide_enough and not title[0].isspace() and (row == 1 or not rows[row - 2].strip())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
