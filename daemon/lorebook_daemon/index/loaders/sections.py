"""Sections of prose: the lines from one heading to the next, and the path of headings above them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lorebook_daemon.index.loaders.encoding import printable
from lorebook_daemon.index.passage import Unit
from lorebook_daemon.index.split_lines import USUAL


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading on rows `row` to `stop - 1`, 0-based; level 1 is the highest."""

    row: int
    stop: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a text that was taken out of a document; `level` is above 0 for a heading."""

    text: str
    level: int = 0


def below(path: Sequence[Heading], heading: Heading) -> tuple[Heading, ...]:
    """Return the path of headings, outermost first, once `heading` has come after `path`."""
    return (*(one for one in path if one.level < heading.level), heading)


def titles(path: Iterable[Heading]) -> tuple[str, ...]:
    """Return the titles of a path of headings."""
    return tuple(heading.title for heading in path)


def sections(rows: Sequence[str], headings: Sequence[Heading], start_line: int = 1) -> list[Unit]:
    """Return a unit for each section; its context ends with its own heading.

    A section too short for a passage, a heading with nothing under it above all, goes with the one that follows.
    Its context is then that of its subsection, or the headings above both.
    Every row is in exactly one unit; where all rows are blank there are no units.
    """
    units: list[Unit] = []
    first, shared = 0, None
    for stop, path in _stretches(headings, len(rows)):
        shared = path if shared is None else _shared(shared, path)
        text = "\n".join(rows[first:stop])
        if len(text.strip()) < USUAL.scrap and stop < len(rows):
            continue
        if text.strip():
            units.append(Unit(text, "doc", start_line=start_line + first, context=titles(shared)))
        first, shared = stop, None
    return units


def sections_of(lines: Sequence[Line], start_line: int = 1, above: tuple[str, ...] = ()) -> list[Unit]:
    """Return a unit for each section of an extracted text; `above` goes before each unit's own context."""
    headings = [Heading(row, row + 1, line.level, line.text) for row, line in enumerate(lines) if line.level]
    units = sections([line.text for line in lines], headings, start_line)
    return [replace(unit, context=(*above, *unit.context)) for unit in units] if above else units


def lines_of(text: str, level: int = 0) -> list[Line]:
    """Return a paragraph's lines, white space as a page shows it; a heading, which has a level, is one line."""
    rows = [text] if level else text.split("\n")
    return [Line(bare, level) for row in rows if (bare := printable(" ".join(row.split())))]


def _stretches(headings: Sequence[Heading], end: int) -> Iterator[tuple[int, tuple[Heading, ...]]]:
    """Yield where each section ends, and the path of headings that it stands under."""
    path: tuple[Heading, ...] = ()
    for heading in headings:
        if heading.row > 0:
            yield heading.row, path
        path = below(path, heading)
    yield end, path


def _shared(one: tuple[Heading, ...], other: tuple[Heading, ...]) -> tuple[Heading, ...]:
    """Return the longer path where one leads on to the other, else what both have above them."""
    common = tuple(first for first, second in zip(one, other, strict=False) if first is second)
    return other if common == one else common
