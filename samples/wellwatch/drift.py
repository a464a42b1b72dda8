"""Sensor drift: loggers wander by millimetres a week, and dips by hand bring them back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

DIP_WINDOW = timedelta(hours=3)
"""Logger readings this close to a dip, on either side, are compared with it; near the river an hour more shows."""

MAX_OFFSET_M = 0.15
"""A dip that disagrees by more than this is a slip of the pen until somebody goes back and repeats it."""


@dataclass(frozen=True)
class Dip:
    """A depth to water measured by hand, in metres below the casing's top."""

    well: str
    time: datetime
    depth_m: float
    observer: str
    method: str = "sounder"


@dataclass(frozen=True)
class Knot:
    """At `time` the logger has to be moved by `offset_m` to agree with the dip."""

    time: datetime
    offset_m: float


@dataclass(frozen=True)
class DriftCurve:
    """Offsets joined by straight lines; `rejected` are the dips that were too far off to be believed."""

    knots: Sequence[Knot]
    rejected: Sequence[Dip] = ()

    def at(self, time: datetime) -> float:
        """Return the offset in metres at a time: level before the first knot and after the last, 0 without any."""
        if not self.knots:
            return 0.0
        after = bisect_right([knot.time for knot in self.knots], time)
        if after == 0:
            return self.knots[0].offset_m
        if after == len(self.knots):
            return self.knots[-1].offset_m
        left, right = self.knots[after - 1], self.knots[after]
        share = (time - left.time) / (right.time - left.time)
        return left.offset_m + share * (right.offset_m - left.offset_m)

    def rate_mm_per_day(self) -> float:
        """Return the mean drift between the first and the last knot; 0 with fewer than two."""
        if len(self.knots) < 2:
            return 0.0
        first, last = self.knots[0], self.knots[-1]
        days = (last.time - first.time) / timedelta(days=1)
        return 1000.0 * (last.offset_m - first.offset_m) / days


def fit_drift(dips: Sequence[Dip], casing_top_m: float, heads: Sequence[tuple[datetime, float]]) -> DriftCurve:
    """Compare dips with the logger's heads around them.

    `heads` are (time, metres above datum) of readings that passed the checks. The median of those within
    DIP_WINDOW stands against the dip. A dip without readings near it is left out without being rejected.
    """
    knots: list[Knot] = []
    rejected: list[Dip] = []
    for dip in sorted(dips, key=lambda one: one.time):
        near = [head for time, head in heads if abs(time - dip.time) <= DIP_WINDOW]
        if not near:
            continue
        offset = casing_top_m - dip.depth_m - median(near)
        if abs(offset) > MAX_OFFSET_M:
            rejected.append(dip)
        else:
            knots.append(Knot(dip.time, offset))
    return DriftCurve(tuple(knots), tuple(rejected))


def correct(heads: Sequence[tuple[datetime, float]], curve: DriftCurve) -> list[tuple[datetime, float]]:
    """Move every head by the drift at its time."""
    return [(time, head + curve.at(time)) for time, head in heads]
