"""Notebooks: a unit for each cell, its outputs numbered on after its source."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorebook_daemon.index.loaders.caption import caption
from lorebook_daemon.index.loaders.encoding import decode, with_newlines
from lorebook_daemon.index.loaders.flow import Step, stale
from lorebook_daemon.index.loaders.imports import Origins, imported_names
from lorebook_daemon.index.loaders.markdown import headings
from lorebook_daemon.index.loaders.names import names
from lorebook_daemon.index.loaders.outputs import Room, rendered
from lorebook_daemon.index.loaders.sections import Heading, below, titles
from lorebook_daemon.index.passage import Cell, Unit, Unreadable
from lorebook_daemon.index.split_lines import USUAL

_CELL_MAGIC = re.compile(r"^\s*%%(\w+)")
_OUR_OWN = re.compile(r"^[ \t]*%{1,2}(?:ask|teach|lore)\b|\blorebook\.(?:ask|chat|search)\(", re.MULTILINE)
"""Cells that ask lorebook: a question is no source for its own answer, and a shown answer none for the next."""

_MAGIC_LANGUAGES = {
    "bash": "bash",
    "sh": "bash",
    "script": "bash",
    "html": "html",
    "HTML": "html",
    "javascript": "javascript",
    "js": "javascript",
    "sql": "sql",
    "R": "r",
    "perl": "perl",
    "ruby": "ruby",
    "latex": "latex",
    "markdown": "markdown",
}
_KERNELS = {"ir": "r", "c++": "cpp", "c#": "csharp", "f#": "", "ipython": "python", "python3": "python", "": "python"}


@dataclass(frozen=True, slots=True)
class _Read:
    """A cell as it was read; `outputs` are lines of text, and empty for what is no code.

    What it imports it does not define: the definition stands elsewhere.
    """

    where: Cell
    source: str
    outputs: str = ""
    language: str = ""
    defines: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def step(self) -> Step:
        """The cell as a step of the notebook's data flow."""
        return Step(self.where.index, self.where.execution_count, frozenset(self.defines), self.uses)


def load_notebook(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each cell that has text; one too long gives two, its source and its outputs.

    What a cell uses of other files stands among its `uses` as references (see `imports`). Context is the Markdown
    headings above the cell, and a line that says so where the output is older than what it was made from. Lines count
    in the cell: its source, then its outputs as text. Cells without an id of their own are called `cell-` and their
    index. Cells that ask lorebook are left out. Older formats are upgraded. Raises Unreadable for what is no notebook
    or has no cells.
    """
    notebook = _notebook(decode(data))
    language = _language(notebook)
    room = Room()
    cells = [_read(cell, index, language, room) for index, cell in enumerate(notebook["cells"])]
    old = stale(cell.step for cell in cells if cell.where.type == "code")
    cells = _with_references(cells)
    path_above: tuple[Heading, ...] = ()
    units: list[Unit] = []
    for cell in cells:
        found = headings(cell.source) if cell.where.type == "markdown" else []
        above = tuple(one for one in path_above if not found or one.level < found[0].level)
        units += _units(cell, titles(above), old.get(cell.where.index))
        for heading in found:
            path_above = below(path_above, heading)
    return units


def _with_references(cells: list[_Read]) -> list[_Read]:
    """Return the cells, what they take from other files among what they use."""
    origins = Origins({name for cell in cells for name in cell.defines})
    return [
        replace(cell, uses=(*cell.uses, *origins.taken(cell.source, cell.defines, cell.uses)))
        if cell.language == "python"
        else cell
        for cell in cells
    ]


def _notebook(text: str) -> Any:
    """Return the notebook as JSON of format 4, its cells a list of dictionaries."""
    try:
        notebook = json.loads(text)
    except ValueError as error:
        raise Unreadable("not a notebook: not JSON") from error
    if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
        raise Unreadable("not a notebook: no cells")
    if "cells" not in notebook:
        notebook = _upgraded(text)
    cells = notebook["cells"]
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise Unreadable("not a notebook: its cells are no list")
    if not cells:
        raise Unreadable("a notebook without cells")
    return notebook


def _upgraded(text: str) -> Any:
    """Return a notebook of format 3 or older in format 4, without the ids that the upgrade makes up each time."""
    import nbformat  # which takes seconds to load, and is needed for old ones alone
    from nbformat import reader

    try:
        notebook = nbformat.convert(reader.reads(text), 4)
    except Exception as error:  # nbformat meets a damaged file with whatever went wrong inside it
        raise Unreadable("a damaged notebook in an old format") from error
    for cell in notebook["cells"]:
        cell.pop("id", None)
    return notebook


def _language(notebook: Any) -> str:
    """Return the grammar's name for the kernel's language."""
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        named = metadata.get(section)
        if isinstance(named, dict) and named.get(key):
            name = str(named[key]).lower()
            return _KERNELS.get(name, name)
    return "python"


def _source(cell: Any) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _read(cell: Any, index: int, kernel: str, room: Room) -> _Read:
    source = with_newlines(_source(cell))
    count, kind = cell.get("execution_count"), str(cell.get("cell_type", "raw"))
    where = Cell(
        id=str(cell.get("id") or f"cell-{index}"),
        index=index,
        type=kind,
        execution_count=count if isinstance(count, int) else None,
        tags=_tags(cell),
    )
    if kind != "code":
        return _Read(where, source)
    outputs = rendered(cell.get("outputs"), caption(source), room)
    shown = with_newlines("\n".join(outputs.lines))
    language = _cell_language(source, kernel)
    defines, uses = names(source) if language == "python" else ((), ())
    imported = imported_names(source) if "import" in source and defines else set()
    defines = tuple(name for name in defines if name not in imported)
    return _Read(replace(where, shows=outputs.kind), source, shown, language, defines, uses)


def _units(cell: _Read, context: tuple[str, ...], old: str | None) -> list[Unit]:
    if cell.where.type != "code":
        return [Unit(cell.source, "notebook", context=context, cell=cell.where)] if cell.source.strip() else []
    if _OUR_OWN.search(cell.source):
        return []
    whole = Unit(cell.source, "notebook", cell.language, 1, context, cell.defines, cell.uses, cell.where)
    if not cell.outputs.strip():
        return [whole] if cell.source.strip() else []
    of_output = (*context, old) if old else context
    text = f"{cell.source}\n{cell.outputs}"
    if len(text) <= USUAL.cell:
        return [replace(whole, text=text, context=of_output)]
    last = next((line.strip() for line in reversed(cell.source.split("\n")) if line.strip()), "")
    above = (*of_output, f"output of: {last[:160]}") if last else of_output
    start = cell.source.count("\n") + 2
    shown = replace(whole, text=cell.outputs, language="", start_line=start, context=above)
    return [whole, shown] if cell.source.strip() else [shown]


def _cell_language(source: str, kernel: str) -> str:
    magic = _CELL_MAGIC.match(source)
    return _MAGIC_LANGUAGES.get(magic[1], kernel) if magic else kernel


def _tags(cell: Any) -> tuple[str, ...]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
