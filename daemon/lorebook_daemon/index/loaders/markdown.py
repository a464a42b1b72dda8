"""Markdown: a unit for each section."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.loaders.sections import Heading, sections
from lorebook_daemon.index.passage import Unit


def load_markdown(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each section, its lines the file's own; raises Unreadable for binary and minified files."""
    text = read_lines(data)
    return sections(text.split("\n"), headings(text))


def headings(text: str) -> list[Heading]:
    """Return the headings of a Markdown text, not those in quotes, lists, fences or front matter."""
    tokens = _parser().parse(_without_front_matter(text))
    found = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map and inline.content.strip():
            first, stop = token.map
            found.append(Heading(first, stop, int(token.tag[1:]), " ".join(inline.content.split())))
    return found


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # Only blocks are wanted: without the inline rules a text is read several times faster.
    return MarkdownIt("commonmark").disable(["inline", "text_join"])


def _without_front_matter(text: str) -> str:
    """Return the text with the rows of its YAML front matter made blank: they would read as a heading."""
    if not text.startswith("---\n"):
        return text
    end = text.find("\n---\n", 3)
    if end < 0:
        return text
    return "\n" * text.count("\n", 0, end + 5) + text[end + 5 :]
