"""The part of a root where something happened, so that only that part is looked at again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath, PurePosixPath

from lorebook_daemon.index.ignore import GIT_FILE, MARKERS, OWN_FILE

_EXCLUDE = ".git/info/exclude"
_RULES = frozenset([GIT_FILE, OWN_FILE, *MARKERS])


@dataclass(frozen=True)
class Area:
    """Folders, relative to the root, with a final `/`, in NFC; the root itself is the empty text."""

    flat: frozenset[str]
    """Those whose own files are looked at."""
    deep: frozenset[str]
    """Those where everything below is looked at."""
    ways: frozenset[str]
    """All of them, and the folders that lead to them."""

    @classmethod
    def of(cls, paths: Iterable[str]) -> Area:
        """Return where to look after something happened to `paths` (relative, with `/`): files, folders or neither.

        A path may have been a folder that went, or that came with all that is in it. Where the rules of ignoring
        changed, everything they hold for is looked at.
        """
        flat: set[str] = set()
        deep: set[str] = set()
        for path in paths:
            parent = _parent(path)
            if path.endswith(_EXCLUDE):
                deep.add(path.removesuffix(_EXCLUDE))
            elif PurePosixPath(path).name in _RULES:
                deep.add(parent)
            else:
                flat.add(parent)
                deep.add(f"{path}/")
        ways = {way for folder in flat | deep for way in _line(folder)}
        return cls(frozenset(flat), frozenset(deep), frozenset(ways))

    def covers(self, path: str) -> bool:
        """Return whether a file, or a folder with a final `/`, lies in the area."""
        if path.endswith("/") or not path:
            return self.holds(path)
        return self.holds(_parent(path))

    def holds(self, folder: str) -> bool:
        """Return whether the files that lie in `folder` itself are in the area."""
        return folder in self.flat or folder.startswith(self._tops)

    def leads(self, folder: str) -> bool:
        """Return whether some of the area lies in `folder` or below it."""
        return folder in self.ways or folder.startswith(self._tops)

    @cached_property
    def _tops(self) -> tuple[str, ...]:
        """What everything begins with that lies in a deep folder, since folders have a final `/`."""
        return tuple(self.deep)


def inside(root: PurePath, path: str) -> str | None:
    """Return an absolute `path` relative to `root`, with `/`, in NFC; None where it is not below it by its spelling.

    It is not on a file system that takes `Notes` and `notes` for one, where the root was typed in another spelling.
    """
    try:
        relative = PurePath(path).relative_to(root).as_posix()
    except ValueError:
        return None
    return unicodedata.normalize("NFC", relative)


def _parent(path: str) -> str:
    head, slash, _ = path.rstrip("/").rpartition("/")
    return head + slash


def _line(folder: str) -> Iterator[str]:
    """Yield a folder and those above it, the root last."""
    yield folder
    while folder:
        folder = _parent(folder)
        yield folder
