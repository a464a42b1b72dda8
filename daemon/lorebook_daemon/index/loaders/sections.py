"""Sections of prose: the lines from one heading to the next, and the path of headings above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lorebook_daemon.index.passage import Unit


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading on rows `row` to `stop - 1`, 0-based; level 1 is the highest."""

    row: int
    stop: int
    level: int
    title: str


def below(path: Sequence[Heading], heading: Heading) -> tuple[Heading, ...]:
    """Return the path of headings, outermost first, once `heading` has come after `path`."""
    return (*(one for one in path if one.level < heading.level), heading)


def titles(path: Iterable[Heading]) -> tuple[str, ...]:
    """Return the titles of a path of headings."""
    return tuple(heading.title for heading in path)


def sections(rows: Sequence[str], headings: Sequence[Heading], start_line: int = 1) -> list[Unit]:
    """Return a unit for each section; its context ends with its own heading.

    A heading with nothing under it goes with the section that follows. Every row is in exactly one unit;
    where all rows are blank there are no units.
    """
    path: tuple[Heading, ...] = ()
    units = []
    first = 0
    bounds = [Heading(0, 0, 0, ""), *headings, Heading(len(rows), len(rows), 0, "")]
    for heading, following in pairwise(bounds):
        if heading.title:
            path = below(path, heading)
        is_last = following is bounds[-1]
        if not is_last and not any(row.strip() for row in rows[heading.stop : following.row]):
            continue
        text = "\n".join(rows[first : following.row])
        if text.strip():
            units.append(Unit(text, "doc", start_line=start_line + first, context=titles(path)))
        first = following.row
    return units
