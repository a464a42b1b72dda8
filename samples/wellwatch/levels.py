"""Daily heads: means of checked readings, short gaps filled, and how fast a well falls in dry weather."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import fmean, median

MIN_READINGS = 3
"""A day needs this many of its four readings; with two, the mean leans towards morning or evening."""

MAX_FILL_DAYS = 2
"""Longest gap that is filled by a straight line; see docs/design.md, "Gaps"."""

DRY_MM = 0.5
"""A day with less rain than this counts as dry."""


@dataclass(frozen=True)
class DailyLevel:
    """The mean head of one well on one day; `n_readings` is 0 where the day was filled in."""

    well: str
    day: date
    head_m: float
    n_readings: int

    @property
    def filled(self) -> bool:
        """Whether the value was interpolated instead of measured."""
        return self.n_readings == 0


def daily_means(well: str, heads: Sequence[tuple[datetime, float]]) -> list[DailyLevel]:
    """Average heads by calendar day of the logger's clock; days with fewer than MIN_READINGS are left out."""
    days: dict[date, list[float]] = {}
    for time, head in heads:
        days.setdefault(time.date(), []).append(head)
    return [
        DailyLevel(well, day, fmean(values), len(values))
        for day, values in sorted(days.items())
        if len(values) >= MIN_READINGS
    ]


def fill_gaps(levels: Sequence[DailyLevel]) -> list[DailyLevel]:
    """Bridge gaps of up to MAX_FILL_DAYS by straight lines; longer ones stay open."""
    filled: list[DailyLevel] = []
    for level in levels:
        if filled and filled[-1].well == level.well:
            filled.extend(_bridge(filled[-1], level))
        filled.append(level)
    return filled


def _bridge(left: DailyLevel, right: DailyLevel) -> list[DailyLevel]:
    steps = (right.day - left.day).days
    if not 1 < steps <= MAX_FILL_DAYS + 1:
        return []
    slope = (right.head_m - left.head_m) / steps
    return [
        DailyLevel(left.well, left.day + timedelta(days=step), left.head_m + slope * step, 0)
        for step in range(1, steps)
    ]


def recession_days(levels: Sequence[DailyLevel], rain_mm: Mapping[date, float], base_m: float) -> float | None:
    """Return the time in days in which a head falls to 1/e of its height above `base_m` in dry weather.

    Taken as the median over pairs of consecutive dry days on which the head fell; filled days are ignored.
    None with fewer than ten such pairs.
    """
    rates: list[float] = []
    for left, right in pairwise(levels):
        dry = rain_mm.get(left.day, math.inf) < DRY_MM and rain_mm.get(right.day, math.inf) < DRY_MM
        measured = not (left.filled or right.filled) and right.day - left.day == timedelta(days=1)
        if dry and measured and left.head_m > right.head_m > base_m:
            rates.append(math.log((left.head_m - base_m) / (right.head_m - base_m)))
    return 1.0 / median(rates) if len(rates) >= 10 else None
