"""Indexing, on the wire: what is to be read, what is open, how far the work is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class IndexRequest:
    """Body of `POST /api/index`; progress and reports come as server-sent events."""

    roots: tuple[str, ...] = ()
    full: bool = False
    watch: bool = False
    """Go on after the first reports: one more for each change, and notices, until the caller hangs up."""


@dataclass(frozen=True)
class OpenRequest:
    """Body of `POST /api/open`: a notebook, or another file, that the person has open, by its path in `root`."""

    root: str
    path: str
    contents: str | None = None
    """What is in the editor and not saved: it is searched in place of the file until that is saved or closed."""
    closed: bool = False
    """Whether the person has closed it: what was not saved is forgotten."""


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class FileChange:
    """A file that an index followed; of one that was moved `was` is its path before."""

    path: str
    how: Literal["added", "changed", "removed", "moved"]
    was: str = ""


@dataclass(frozen=True)
class IndexReport:
    """What one root's index holds and what this run changed: counts of files."""

    root: str
    files: int
    passages: int
    added: int
    changed: int
    removed: int
    skipped: tuple[Skipped, ...]
    seconds: float
    notices: tuple[str, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """The first 50 files that were added, changed, removed or moved."""


@dataclass(frozen=True)
class RootNotice:
    """What whoever watches a root should know: it went away, it is back, it is looked through instead of watched."""

    root: str
    text: str


@dataclass(frozen=True)
class Progress:
    """How far long work is; `total` 0 means that the end is not known yet."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Indexing:
    """A root that is being read or embedded: what is done, how far it is, and how long it will take."""

    root: str
    progress: Progress
    seconds_left: float | None = None
    """None where that cannot be told yet."""
    held: str = ""
    """Why it waits; empty where it does not."""


@dataclass(frozen=True)
class RootInfo:
    """An index that the daemon knows."""

    root: str
    files: int
    passages: int
    vectors: int
    updated: str
