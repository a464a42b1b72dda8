"""Figures with how sure they are: standard errors, bootstrap intervals, correlations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 2000
_SEED = 20
_TOGETHER = 100
"""Draws that are held in memory at a time."""
_BATCHES = range(0, _SAMPLES, _TOGETHER)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean, from the sample's deviation (n - 1); 0.0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def bootstrap(
    values: Sequence[float] | Sequence[Sequence[float]], figure: Callable[[Numbers], float] | None = None
) -> Interval:
    """Return a figure of rows (their mean by default) with its 95% interval, by drawing rows anew 2000 times.

    The draws are the same every time. Efron and Tibshirani, An Introduction to the Bootstrap, 1993, the percentile
    method. Raises ValueError where there are no rows.
    """
    rows = np.asarray(values, np.float64)
    if not len(rows):
        raise ValueError("there is nothing to draw from")
    chance = np.random.default_rng(_SEED)
    picks = (chance.integers(0, len(rows), (min(_TOGETHER, _SAMPLES - at), len(rows))) for at in _BATCHES)
    if figure is None:
        drawn = np.concatenate([rows[picked].mean(axis=1) for picked in picks])
    else:
        drawn = np.array([figure(rows[one]) for picked in picks for one in picked])
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return Interval(float(rows.mean()) if figure is None else figure(rows), float(low), float(high))


def pearson(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Pearson's correlation; None where either does not vary, or there are fewer than two pairs."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Spearman's correlation, of ranks; equal values share their middle rank. None as for `pearson`."""
    return pearson(ranks(a), ranks(b))


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value from 1 up; equal ones share the middle of theirs."""
    array = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return [float(rank) for rank in (last - (counts - 1) / 2)[inverse]]
