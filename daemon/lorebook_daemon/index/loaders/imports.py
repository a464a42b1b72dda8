"""What a notebook's cells take from other files: what they import, and what the files set that they run.

Each such name is a reference, written as entry points are: `package.module:name`, with a dot in front for each level
of a relative import, or `./file.ipynb:name` for a file that was run.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from lorebook_daemon.index.loaders.names import parsed

_RUN = re.compile(r"^[ \t]*%run[ \t]+((?:-\S+[ \t]+)*)(?:\"([^\"]+)\"|'([^']+)'|(\S+))", re.MULTILINE)
_RUNS_MODULE = "-m"
_MOST_WHOLE = 20  # modules of which a name may be: with `*` the nearest are meant, and a real notebook has few
_MOST_MEANT = 5_000  # references to such, in one notebook
_DEEPEST = 8  # attributes of a name: of `a.b.c` the longest that was imported is meant
_TAKES_VALUE = re.compile(r"-N[ \t]+\d+[ \t]+")


@dataclass
class Origins:
    """Where the names of a notebook come from, cell after cell."""

    own: Collection[str] = ()
    """Names that cells of the notebook set themselves."""
    names: dict[str, str] = field(default_factory=dict)
    whole: dict[str, None] = field(default_factory=dict)
    """Modules whose every name was imported, and files that were run; the last ones count."""
    imported: set[str] = field(default_factory=set)
    room: int = _MOST_MEANT
    """How many names may still be looked for in all of those."""

    def taken(self, source: str, defines: Iterable[str], uses: Iterable[str]) -> tuple[str, ...]:
        """Return the references of a cell, sorted; `defines` and `uses` are its `names`. Cells come in their order.

        The standard library's are left out. A source that does not parse has none.
        """
        try:
            body = parsed(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ()
        for name in defines:
            self.names.pop(name, None)
        for name, origin in _imports(body):
            if name == "*":
                self._take_whole(origin)
            else:
                self.names[name] = origin
        for file in _runs(source):
            self._take_whole(file)
        self.imported |= imported_names(source)
        found = {reference for chain in _chains(body) for reference in self._references(chain)}
        unknown = [name for name in uses if name not in self.own and name not in self.imported]
        found.update(self._meant(unknown))
        return tuple(sorted(found))

    def _take_whole(self, origin: str) -> None:
        self.whole.pop(origin, None)  # it is the last one now
        self.whole[origin] = None

    def _meant(self, unknown: Iterable[str]) -> list[str]:
        """Return references of names to the modules that they may be of, as many as there is room for."""
        nearest = list(islice(reversed(self.whole), _MOST_WHOLE))
        meant = list(islice((f"{origin}:{name}" for name in unknown for origin in nearest), self.room))
        self.room -= len(meant)
        return meant

    def _references(self, chain: tuple[str, ...]) -> Iterator[str]:
        """Yield what a name with its attributes refers to: `m.f` is `module:f`, once `module` was imported as `m`."""
        for length in range(len(chain), 0, -1):
            origin = self.names.get(".".join(chain[:length]))
            if origin is None:
                continue
            attribute = chain[length : length + 1]
            if ":" in origin:
                yield origin  # which may be a module itself
                module, _, name = origin.rpartition(":")
                below = f"{module}{'' if module.endswith('.') else '.'}{name}"
                yield from (f"{below}:{name}" for name in attribute)
            else:
                yield from (f"{origin}:{name}" for name in attribute)
            return


def imported_names(source: str) -> set[str]:
    """Return the names that a cell has by importing them; none where it does not parse."""
    try:
        return {name.partition(".")[0] for name, _ in _imports(parsed(source), every=True)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _imports(body: Iterable[ast.stmt], every: bool = False) -> Iterator[tuple[str, str]]:
    """Yield names with their origins, `*` for all names of one; those of the standard library only with `every`."""
    for node in _nodes(body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if every or not _standard(alias.name):
                    yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names if every or not _standard(module) else ():
                yield alias.asname or alias.name, module if alias.name == "*" else f"{module}:{alias.name}"


def _standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _runs(source: str) -> Iterator[str]:
    """Yield the files that the cell runs, as they are named; IPython adds `.py` to a name without a suffix."""
    for options, *named in _RUN.findall(_TAKES_VALUE.sub("", source)):
        name = next(filter(None, named))
        if _RUNS_MODULE in options.split():
            yield name
        else:
            yield f"./{name if name.endswith(('.py', '.ipy', '.ipynb')) else name + '.py'}"


def _chains(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ...]]:
    """Yield each name that is read, with the attributes that are taken of it: `("np", "linalg", "norm")`."""
    for node in _nodes(body):
        names: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute) and len(names) < _DEEPEST:
            names.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield (inner.id, *reversed(names))


def _nodes(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        yield from ast.walk(statement)
