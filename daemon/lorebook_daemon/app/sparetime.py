"""Whether this machine has time to spare for work that nobody waits for."""

from __future__ import annotations

import contextlib

import psutil

_BUSY_PERCENT = 40.0
"""Of all its processors' time; from here on somebody else is at work."""


def time_to_spare() -> bool:
    """Return whether the processors were mostly idle since the last call, and the machine is not on battery."""
    idle = psutil.cpu_percent() < _BUSY_PERCENT
    return idle and not on_battery()


def on_battery() -> bool:
    """Return whether the machine runs on its battery; a machine that does not tell has none."""
    sensors = getattr(psutil, "sensors_battery", None)  # not on every platform
    with contextlib.suppress(OSError):
        battery = sensors() if sensors else None
        return battery is not None and battery.power_plugged is False
    return False
