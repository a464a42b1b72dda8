"""What feedback says of the signals: a little more weight for those that knew better, a little less for the others.

What a person opens says which of two passages is better, not how good one is (Joachims, KDD 2002): a passage that was
opened, or cited by an answer that was praised, is held against those alone that stood above it. So what comes first
because it stood first says nothing, and no signal gains by having been believed. A signal's weight moves by its part in
those verdicts, slowly, and never by more than half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lorebook_daemon.index.trace import MEANING, WORDS, Step, Trace

Weights = Mapping[str, float]
"""How strongly signals act, by their names, and `meaning` beside the words; 1.0, as measured, for those left out."""

EVEN: Weights = {}
REACH = 0.5
"""By so much a weight moves at the most: from 0.5 to 1.5."""
PRIOR = 20
"""Verdicts that stand for what was measured: after as many of one mind a weight has moved by half of REACH."""
_NOTHING = 1e-9


def judged(found: Sequence[int], liked: Collection[int], trace: Trace) -> dict[str, float]:
    """Return what a list of passages, best first, of which some were liked, says of each signal: from -1 to 1.

    Nothing, where all that was liked stood before all that was not.
    """
    said: dict[str, list[float]] = defaultdict(list)
    for place, key in enumerate(found):
        above = [other for other in found[:place] if other not in liked]
        if key in liked and above:
            for name, effect in effects(trace, key, above).items():
                said[name].append(effect)
    return {name: sum(values) / len(values) for name, values in said.items()}


def effects(trace: Trace, liked: int, above: Sequence[int]) -> dict[str, float]:
    """Return, by signal, whether it brought the passage `liked` nearer to those `above` it (1) or held it back (-1).

    The mean over those above; signals that did neither are left out, so that they are not counted.
    """
    found: dict[str, float] = {}
    for name, verdicts in _verdicts(trace, liked, above):
        if any(verdicts):
            found[name] = sum(verdicts) / len(verdicts)
    return found


def weights(sums: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """Return the weight of each signal, by the sum and the number of its effects; all are within REACH of 1."""
    return {name: round(1 + REACH * total / (count + PRIOR), 4) for name, (total, count) in sums.items()}


def weighted(before: NDArray[np.float64], after: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the scores that a signal makes that acts with this weight.

    What it adds is multiplied; what it takes away is a factor, and the factor's exponent is the weight, so that no
    score falls below zero.
    """
    if weight == 1.0:
        return after
    moved: NDArray[np.float64] = before + weight * (after - before)
    lowered = after < before
    moved[lowered] = before[lowered] * (after[lowered] / before[lowered]) ** weight
    return moved


def _verdicts(trace: Trace, liked: int, above: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    words, meaning = trace.steps[WORDS].scores, trace.steps[MEANING].scores
    if meaning:
        yield MEANING, [_sign(_lead(meaning, liked, rival) - _lead(words, liked, rival)) for rival in above]
    for name, step in trace.steps.items():
        rivals = [rival for rival in above if rival in step.before]
        if liked in step.before and rivals:
            yield name, [_sign(_gain(step, liked, rival)) for rival in rivals]


def _lead(worths: Mapping[int, float], liked: int, rival: int) -> float:
    return worths.get(liked, 0.0) - worths.get(rival, 0.0)


def _gain(step: Step, liked: int, rival: int) -> float:
    """Return something above 0 where the ratio of the two scores grew: what became of others does not count."""
    return step.scores[liked] * step.before[rival] - step.before[liked] * step.scores[rival]


def _sign(value: float) -> int:
    return (value > _NOTHING) - (value < -_NOTHING)
