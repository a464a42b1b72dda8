"""LaTeX: a unit for each section, its lines the file's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.loaders.sections import Heading, sections
from lorebook_daemon.index.passage import Unit

LONGEST_TITLE = 200
"""Characters in which a title's closing brace is looked for."""
_LEVELS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
_HEADING = re.compile(rf"^[ \t]*\\({'|'.join(_LEVELS)})\*?\s*(?:\[[^\]\n]{{0,200}}\]\s{{0,9}})?{{", re.MULTILINE)
_VERBATIM = re.compile(r"\\(begin|end)\{((?:verbatim|Verbatim|lstlisting|minted|comment|filecontents)\*?)\}")
_DROPPED = re.compile(r"\\(?:label|footnote|thanks|index)\s*\{[^{}]*\}")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+\*?|.)\s*")


def load_latex(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each section; raises Unreadable for binary and minified files."""
    text = read_lines(data)
    return sections(text.split("\n"), list(_headings(text)))


def _headings(text: str) -> Iterator[Heading]:
    """Yield the sectioning commands that begin a line, not those in comments and verbatim text."""
    hidden = list(_hidden(text))
    place, row, hide = 0, 0, 0
    for match in _HEADING.finditer(text):
        begins = match.start(1)
        while hide < len(hidden) and hidden[hide][1] <= begins:
            hide += 1
        if hide < len(hidden) and hidden[hide][0] <= begins:
            continue
        end = _closing(text, match.end())
        title = _plain(text[match.end() : end])
        row += text.count("\n", place, begins)
        place = begins
        if title:
            yield Heading(row, row + text.count("\n", begins, end) + 1, _LEVELS.index(match[1]) + 1, title)


def _hidden(text: str) -> Iterator[tuple[int, int]]:
    """Yield where verbatim text begins and ends."""
    name, begins = "", 0
    for match in _VERBATIM.finditer(text):
        if match[1] == "begin" and not name:
            name, begins = match[2], match.start()
        elif match[1] == "end" and match[2] == name:
            yield begins, match.end()
            name = ""


def _closing(text: str, start: int) -> int:
    """Return where the brace that was opened before `start` is closed, else the end of its line."""
    depth = 1
    for place in range(start, min(start + LONGEST_TITLE, len(text))):
        if text[place - 1] == "\\":
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return place
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _plain(title: str) -> str:
    """Return a title without its commands, what they enclose kept."""
    bare = _COMMAND.sub("", _DROPPED.sub("", title).replace("\\&", "&").replace("\\%", "%"))
    return " ".join(bare.replace("~", " ").replace("{", "").replace("}", "").split())
