"""Split by syntax tree: what is too long along its children, small neighbours together, comments with what follows."""

from __future__ import annotations

from collections.abc import Iterator

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
    for group, row, last in _groups(node.children, known):
        whole = group[-1].end_byte - group[0].start_byte
        long = [child for child in group if child.end_byte - child.start_byte > limit] if whole > limit else ()
        if row > above:
            found.append(Piece(row, row, context, any(known.opens(child) for child in long)))
        for child in long if depth < DEEPEST else ():
            inner = _inside(child, known, sheet, context)
            found += _starts(child, known, sheet, inner, depth + 1, child.start_point.row)
        above = max(above, last)
    return found


def _groups(children: list[Node], known: Grammar) -> Iterator[tuple[list[Node], int, int]]:
    """Yield children that cannot be parted, with the first row and the last row of the last of them.

    Those that share a row, and comments with what follows at once.
    """
    group: list[Node] = []
    first = last = -1
    for child in children:
        row = child.start_point.row
        if group and (row <= last or (row == last + 1 and group[-1].type in known.glue)):
            group.append(child)
        else:
            if group:
                yield group, first, last
            group, first = [child], row
        last = _last_row(child, row)
    if group:
        yield group, first, last


def _last_row(node: Node, first: int) -> int:
    """Return the last row that a node has something on: many grammars let it end at column 0 of the next."""
    row, column = node.end_point
    return row - 1 if column == 0 and row > first else row


def _inside(node: Node, known: Grammar, sheet: Sheet, context: tuple[str, ...]) -> tuple[str, ...]:
    if node.type not in known.enclosing:
        return context
    name = node.child_by_field_name("name") or node
    return (*context, sheet.rows[name.start_point.row].strip()[:HEADER])
