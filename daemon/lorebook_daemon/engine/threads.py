"""How many threads may work now, and how they wait: two that fight for one core fall to a fraction of their speed."""

from __future__ import annotations

import time

import psutil

BRIEF_SPIN = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}
"""How the threads of llama.cpp and torch wait for each other: for 2000 turns (about 30 µs), then asleep.

Asleep at once, a token takes 1.45 times as long (60 against 40 ms; 1.5B, two cores), and so does a training (65 against
45 s; 135M); spinning without end takes the very core that another program needs, for nothing: 46 s. The second is GNU
OpenMP's; other runtimes know the first alone.
"""


def physical_cores() -> int:
    """Return the physical cores that this process may run on, at least 1."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        allowed, logical = len(process.cpu_affinity()), psutil.cpu_count() or cores
        cores = min(cores, max(1, allowed * cores // logical))
    return max(1, cores)


class FreeCores:
    """Counts the cores that no other process keeps busy; niced work, which gives way, does not count."""

    _INTERVAL = 0.25
    """Seconds below which a measurement says nothing."""

    def __init__(self, fixed: int = 0) -> None:
        """Count cores, or always answer `fixed` where that is not 0."""
        self._fixed = fixed
        self._cores = physical_cores()
        self._free = self._cores
        self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        total, own = psutil.cpu_times(), psutil.Process().cpu_times()
        return time.monotonic(), total.user + total.system, own.user + own.system

    def count(self) -> int:
        """Return the threads to use: the free cores since the last call, at least 1."""
        if self._fixed:
            return self._fixed
        now = self._now()
        seconds, busy, own = (after - before for after, before in zip(now, self._last, strict=True))
        if seconds >= self._INTERVAL:
            others = max(0.0, busy - own) / seconds
            # A core that is half busy is still worth a thread.
            self._free = max(1, self._cores - int(others + 0.4))
            self._last = now
        return self._free
