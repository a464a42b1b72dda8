"""From a file to its passages: load, then split; the one way into the index."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from lorebook_api.splitting import STRUCTURE, Splitting
from lorebook_daemon.index.loaders import loader_for
from lorebook_daemon.index.passage import TOO_DEEP, Passage, Unit, Unreadable
from lorebook_daemon.index.split_cell import split_cell
from lorebook_daemon.index.split_code import split_code
from lorebook_daemon.index.split_lines import Sizes, split_records
from lorebook_daemon.index.split_prose import split_prose

log = logging.getLogger(__name__)

Splitter = Callable[[Unit, str, Sizes], list[Passage]]
SPLITTERS: dict[str, Splitter] = {
    "cell": split_cell,
    "code": split_code,
    "prose": split_prose,
    "data": split_records,
}
"""Ways to split: a cell of a notebook, by syntax tree, by paragraphs, by records."""


def split(unit: Unit, path: str, splitting: Splitting = STRUCTURE) -> list[Passage]:
    """Return the passages of one unit, in its order; `path` is relative to the root, with `/`."""
    way = _way(unit) if splitting.by == "structure" else "data"
    return SPLITTERS[way](unit, path, Sizes(splitting.characters))


def read_passages(file: Path, path: str, data: bytes | None = None, splitting: Splitting = STRUCTURE) -> list[Passage]:
    """Load and split one file; an empty file has no passages.

    `data` is the file's content, where the caller has read it already. Raises Unreadable, with a short reason
    for the person, for whatever cannot be indexed, and nothing else.
    """
    loader = loader_for(file)
    if loader is None:
        raise Unreadable("no loader for this kind of file")
    try:
        content = file.read_bytes() if data is None else data
        return [passage for unit in loader(file, content) for passage in split(unit, path, splitting)]
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise Unreadable(TOO_DEEP) from error
    except Exception as error:  # a damaged file may break a library in any way; it must not break the indexer
        log.debug("%s could not be loaded", file, exc_info=True)
        raise Unreadable(f"damaged: {type(error).__name__}") from error


def _way(unit: Unit) -> str:
    if unit.cell is not None:
        return "cell"
    if unit.language:
        return "code"
    return "prose" if unit.kind == "doc" else "data"
