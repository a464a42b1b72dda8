"""Quality checks: every reading gets exactly one flag, and only OK readings reach the daily means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from statistics import median

PULLED_BELOW_M = 0.10
"""Less water than this above the sensor: it was out of the well, on somebody's tailgate."""

SPIKE_M = 0.25
"""A reading this far from the running median is not water. The fastest true rise on record is 0.19 m in six hours."""

SPIKE_WINDOW = 7
"""Readings in the running median; odd, so that the one being judged stands in the middle."""

FLAT_READINGS = 12
"""So many equal readings in a row (three days) mean a dead sensor or a clogged filter."""

FLAT_TOLERANCE_M = 0.0005


class Flag(Enum):
    """The verdict on one reading. The order is the order of precedence."""

    MISSING = "missing"
    PULLED = "pulled"
    SPIKE = "spike"
    FLAT = "flat"
    OK = "ok"


def _running_median(columns: Sequence[float | None], centre: int) -> float | None:
    half = SPIKE_WINDOW // 2
    near = [value for value in columns[max(0, centre - half) : centre + half + 1] if value is not None]
    return median(near) if len(near) >= 3 else None


def _flat_runs(columns: Sequence[float | None]) -> set[int]:
    """Return the positions that lie in a run of FLAT_READINGS or more equal values.

    A missing reading ends the run: a sensor that comes back with the same value has to earn its flag again.
    """
    flat: set[int] = set()
    start = 0
    for position in range(1, len(columns) + 1):
        here = columns[position] if position < len(columns) else None
        first = columns[start]
        if here is not None and first is not None and abs(here - first) <= FLAT_TOLERANCE_M:
            continue
        if first is not None and position - start >= FLAT_READINGS:
            flat.update(range(start, position))
        start = position
    return flat


def flag_columns(columns: Sequence[float | None], pressures: Sequence[float | None] | None = None) -> list[Flag]:
    """Judge one well's water columns in metres, in order of time.

    `pressures` are the raw pressures of the same readings. A dead sensor repeats its pressure while the
    compensated column still moves with the weather, so runs are looked for there when it is given.
    """
    flat = _flat_runs(columns if pressures is None else pressures)
    # Sensors in the air would drag the median down, so they are taken out before spikes are looked for.
    in_water = [None if value is None or value < PULLED_BELOW_M else value for value in columns]
    flags = []
    for position, value in enumerate(columns):
        if value is None:
            flags.append(Flag.MISSING)
        elif value < PULLED_BELOW_M:
            flags.append(Flag.PULLED)
        elif _is_spike(in_water, position, value):
            flags.append(Flag.SPIKE)
        else:
            flags.append(Flag.FLAT if position in flat else Flag.OK)
    return flags


def _is_spike(columns: Sequence[float | None], position: int, value: float) -> bool:
    centre = _running_median(columns, position)
    return centre is not None and abs(value - centre) > SPIKE_M


def tally(flags: Sequence[Flag]) -> dict[str, int]:
    """Count the flags by name, with a zero for those that do not occur."""
    counts = Counter(flags)
    return {flag.value: counts[flag] for flag in Flag}
