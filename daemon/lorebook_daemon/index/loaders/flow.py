"""Data flow between the cells of a notebook, by their names: which outputs are older than what they were made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One code cell as it ran: what it defines, what it uses, and when it ran (`In [count]`).

    What it imports it does not define: a module that is imported anew makes no output old.
    """

    index: int
    count: int | None
    defines: frozenset[str]
    uses: tuple[str, ...]


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
