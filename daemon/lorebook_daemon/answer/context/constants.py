"""Constants that a passage names and its file sets elsewhere: an answer is to say nine hours, not `MAX_GAP`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from lorebook_daemon.answer.retrieved import Beside, RootHit
from lorebook_daemon.index.passage import Passage

MOST = 3
"""Constants that a passage brings, the first that it names."""
_ROWS, _WIDTH = 6, 200
"""Rows that set a constant, and characters of each, at the most: what is longer is a table."""

_NAME = re.compile(r"(?<![.\w])(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,})\b")
"""A name in capitals, as most languages' styles write a constant (PEP 8); one behind a dot is a member."""


def with_constants(hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
    """Return the passages, before them the lines of their files or notebooks that set the constants they name.

    These are passages of their own, so that they can be cited.
    """
    brought = [one for hit in hits for one in _constants(hit, beside)]
    return [*(one for one in dict.fromkeys(brought) if not any(_holds(hit, one) for hit in hits)), *hits]


def _holds(hit: RootHit, one: RootHit) -> bool:
    whole, part = hit.passage, one.passage
    same = (hit.root, whole.path, whole.cell) == (one.root, part.path, part.cell)
    return same and whole.start_line <= part.start_line and part.end_line <= whole.end_line


def _constants(hit: RootHit, beside: Beside) -> list[RootHit]:
    passage = hit.passage
    if not passage.language:
        return []
    names = [name for name in dict.fromkeys(_NAME.findall(passage.text)) if not _rows_setting(name, passage)]
    code = [one for one in beside(hit.root, passage.path) if one.language] if names else []
    found = [_setting(name, code) for name in names]
    return [replace(hit, passage=one) for one in found if one is not None][:MOST]


def _setting(name: str, code: Sequence[Passage]) -> Passage | None:
    """Return the rows that set a name, with the brackets that they open.

    None where nothing does; where it is set twice, as in `try` and `except`: who knows which holds; in too many rows.
    """
    places = [(passage, row) for passage in code for row in _rows_setting(name, passage)]
    if len(places) != 1:
        return None
    ((passage, first),) = places
    rows = passage.text.split("\n")
    for last in range(first, min(first + _ROWS, len(rows))):
        text = "\n".join(rows[first : last + 1])
        if _is_whole(text):
            start, end = passage.start_line + first, passage.start_line + last
            cut = replace(passage, start_line=start, end_line=end, text=text, defines=(name,), uses=())
            return cut if max(map(len, rows[first : last + 1])) <= _WIDTH else None
    return None


def _rows_setting(name: str, passage: Passage) -> list[int]:
    """Return the rows, from 0, that begin to set a name."""
    sets = re.compile(rf"\s*(?:\w+\s+)*{name}\b\s*(?::[^=]*)?=(?!=)|#define\s+{name}\s")
    return [at for at, row in enumerate(passage.text.split("\n")) if sets.match(row)]


def _is_whole(text: str) -> bool:
    """Return whether what a text opens is closed in it; roughly, since strings may hold brackets."""
    return sum(map(text.count, "([{")) <= sum(map(text.count, ")]}")) and text.count('"""') % 2 == 0
