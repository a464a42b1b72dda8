"""What is kept back to measure with: whole cells or rows, so that nothing of them was learnt.

Cells that an example holds the text of together are kept back together, and so is all that was made of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorebook_daemon.teach.examples import Example, Turn, digest
from lorebook_daemon.teach.wordings import kept_wordings, learnt_wordings

FEW = 20
"""With fewer cells none is kept back: what it says would then simply be missing. Other wordings are measured with."""


def split(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Return the examples, some marked as held out; those that are left out stay as they are.

    Which ones depends on the seed and the origins alone, wherever their files lie. With few origins, held-out examples
    are added instead: the same questions in wordings that are never trained on.
    """
    used = [example for example in examples if not example.left_out]
    bound = _bound(used)
    drawn: dict[str, str] = {}
    for example in used:
        drawn.setdefault(bound[example.origin.group], digest(f"{seed} {example.origin.movable}"))
    groups = sorted(drawn, key=lambda group: (drawn[group], group))
    if len(groups) < FEW:
        return [*map(_worded, examples), *(reworded for example in used for reworded in _reworded(example))]
    kept = set(groups[: max(1, round(len(groups) * share))]) if share else set()
    return [
        replace(example, held_out=True)
        if bound.get(example.origin.group) in kept and not example.left_out
        else _worded(example)
        for example in examples
    ]


def _bound(examples: Sequence[Example]) -> dict[str, str]:
    """Return for each group the one that stands for all that it shares examples with, be it by way of others."""
    above: dict[str, str] = {}

    def top(group: str) -> str:
        above.setdefault(group, group)
        while above[group] != group:
            above[group] = above[above[group]]
            group = above[group]
        return group

    for example in examples:
        for other in example.origins:
            above[top(other.group)] = top(example.origin.group)
    return {group: top(group) for group in tuple(above)}


def _worded(example: Example) -> Example:
    return replace(example, wordings=learnt_wordings(example.question)) if example.turns else example


def _reworded(example: Example) -> list[Example]:
    *before, last = example.turns or (Turn("user", ""),)
    return [
        replace(example, turns=(*before, replace(last, content=wording)), held_out=True)
        for wording in kept_wordings(last.content)
        if example.turns
    ]
