"""Data flow between the cells of a notebook, by their names: which outputs are older than what they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

    A name's value comes from the nearest cell above that defines it, whose names come from cells above that. Where one
    of these ran after the cell that uses the name, the output shown is of an earlier value. Cells that never ran say
    nothing, and nothing is known through them. Neither is it where a cell ran again after all that it rests on, but
    what lies between did not: a function that was defined before finds the new value, a number does not.
    """
    last: dict[str, Step] = {}
    rests: dict[int, _Set] = {}
    found: dict[int, str] = {}
    for one in steps:
        sources = [(name, last[name]) for name in one.uses if name in last]
        if old := _old(one, sources, rests):
            found[one.index] = old
        known = [_Set(source.count, name) for name, source in sources if source.count is not None]
        known += [rests[source.index] for _, source in sources if source.index in rests and source.count is not None]
        if known:
            rests[one.index] = max(known, key=lambda each: each.count)
        last.update(dict.fromkeys(one.defines, one))
    return found


@dataclass(frozen=True, slots=True)
class _Set:
    """When a name was set last, of all that a cell rests on."""

    count: int
    name: str


def _old(one: Step, sources: Sequence[tuple[str, Step]], rests: Mapping[int, _Set]) -> str:
    """Return the line on a cell whose output is old, empty where it is not known to be."""
    for name, source in sources:
        if _after(source, one):
            return f"stale output: {name} was set again later, by In [{source.count}]"
    for name, source in sources:
        root = rests.get(source.index) if source.count is not None else None
        if root and one.count is not None and root.count > one.count:
            made = f", and {name} is made from it" if name != root.name else ""
            return f"stale output: {root.name} was set again later, by In [{root.count}]{made}"
    return ""


def _after(source: Step, user: Step) -> bool:
    return source.count is not None and user.count is not None and source.count > user.count
