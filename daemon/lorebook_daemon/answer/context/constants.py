"""Constants that a passage names and that are set elsewhere: an answer is to say nine hours, not `MAX_GAP`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from lorebook_daemon.answer.numbers import values
from lorebook_daemon.answer.retrieved import Beside, RootHit
from lorebook_daemon.index.links import Reference
from lorebook_daemon.index.passage import Passage

MOST = 3
"""Constants that a passage brings, the first that it names."""
_ROWS, _WIDTH = 6, 200
"""Rows that set a constant, and characters of each, at the most: what is longer is a table."""

_NAME = re.compile(r"(?<![.\w])_*(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,})\b")
"""A name in capitals, as most languages' styles write a constant (PEP 8); one behind a dot is a member."""

_GIVEN = re.compile(r"[\d\"']|\b(?:true|false|none|null|nil)\b", re.IGNORECASE)
"""What says that a value is written where it is set."""

_TAKEN = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
"""Where a file of Python takes names from another: the module, and the names."""


def with_constants(hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
    """Return the passages, before them the lines that set the constants they name.

    These stand in the same file or notebook, or in the one that it imports them from. They are passages of their own,
    so that they can be cited.
    """
    brought = [one for hit in hits for one in _constants(hit, beside)]
    return [*(one for one in dict.fromkeys(brought) if not any(_holds(hit, one) for hit in hits)), *hits]


def unsaid_values(answer: str, read: Sequence[Passage]) -> list[str]:
    """Return the rows, of those that were read, that set a constant which an answer names without its value.

    A small model likes to quote a name where it was asked for a number that stands elsewhere. A constant that takes
    several rows is a table, and is left out, as is one that is set twice, or computed.
    """
    found = [(name, row) for name in dict.fromkeys(_NAME.findall(answer)) if (row := _only_row(name, read))]
    return [row for name, row in found if not _said(row, name, answer)]


def _only_row(name: str, read: Sequence[Passage]) -> str:
    rows = {passage.text.split("\n")[at].strip() for passage in read for at in _rows_setting(name, passage)}
    row = rows.pop() if len(rows) == 1 else ""
    return row if _is_whole(row) and len(row) <= _WIDTH and _GIVEN.search(row.partition(name)[2]) else ""


def _said(row: str, name: str, answer: str) -> bool:
    value = row.partition("=")[2] or row.partition(name)[2]
    numbers = values(value)
    return value.strip(" ;\"'") in answer or (bool(numbers) and numbers <= values(answer))


def _holds(hit: RootHit, one: RootHit) -> bool:
    whole, part = hit.passage, one.passage
    same = (hit.root, whole.path, whole.cell) == (one.root, part.path, part.cell)
    return same and whole.start_line <= part.start_line and part.end_line <= whole.end_line


def _constants(hit: RootHit, beside: Beside) -> list[RootHit]:
    passage = hit.passage
    if not passage.language:
        return []
    names = [name for name in dict.fromkeys(_NAME.findall(passage.text)) if not _rows_setting(name, passage)]
    code = _code(hit.root, passage.path, beside) if names else []
    found = [_setting(name, code) or _taken(name, hit, code, beside) for name in names]
    return [replace(hit, passage=one) for one in found if one is not None][:MOST]


def _code(root: str, path: str, beside: Beside) -> list[Passage]:
    return [one for one in beside(root, path) if one.language]


def _taken(name: str, hit: RootHit, code: Sequence[Passage], beside: Beside) -> Passage | None:
    """Return the rows that set a name in the file that `code` imports it from; None where that is not at hand."""
    for origin, names in _TAKEN.findall("\n".join(one.text for one in code)):
        if re.search(rf"\b{name}\b(?!\s+as\b)", names):
            files = (_code(hit.root, path, beside) for path in _places(Reference(hit.passage.path, origin, name), hit))
            return _setting(name, next(filter(None, files), []))
    return None


def _places(reference: Reference, hit: RootHit) -> Iterator[str]:
    """Yield where the file may lie that is meant, from the root on, which may be the package's own folder."""
    package, _, module = reference.origin.partition(".")
    yield from reference.places()
    if package and package == PurePath(hit.root).name:
        yield from replace(reference, user="", origin=module or "__init__").places()


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
