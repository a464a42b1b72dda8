"""Why indexing waits: a person paused it, or the machine runs on its battery and only vectors are still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from lorebook_daemon.app.indexing import IndexRun
from lorebook_daemon.app.sparetime import on_battery

PAUSED = "paused"
BATTERY = "waits for mains power"

_LOOK_S = 10.0


class Holding:
    """Holds runs and lets them go on."""

    def __init__(
        self,
        hold: Callable[[Path, bool], None],
        spare_battery: bool = True,
        battery: Callable[[], bool] = on_battery,
    ) -> None:
        """Take what makes a root's worker wait or go on; with `spare_battery` no vectors are made on battery."""
        self._hold = hold
        self._spare_battery = spare_battery
        self._battery = battery
        self._draining = False
        self.paused = False

    async def mind(self, runs: Callable[[], Mapping[Path, IndexRun]]) -> None:
        """Follow the machine's power until the task is cancelled."""
        while True:
            self._draining = self._spare_battery and await asyncio.to_thread(self._battery)
            self.apply(runs())
            await asyncio.sleep(_LOOK_S)

    def apply(self, runs: Mapping[Path, IndexRun]) -> None:
        """Hold the runs that must wait now, and let the others go on."""
        for root, run in runs.items():
            why = self._why(run)
            if bool(why) != bool(run.held):
                self._hold(root, bool(why))
            if why != run.held:
                run.held = why

    def _why(self, run: IndexRun) -> str:
        if self.paused:
            return PAUSED
        return BATTERY if self._draining and run.searchable else ""
