"""Source code, SQL among it: one unit a file, split later by syntax tree."""

from __future__ import annotations

from pathlib import Path

from lorebook_daemon.index.grammars import LANGUAGES
from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.pairs import PAIRED, pairing
from lorebook_daemon.index.passage import Unit


def load_code(path: Path, data: bytes) -> list[Unit]:
    """Return the file as one unit in its language; raises Unreadable for binary and minified files.

    Where its header pairs it with a notebook in another folder, the context says so (see `pairs`).
    """
    text = read_lines(data)
    language = LANGUAGES.get(path.name.lower()) or LANGUAGES.get(path.suffix.lower(), "")
    paired = pairing(text)
    context = (PAIRED + paired,) if "//" in paired else ()
    return [Unit(text, "code", language, context=context)] if text.strip() else []
