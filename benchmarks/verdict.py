"""What a figure is held against: the reach that was set for it, and whether this run reached it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def say(what: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> bool:
    """Print a figure with its reach; return whether it was reached. One without a reach is printed alone."""
    if at_most is None and at_least is None:
        print(f"{what:64} {value:8.3f}", flush=True)
        return True
    reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    bound = f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}"
    print(f"{what:64} {value:8.3f}   {bound:>7}   {'reached' if reached else 'NOT REACHED'}", flush=True)
    return reached


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """Return a median with the least and the most beside it."""
    return f"{statistics.median(values):8.0f} {unit}   {min(values):.0f} to {max(values):.0f}, of {len(values)}"
