"""Split by syntax tree: what is too long along its children, small neighbours together, comments with what follows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tree_sitter import Node

from lorebook_daemon.index.grammars import Grammar, grammar, parse
from lorebook_daemon.index.passage import Passage, Unit
from lorebook_daemon.index.split_lines import Piece, Sheet, Sizes, fit, pack, passages, split_lines

DEEPEST = 100
"""Levels of the tree that are followed down; below it rows decide."""
HEADER = 160
"""Characters of an enclosing line that are kept as context."""


def split_code(unit: Unit, path: str, sizes: Sizes) -> list[Passage]:
    """Split a unit written in a language; without grammar or tree it is split at blank lines.

    Every line of the unit is in exactly one passage, except blank lines at their edges. The lines of the
    enclosing classes, functions or keys are added to the context, outermost first.
    """
    known = grammar(unit.language)
    source = unit.text.encode("utf-8", "replace")
    tree = parse(known, source) if known else None
    if known is None or tree is None:
        return split_lines(unit, path, sizes)
    sheet = Sheet(unit.text, sizes)
    starts = [Piece(0, 0, unit.context)]
    for start in _starts(tree.root_node, known, sheet, unit.context, 0):
        if start.first > starts[-1].first:
            starts.append(start)
        elif start.first == 0 and len(starts) == 1:
            starts[0] = start
    ends = [*(piece.first for piece in starts[1:]), len(sheet.rows)]
    pieces = [piece.until(stop) for piece, stop in zip(starts, ends, strict=True)]
    return passages(unit, path, sheet, fit(sheet, pack(sheet, pieces)), known.defined(tree, source))


def _starts(
    node: Node, known: Grammar, sheet: Sheet, context: tuple[str, ...], depth: int, above: int = -1
) -> list[Piece]:
    """Return where pieces may begin below `node`, as pieces without an end; none on row `above` or before it."""
    found: list[Piece] = []
    limit = sheet.sizes.limit
    for group in _groups(node.children, known):
        whole = group[-1].end_byte - group[0].start_byte
        long = [child for child in group if child.end_byte - child.start_byte > limit] if whole > limit else ()
        row = group[0].start_point.row
        if row > above:
            found.append(Piece(row, row, context, any(known.opens(child) for child in long)))
        for child in long if depth < DEEPEST else ():
            inner = _inside(child, known, sheet, context)
            found += _starts(child, known, sheet, inner, depth + 1, child.start_point.row)
        above = max(above, _last_row(group[-1]))
    return found


def _groups(children: list[Node], known: Grammar) -> Iterator[list[Node]]:
    """Yield children that cannot be parted: those that share a row, and comments with what follows at once."""
    if not children:
        return
    group = [children[0]]
    for before, child in pairwise(children):
        last = _last_row(before)
        row = child.start_point.row
        if row <= last or (before.type in known.glue and row == last + 1):
            group.append(child)
        else:
            yield group
            group = [child]
    yield group


def _last_row(node: Node) -> int:
    """Return the last row that a node has something on: many grammars let it end at column 0 of the next."""
    end = node.end_point
    return end.row - 1 if end.column == 0 and end.row > node.start_point.row else end.row


def _inside(node: Node, known: Grammar, sheet: Sheet, context: tuple[str, ...]) -> tuple[str, ...]:
    if node.type not in known.enclosing:
        return context
    name = node.child_by_field_name("name") or node
    return (*context, sheet.rows[name.start_point.row].strip()[:HEADER])
