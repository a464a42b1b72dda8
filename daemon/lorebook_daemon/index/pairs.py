"""Notebooks and the scripts they are paired with (jupytext): the pair is one document, found in the notebook.

There the outputs are, and a citation leads to the cell. A script's passage is left out where the notebook holds each of
its lines; what was typed into the script and is not in the notebook yet stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from lorebook_daemon.index.passage import Passage

PAIRED = "paired: "
"""What a line of context begins with that says how a script's header pairs it: jupytext's `formats`."""

_SCRIPTS = (".py", ".r", ".jl", ".md", ".rmd", ".qmd")
_NOTEBOOK = ".ipynb"
_HEADER = re.compile(r"\A(?:#\s?)?---[ \t]*\n(?:.*\n)*?(?:#\s?)?---[ \t]*(?:\n|\Z)")
_FORMATS = re.compile(r"^#?\s+formats:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_MARK = re.compile(r"^(?:#\s?(?:%%.*|\+.*|-)|```.*|~~~.*|\"{3}|'{3})?$")
_MAINLY = 0.5
"""The share of a script's passage that stands in a cell, for the cell to be found where the script is."""


def pairing(text: str) -> str:
    """Return the `formats` that the header of a script names, empty where it has none: `ipynb,py:percent`."""
    header = _HEADER.match(text)
    found = _FORMATS.search(header[0]) if header and "jupytext" in header[0] else None
    return found[1].strip("\"'") if found else ""


def notebook_of(passage: Passage) -> str | None:
    """Return the path of the notebook that the passage's file would be paired with, whether it is there or not.

    It has the same name; it lies in the same folder, or where the header's `formats` say (`nb//ipynb,py//py:light`).
    """
    if passage.cell is not None:
        return None
    header = next((line for line in passage.context if line.startswith(PAIRED)), "")
    return _paired_with(passage.path, header.removeprefix(PAIRED))


@lru_cache(maxsize=4096)
def _paired_with(path: str, formats: str) -> str | None:
    place = PurePosixPath(path)
    if place.suffix.lower() not in _SCRIPTS:
        return None
    notebooks, scripts = _folders(formats, place.suffix)
    folder = str(place.parent)
    if scripts and notebooks:
        folder, there, rest = f"/{folder}/".rpartition(f"/{scripts}/")[0::1]
        if not there:
            return None
        folder = f"{folder}/{notebooks}/{rest}"
    return str(PurePosixPath(folder.strip("/"), place.stem)) + _NOTEBOOK


def twins(pool: Mapping[int, Passage], notebooks: Mapping[int, Passage]) -> dict[int, dict[int, float]]:
    """Return the script passages of `pool` that say nothing their notebook does not, each with the cells it repeats.

    A cell comes with the share of the script's lines that it holds. `notebooks` are all passages of the notebooks.
    """
    if not notebooks:
        return {}
    by_path: dict[str, dict[int, set[str]]] = {}
    for key, passage in notebooks.items():
        by_path.setdefault(passage.path, {})[key] = set(_said(passage.text))
    found: dict[int, dict[int, float]] = {}
    for key, passage in pool.items():
        cells = by_path.get(notebook_of(passage) or "", {})
        said = set(_said(passage.text)) if cells else set()
        if said and said <= set().union(*cells.values()):
            found[key] = {cell: len(said & lines) / len(said) for cell, lines in cells.items() if said & lines}
    return found


def mainly(repeated: Mapping[int, float]) -> list[int]:
    """Return the cells that a script's passage mainly repeats."""
    return [cell for cell, share in repeated.items() if share >= _MAINLY]


def _said(text: str) -> Iterable[str]:
    """Yield the lines of a script or a cell by what they say: no marks, no header, comments without their sign."""
    for line in _HEADER.sub("", text).split("\n"):
        bare = line.strip()
        if not _MARK.match(bare):
            yield bare.lstrip("# ")


def _folders(formats: str, suffix: str) -> tuple[str, str]:
    """Return the folders of notebooks and of scripts that `formats` names; empty where they lie together."""
    folders = {"ipynb": "", suffix[1:].lower(): ""}
    for one in formats.split(","):
        folder, there, kind = one.partition(":")[0].rpartition("//")
        if there and kind.rpartition("/")[2] in folders:
            folders[kind.rpartition("/")[2]] = folder.strip("/")
    return folders["ipynb"], folders[suffix[1:].lower()]
