"""Links between files: from a notebook's cell to what it takes from a module, or from a file that it runs.

A cell's references (see `loaders.imports`) say under which name the other file is known where the cell stands. Which
file that is, and which of its passages, is found out when a question is asked: files come and go between two updates.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from lorebook_daemon.index.passage import Passage

_MODULES = (".py", ".pyi", ".pyx", ".ipynb")
_BELOW = ("", "src", "lib")
"""Folders that are looked into, in the notebook's and in those above it, for a module of that name."""
_INIT = "__init__"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that a file takes from another: `origin` is a module, with its dots, or `./` and a file."""

    user: str
    """The path of the file that takes it."""
    origin: str
    name: str

    @property
    def is_file(self) -> bool:
        """Whether the origin is a file that is run, and not a module."""
        return self.origin.startswith("./")

    def distance(self, path: str) -> int | None:
        """Return how far the file at `path` is from being what is meant, 0 is at once; None where it is not.

        A module may lie anywhere, as notebooks add to `sys.path`: the nearer to the user the better. A name of a
        package may come from a module below it.
        """
        if self.is_file:
            return 0 if path == _joined(self.user, self.origin) else None
        found = _module(path)
        if found is None:
            return None
        relative, parts = _wanted(self.user, self.origin)
        for start in (0,) if relative else range(len(found) - len(parts), -1, -1):
            if found[start : start + len(parts)] == parts:
                return 2 * _apart(found[:start], PurePosixPath(self.user).parent.parts) + (
                    start + len(parts) < len(found)
                )
        return None

    def places(self) -> Iterator[str]:
        """Yield the paths at which what is meant may lie, where nothing else is known."""
        if self.is_file:
            yield _joined(self.user, self.origin)
            return
        relative, parts = _wanted(self.user, self.origin)
        folder = PurePosixPath(self.user).parent
        for above in (PurePosixPath(),) if relative else (folder, *folder.parents):
            for below in ("",) if relative else _BELOW:
                yield str(above.joinpath(below, *parts)) + ".py"
                yield str(above.joinpath(below, *parts, _INIT)) + ".py"


def references(passage: Passage) -> list[Reference]:
    """Return what the passage takes from other files."""
    split = (use.rpartition(":") for use in passage.uses if ":" in use)
    return [Reference(passage.path, origin, name) for origin, _, name in split]


def linked(passages: Sequence[Passage]) -> dict[tuple[int, int], set[str]]:
    """Return pairs of places among `passages`: one that takes names from another file, one that sets them; which names.

    Where several files are what may be meant, those nearest to the user count.
    """
    wanted = {place: references(passage) for place, passage in enumerate(passages)}
    names = {one.name for each in wanted.values() for one in each}
    setting = _setting(passages, names) if names else {}
    pairs: dict[tuple[int, int], set[str]] = defaultdict(set)
    for place, each in wanted.items():
        for one in each:
            for other in _meant(one, passages, setting.get(one.name, ())):
                pairs[place, other].add(one.name)
    return dict(pairs)


def unlinked(passages: Sequence[Passage], wanted: Iterable[Reference]) -> list[Reference]:
    """Return those of `wanted` that none of the passages sets."""
    every = list(wanted)
    setting = _setting(passages, {one.name for one in every})
    return [one for one in every if not _meant(one, passages, setting.get(one.name, ()))]


def led_to(wanted: Collection[Reference], found: Mapping[int, Passage]) -> list[int]:
    """Return the keys of those passages among `found` that any of the references leads to."""
    keys, passages = list(found), list(found.values())
    setting = _setting(passages, {one.name for one in wanted})
    places = {place for one in wanted for place in _meant(one, passages, setting.get(one.name, ()))}
    return [keys[place] for place in sorted(places)]


def _meant(reference: Reference, passages: Sequence[Passage], places: Iterable[int]) -> list[int]:
    """Return which of `places`, all of which set the name, are in the file that is meant."""
    far = [(place, reference.distance(passages[place].path)) for place in places]
    nearest = min((distance for _, distance in far if distance is not None), default=None)
    return [place for place, distance in far if distance is not None and distance == nearest]


def _setting(passages: Sequence[Passage], names: set[str]) -> Mapping[str, Collection[int]]:
    """Return, by name, the places of the passages that set it."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for place, passage in enumerate(passages):
        for name in names.intersection(passage.defines):
            found[name][place] = None
    return found


def _joined(user: str, file: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(user), file))


@lru_cache(maxsize=4096)
def _module(path: str) -> tuple[str, ...] | None:
    """Return a file's folders and its own name, as a module has them; None for what is none."""
    place = PurePosixPath(path)
    if place.suffix not in _MODULES:
        return None
    return place.parent.parts if place.stem == _INIT else (*place.parent.parts, place.stem)


@lru_cache(maxsize=4096)
def _wanted(user: str, origin: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether the import is relative, and the module's parts; those of a relative one from the root on."""
    name = origin.lstrip(".")
    level = len(origin) - len(name)
    parts = tuple(name.split(".")) if name else ()
    if not level:
        return False, parts
    folder = PurePosixPath(user).parent.parts
    return True, (*folder[: max(0, len(folder) - level + 1)], *parts)


def _apart(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many folders lie between two folders."""
    same = next((nth for nth, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return len(one) + len(other) - 2 * same
