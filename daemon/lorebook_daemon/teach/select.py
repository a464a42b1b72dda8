"""Which cells of a notebook are taught from: by position, range, tag or id, those of `%%teach`, or all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorebook_api.errors import BadRequest, NotFound, Unusable
from lorebook_daemon.index.loaders.encoding import decode, with_newlines
from lorebook_daemon.index.loaders.outputs import rendered

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_TEACH = re.compile(r"%%teach\b[^\n]*\n?")
_OURS = re.compile(r"^\s*(?:%{1,2}(?:ask|lore|load_ext\s+lorebook)|%teach)\b")
"""Cells that ask, or have others taught: a question without its answer teaches nothing."""


@dataclass(frozen=True)
class SelectedCell:
    """A cell to teach from; `output` is what it showed, as text."""

    path: str
    id: str
    index: int
    type: str
    source: str
    output: str
    chosen: bool
    """Whether it was selected; others stand beside those that were."""
    taught: bool = False
    """Whether it begins with `%%teach`; its source is what follows that line."""


@dataclass(frozen=True)
class Selection:
    """What was asked for: nothing of it means the cells that begin with `%%teach`."""

    cells: str = ""
    tags: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    whole: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was named."""
        return not (self.cells or self.tags or self.ids or self.whole)


def read_cells(path: Path, selection: Selection) -> list[SelectedCell]:
    """Return all cells of a notebook, the selected ones marked.

    Raises NotFound, Unusable for what is no notebook, BadRequest where the selection names what is not there.
    """
    cells = _cells(path)
    chosen = _chosen(path, cells, selection)
    return [_read(path, index, cell, index in chosen) for index, cell in enumerate(cells)]


def _cells(path: Path) -> list[dict[str, Any]]:
    from nbformat import convert, reader  # heavy, and only notebooks want it

    if not path.is_file():
        raise NotFound(f"There is no notebook at {path}.", "Check the path.")
    try:
        notebook = reader.reads(decode(path.read_bytes()))
        notebook = notebook if "cells" in notebook else convert(notebook, 4)
        return [dict(cell) for cell in notebook["cells"]]
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error.strerror or error}).", "Check the file.") from error
    except Exception as error:  # nbformat meets a damaged file with whatever went wrong inside it
        raise Unusable(
            f"{path} is not a notebook that can be read.", "Open it in Jupyter and save it again."
        ) from error


def _chosen(path: Path, cells: Sequence[dict[str, Any]], selection: Selection) -> set[int]:
    if selection.whole:
        return set(range(len(cells)))
    if selection.empty:
        return {n for n, cell in enumerate(cells) if _TEACH.match(_source(cell).lstrip())}
    chosen = positions(selection.cells, len(cells)) if selection.cells else set()
    for tag in selection.tags:
        chosen |= _found(path, f"the tag {tag!r}", {n for n, cell in enumerate(cells) if tag in _tags(cell)})
    for one in selection.ids:
        chosen |= _found(path, f"the id {one!r}", {n for n, cell in enumerate(cells) if cell.get("id") == one})
    return chosen


def positions(text: str, count: int) -> set[int]:
    """Return the positions that `2,5-7` means among `count` cells; raises BadRequest."""
    chosen: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise BadRequest(f"{part.strip()!r} names no cells.", "Write positions from 0 on, such as: --cells 2,5-7")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < count:
            raise BadRequest(
                f"There are no cells {part.strip()}: the notebook has {count}, counted from 0.",
                "See them with: lorebook teach NOTEBOOK --all --preview",
            )
        chosen |= set(range(first, last + 1))
    return chosen


def _found(path: Path, what: str, cells: set[int]) -> set[int]:
    if not cells:
        raise BadRequest(
            f"No cell of {path.name} has {what}.", "See all cells: lorebook teach NOTEBOOK --all --preview"
        )
    return cells


def _read(path: Path, index: int, cell: dict[str, Any], chosen: bool) -> SelectedCell:
    source = with_newlines(_source(cell)).strip("\n")
    teach = _TEACH.match(source.lstrip())
    return SelectedCell(
        path=str(path),
        id=str(cell.get("id") or f"cell-{index}"),
        index=index,
        type=str(cell.get("cell_type", "raw")),
        source=source.lstrip()[teach.end() :] if teach else source,
        output=with_newlines("\n".join(rendered(cell.get("outputs")).lines)).strip("\n"),
        chosen=chosen and not _OURS.match(source),
        taught=teach is not None,
    )


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _tags(cell: dict[str, Any]) -> list[str]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
