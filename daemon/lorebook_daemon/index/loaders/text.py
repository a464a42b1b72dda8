"""Plain text, and the markup languages that are split by their grammars."""

from __future__ import annotations

from pathlib import Path

from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.passage import Unit

_MARKUP = {
    ".adoc": "asciidoc",
    ".asciidoc": "asciidoc",
    ".org": "org",
    ".sty": "latex",
    ".cls": "latex",
    ".typ": "typst",
}


def load_text(path: Path, data: bytes) -> list[Unit]:
    """Return the file as one unit; raises Unreadable for binary and minified files."""
    text = read_lines(data)
    return [Unit(text, "doc")] if text.strip() else []


def load_markup(path: Path, data: bytes) -> list[Unit]:
    """Return a file of AsciiDoc, Org, Typst or LaTeX's own definitions as one unit in that language.

    Raises as `load_text` does.
    """
    text = read_lines(data)
    return [Unit(text, "doc", _MARKUP.get(path.suffix.lower(), ""))] if text.strip() else []
