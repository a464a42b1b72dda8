"""Several hits in one function, section or cell bring the whole of it: one passage reads better than its pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lorebook_daemon.answer.context.families import family, joined
from lorebook_daemon.answer.retrieved import Beside, RootHit
from lorebook_daemon.index.passage import Passage

FEWEST = 2
"""Pieces that must have been found, and of all pieces a share of:"""
SHARE = 0.5
LARGEST = 4_000
"""Characters; a small model loses a fact in what is longer."""

Place = tuple[str, str, int, int, int]


def merged(hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
    """Return the hits with the whole in place of its pieces, where enough of them were found and it is not too long.

    It stands where the best of its pieces stood, with that one's score.
    """
    wholes: dict[Place, Sequence[Passage]] = {}
    pieces: defaultdict[Place, list[RootHit]] = defaultdict(list)
    for hit in hits:
        whole = family(hit.passage, beside(hit.root, hit.passage.path))
        place = _place(hit.root, whole)
        wholes[place] = whole
        pieces[place].append(hit)
    taken: dict[int, RootHit | None] = {}
    for place, found in pieces.items():
        one = joined(wholes[place]) if _many(len(found), wholes[place]) else None
        if one is not None:
            taken.update({id(hit): None for hit in found})
            taken[id(found[0])] = replace(found[0], passage=one)
    return [kept for hit in hits if (kept := taken.get(id(hit), hit)) is not None]


def _many(found: int, whole: Sequence[Passage]) -> bool:
    fits = sum(len(one.text) + 1 for one in whole) <= LARGEST
    return fits and found >= FEWEST and found >= SHARE * len(whole)


def _place(root: str, whole: Sequence[Passage]) -> Place:
    first = whole[0]
    return root, first.path, first.cell.index if first.cell else -1, first.start_line, whole[-1].end_line
