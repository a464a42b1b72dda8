"""Data flow between the cells of a notebook, by their names: which outputs are older than what they were made from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_IMPORT = re.compile(r"^\s*(?:from\s+[\w.]+\s+)?import\s+\(?(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One code cell as it ran: what it defines, imports left out, what it uses, and when it ran (`In [count]`)."""

    index: int
    count: int | None
    defines: frozenset[str]
    uses: tuple[str, ...]


def step(index: int, count: int | None, source: str, defines: Iterable[str], uses: Iterable[str]) -> Step:
    """Return the step that a cell is; a module that is imported anew makes no output old."""
    imported = {word for names in _IMPORT.findall(source) for name in names.split(",") for word in name.split()[-1:]}
    return Step(index, count, frozenset(defines) - imported, tuple(uses))


def stale(steps: Iterable[Step]) -> dict[int, str]:
    """Return, by the index of each cell whose output is older than what it was made from, a line that says so.

    A name's value comes from the nearest cell above that defines it. Where that cell ran after the one that uses the
    name, the output shown is of an earlier value. Cells that never ran say nothing.
    """
    last: dict[str, Step] = {}
    found: dict[int, str] = {}
    for one in steps:
        later = [(name, last[name]) for name in one.uses if name in last and _after(last[name], one)]
        if later:
            name, source = later[0]
            found[one.index] = f"stale output: {name} was set again later, by In [{source.count}]"
        last.update(dict.fromkeys(one.defines, one))
    return found


def _after(source: Step, user: Step) -> bool:
    return source.count is not None and user.count is not None and source.count > user.count
