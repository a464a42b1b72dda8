"""The steps from the passages that were found to those that are read, each with a name by which it is switched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from lorebook_daemon.answer.context.constants import with_constants
from lorebook_daemon.answer.context.copies import without_copies
from lorebook_daemon.answer.context.diversity import spread
from lorebook_daemon.answer.context.merging import merged
from lorebook_daemon.answer.context.windows import widened, with_neighbours
from lorebook_daemon.answer.retrieved import Beside, RootHit
from lorebook_daemon.settings import Settings


class Selection(Protocol):
    """Orders passages anew, or leaves some out."""

    def __call__(self, hits: Sequence[RootHit]) -> list[RootHit]:
        """Return some of `hits`, best first."""
        ...


class Growth(Protocol):
    """Adds to passages what stands around them."""

    def __call__(self, hits: Sequence[RootHit], beside: Beside) -> list[RootHit]:
        """Return what takes the place of `hits`, best first; `beside` gives all passages of a file."""
        ...


SELECTIONS: dict[str, Selection] = {"copies": without_copies, "diversity": spread}
"""Steps that choose among more passages than are wanted, in this order."""

GROWTHS: dict[str, Growth] = {"merging": merged, "window": widened, "neighbours": with_neighbours}
"""Steps that are taken with the passages chosen, in this order, where all that comes of them fits the budget."""

COMPLETIONS: dict[str, Growth] = {"constants": with_constants}
"""Steps that are taken with the few passages that an answer is written from, once all were read."""

CONDENSING = "condensing"
"""The last step, where a passage does not fit: `condensing.matching_lines`."""

ON = Settings().steps
"""The steps that are taken unless a person sets others; what each brings is in benchmarks/README.md, context."""

SPARE = 2
"""So many times the passages that are wanted are looked for, so that copies leave no place empty."""


def select(hits: Sequence[RootHit], k: int, on: Collection[str] = ON) -> tuple[RootHit, ...]:
    """Return at most `k` of the passages, best first, by the selections that are `on`."""
    held = list(hits)
    for name, step in SELECTIONS.items():
        if name in on:
            held = step(held)
    return tuple(held[:k])


def grow(hits: Sequence[RootHit], beside: Beside, on: Collection[str] = ON) -> tuple[RootHit, ...]:
    """Return the passages with what the growths that are `on` add to them, best first."""
    return _grown(GROWTHS, hits, beside, on)


def complete(hits: Sequence[RootHit], beside: Beside, on: Collection[str] = ON) -> tuple[RootHit, ...]:
    """Return the passages that an answer is written from with what the completions that are `on` add to them."""
    return _grown(COMPLETIONS, hits, beside, on)


def _grown(
    steps: Mapping[str, Growth], hits: Sequence[RootHit], beside: Beside, on: Collection[str]
) -> tuple[RootHit, ...]:
    held = list(hits)
    for name, step in steps.items():
        if name in on:
            held = step(held, beside)
    return tuple(held)
