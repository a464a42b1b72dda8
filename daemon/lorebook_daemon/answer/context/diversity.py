"""Passages that say something new: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

from collections.abc import Sequence

from lorebook_daemon.answer.context.copies import resemblance, shingles
from lorebook_daemon.answer.retrieved import RootHit

RELEVANCE = 0.7
"""The weight of how well a passage fits; the rest is of how unlike those chosen before it is."""
SAME_FILE = 0.5
"""How like each other two passages of one file are at least."""


def spread(hits: Sequence[RootHit]) -> list[RootHit]:
    """Return the passages in the order in which each fits best and repeats least of those before it."""
    left = list(hits)
    top = max((hit.score for hit in hits), default=0.0) or 1.0
    prints = {id(hit): shingles(hit.passage.text) for hit in hits}

    def likeness(one: RootHit, other: RootHit) -> float:
        same_file = (one.root, one.passage.path) == (other.root, other.passage.path)
        return max(SAME_FILE if same_file else 0.0, resemblance(prints[id(one)], prints[id(other)]))

    def worth(hit: RootHit) -> float:
        repeated = max((likeness(hit, one) for one in chosen), default=0.0)
        return RELEVANCE * hit.score / top - (1 - RELEVANCE) * repeated

    chosen: list[RootHit] = []
    while left:
        best = max(left, key=worth)
        left.remove(best)
        chosen.append(best)
    return chosen
