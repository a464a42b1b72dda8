"""What each step of a ranking made of each candidate, for who asks why a passage stands where it does."""

from __future__ import annotations

from collections.abc import Mapping

from lorebook_api.schema import RankStep


class Trace:
    """Records scores step by step; a search that is given one is the same search."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[int, float]] = {}

    def note(self, name: str, scores: Mapping[int, float]) -> None:
        """Record the scores of all candidates, by their ids, after the step `name`."""
        self._steps[name] = dict(scores)

    def steps(self, key: int) -> tuple[RankStep, ...]:
        """Return the steps of one candidate, in the order in which they were recorded."""
        return tuple(self._step(name, scores, key) for name, scores in self._steps.items())

    def _step(self, name: str, scores: Mapping[int, float], key: int) -> RankStep:
        own = scores.get(key)
        if own is None:
            return RankStep(name, 0.0, 0)
        return RankStep(name, round(float(own), 6), 1 + sum(other > own for other in scores.values()))
