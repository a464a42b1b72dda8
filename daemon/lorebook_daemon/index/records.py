"""What an index keeps: what it is, its files, its passages as rows and back, and the passages that went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from lorebook_api.retrieval import Similarity
from lorebook_daemon.index.embed import passage_text
from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.storage import Damaged, Derived

FORMAT = 8
"""Raise it whenever the tables, a passage's terms, or what loaders and splitters make of a file, change.

Indexes are then made anew."""

_DECODE = json.JSONDecoder().raw_decode  # what was packed has no blanks around it, which `json.loads` looks for

Row = tuple[bytes, int, int, str, str, str, str, str, str, str | None]
"""A passage without id and file: key, lines, text, kind, language, context, defined and used names, cell."""


@dataclass(frozen=True)
class Meta:
    """What the index is: `generation` moves with every change that a reader must follow; 0 means never finished."""

    format: int = FORMAT
    root: str = ""
    max_file_mb: int = 0
    generation: int = 0
    files: int = 0
    passages: int = 0
    lexical: Derived | None = None
    embedder: str = ""
    vectors: int = 0
    nearest: Derived | None = None
    updated: str = ""
    similarity: Similarity = "cosine"
    """What the graph was made for."""
    splitter: str = "structure"
    """How its files were cut (see `splitting.parse_splitting`)."""
    device: int = 0
    """Where the root lay when it was last looked at (`st_dev`); 0 is not known."""


@dataclass(frozen=True)
class Counts:
    """How much an index holds: files that could be read, their passages, and how many of these have a vector."""

    files: int
    passages: int
    vectors: int


class Put(NamedTuple):
    """The ids of the passages that a file was written with, and of those that went for them."""

    ids: range
    gone: list[int]


@dataclass(frozen=True)
class Gone:
    """Passages that went: the first of a list that `Store.settle` takes them from; `last` is how far they go in it."""

    last: int
    passages: tuple[Passage, ...]
    everything: bool = False
    """It is not known which ones went: all that were ever there may have."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as it was when it was read; `why` says why it has no passages."""

    id: int
    stamp: tuple[int, int, int]
    sha256: bytes
    why: str | None


def description(row: Sequence[Any] | None) -> dict[str, Any]:
    """Return what the row of a store's `meta` says, nothing for None; raises Damaged where it is no JSON object."""
    try:
        return dict(json.loads(row[0])) if row else {}
    except (ValueError, TypeError) as error:
        raise Damaged(f"its description cannot be read: {error}") from error


def described(body: dict[str, Any]) -> Meta:
    """Return the Meta of a `description`; raises Damaged where it is another's."""
    try:
        for name in ("lexical", "nearest"):
            body[name] = Derived(**body[name]) if body.get(name) else None
        return Meta(**body)
    except TypeError as error:
        raise Damaged(f"its description cannot be read: {error}") from error


def gone_in(rows: Sequence[Sequence[Any]]) -> Gone | None:
    """Return the first rows of a list of what went; one without a path says that all may have gone. None for none."""
    if not rows:
        return None
    return Gone(
        last=rows[-1][0],
        passages=tuple(unpacked(tuple(row))[1] for row in rows if row[1] is not None),
        everything=any(row[1] is None for row in rows),
    )


def passage_key(passage: Passage) -> bytes:
    """Return what a vector is kept under: passages that embed the same text share it."""
    return hashlib.sha256(passage_text(passage).encode("utf-8", "replace")).digest()[:16]


def packed(passage: Passage) -> Row:
    """Return the row of a passage."""
    cell = passage.cell
    return (
        passage_key(passage),
        passage.start_line,
        passage.end_line,
        _storable(passage.text),
        passage.kind,
        passage.language,
        _packed_names(passage.context),
        _packed_names(passage.defines),
        _packed_names(passage.uses),
        _packed_cell(cell) if cell else None,
    )


def _packed_cell(cell: Cell) -> str:
    values = (cell.id, cell.index, cell.type, cell.execution_count, cell.shows, cell.tags)
    return _storable(json.dumps(values, ensure_ascii=False))


def _packed_names(names: tuple[str, ...]) -> str:
    """Return what `json.dumps` makes of names, which makes a coder for each call."""
    return _storable(f"[{', '.join(map(encode_basestring, names))}]") if names else "[]"


def unpacked(row: tuple[Any, ...]) -> tuple[int, Passage]:
    """Return the id and the passage of a row that holds them, without its key: id, path, lines, text and so on."""
    key, path, start, end, text, kind, language, context, defines, uses, cell = row
    place = _cell(*json.loads(cell)) if cell else None
    return key, Passage(path, start, end, text, kind, language, _names(context), _names(defines), _names(uses), place)


def _cell(id: str, index: int, type: str, execution_count: int | None, shows: str, tags: list[str]) -> Cell:
    return Cell(id, index, type, execution_count, shows, tuple(tags))


def _names(packed: str) -> tuple[str, ...]:
    return tuple(_DECODE(packed)[0]) if packed != "[]" else ()


def _storable(text: str) -> str:
    """Return the text with half characters, which JSON can spell but UTF-8 cannot, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
