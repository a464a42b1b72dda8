"""What each step of a ranking made of each candidate, for who asks why a passage stands where it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lorebook_api.retrieval import RankStep

Scores = NDArray[np.float64]

WORDS, MEANING, FUSED, AMONG_ALL, FINAL = "words", "meaning", "fused", "code among all", "final"
"""The steps of a search that are no signals, by name."""


@dataclass(frozen=True)
class Step:
    """The scores of candidates after a step, by their ids; `before` holds those that it made them from, if any."""

    scores: Mapping[int, float]
    before: Mapping[int, float] = field(default_factory=dict)


class Trace:
    """Records scores step by step; a search that is given one is the same search."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}

    def note(
        self, name: str, keys: Sequence[int], scores: Sequence[float] | Scores, before: Scores | None = None
    ) -> None:
        """Record the scores of candidates after the step `name`, and where it is a signal those that it was given."""
        given = {} if before is None else dict(zip(keys, before.tolist(), strict=True))
        self.steps[name] = Step(dict(zip(keys, map(float, scores), strict=True)), given)

    def of(self, key: int) -> tuple[RankStep, ...]:
        """Return the steps of one candidate, in the order in which they were recorded."""
        return tuple(_step(name, step, key) for name, step in self.steps.items())


def _step(name: str, step: Step, key: int) -> RankStep:
    own = step.scores.get(key)
    if own is None:
        return RankStep(name, 0.0, 0)
    before = step.before.get(key, 0.0)
    factor = own / before if before > 0 else None
    rank = 1 + sum(other > own for other in step.scores.values())
    return RankStep(name, round(own, 6), rank, None if factor is None else round(factor, 4))
