"""What a passage is a part of: the function, the section or the cell that was too long for one passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from lorebook_daemon.index.passage import Passage

MOST_BLANK = 20
"""Blank rows that may lie between two passages that belong together."""


def family(passage: Passage, passages: Sequence[Passage]) -> Sequence[Passage]:
    """Return the neighbouring passages that make up what `passage` is a part of, itself among them, in order.

    That is its cell; of code the innermost definition around it, its first line included; of prose its section.
    Itself alone where it is a part of nothing, as tables are.
    """
    if passage not in passages or passage.kind == "data":  # the file has changed since, or is a table
        return (passage,)
    place = passages.index(passage)
    if passage.cell is not None:
        index = passage.cell.index
        return _run(passages, place, [one.cell is not None and one.cell.index == index for one in passages])
    if passage.language:
        return _definition(passages, place)
    if not passage.context:  # prose without headings is a whole file
        return (passage,)
    return _run(passages, place, [one.context == passage.context for one in passages])


def joined(passages: Sequence[Passage]) -> Passage | None:
    """Return neighbouring passages as one; None where they are not neighbours.

    The rows between them are blank (that is all that splitting leaves out), and are given as empty ones.
    """
    first, last = passages[0], passages[-1]
    text = first.text
    for before, after in pairwise(passages):
        between = after.start_line - before.end_line - 1
        if not 0 <= between <= MOST_BLANK or (before.path, before.cell_index) != (after.path, after.cell_index):
            return None
        text += "\n" * (between + 1) + after.text
    return replace(
        first,
        end_line=last.end_line,
        text=text,
        defines=tuple(dict.fromkeys(name for one in passages for name in one.defines)),
        uses=tuple(dict.fromkeys(name for one in passages for name in one.uses)),
    )


def _definition(passages: Sequence[Passage], place: int) -> Sequence[Passage]:
    """Return the definition that a passage of code stands in, or opens."""
    opens = _opened(passages, place)
    around = opens or passages[place].context
    if not around:
        return (passages[place],)
    inside = [one.context[: len(around)] == around for one in passages]
    if opens:
        return [passages[place], *_run(passages, place + 1, inside)]
    run = _run(passages, place, inside)
    first = passages.index(run[0])
    opener = first > 0 and _opened(passages, first - 1) == around
    return passages[first - 1 : first + len(run)] if opener else run


def _opened(passages: Sequence[Passage], place: int) -> tuple[str, ...]:
    """Return the context below the definition that the last lines of a passage open; empty where they open none."""
    if place + 1 >= len(passages):
        return ()
    own, inner = passages[place], passages[place + 1].context
    deeper = len(inner) > len(own.context) and inner[: len(own.context)] == own.context
    if not deeper:
        return ()
    head = inner[len(own.context)]
    opens = any(row.strip().startswith(head) for row in own.text.split("\n"))
    return (*own.context, head) if opens else ()


def _run(passages: Sequence[Passage], place: int, among: Sequence[bool]) -> Sequence[Passage]:
    """Return the passages around a place that are all among those meant."""
    first, stop = place, place + 1
    while first > 0 and among[first - 1]:
        first -= 1
    while stop < len(passages) and among[stop]:
        stop += 1
    return passages[first:stop]
