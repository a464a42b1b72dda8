"""Source code, SQL among it: one unit a file, split later by syntax tree."""

from __future__ import annotations

from pathlib import Path

from lorebook_daemon.index.grammars import LANGUAGES
from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.passage import Unit


def load_code(path: Path, data: bytes) -> list[Unit]:
    """Return the file as one unit in its language; raises Unreadable for binary and minified files."""
    text = read_lines(data)
    language = LANGUAGES.get(path.name.lower()) or LANGUAGES.get(path.suffix.lower(), "")
    return [Unit(text, "code", language)] if text.strip() else []
