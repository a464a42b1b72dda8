"""Taking the weather out of the loggers: absolute pressure minus air pressure is the water above the sensor."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wellwatch.readings import Reading

GRAVITY = 9.8094
"""m/s² at Tarnholm, from the survey office's grid, not the textbook 9.80665."""

MAX_GAP = timedelta(hours=9)
"""Longest hole in the air pressure that is bridged. A front can pass within twelve hours."""

LAPSE_KPA_PER_M = 0.0119
"""How much air pressure falls a metre of height near 215 m."""

BAROMETER_ELEVATION_M = 214.6
"""The barometer hangs in the pump house on Mill lane."""


def water_density(temp_c: float) -> float:
    """Return the density of fresh water in kg/m³, good to 0.02 between 0 and 25 °C."""
    return 1000.0 - 0.0063 * (temp_c - 4.0) ** 2


@dataclass(frozen=True)
class Barometer:
    """Air pressure in kPa at rising, zone-aware times."""

    times: Sequence[datetime]
    pressures_kpa: Sequence[float]

    def at(self, time: datetime, elevation_m: float = BAROMETER_ELEVATION_M) -> float | None:
        """Return the air pressure at a time, interpolated, and carried to another height.

        None outside the record and inside gaps longer than MAX_GAP.
        """
        after = bisect_left(self.times, time)
        if after < len(self.times) and self.times[after] == time:
            return self._lifted(self.pressures_kpa[after], elevation_m)
        if after in {0, len(self.times)}:
            return None
        start, end = self.times[after - 1], self.times[after]
        if end - start > MAX_GAP:
            return None
        share = (time - start) / (end - start)
        low, high = self.pressures_kpa[after - 1], self.pressures_kpa[after]
        return self._lifted(low + share * (high - low), elevation_m)

    @staticmethod
    def _lifted(pressure_kpa: float, elevation_m: float) -> float:
        return pressure_kpa - LAPSE_KPA_PER_M * (elevation_m - BAROMETER_ELEVATION_M)


def read_barometer(path: Path) -> Barometer:
    """Read the barometer's file, whose times are UTC, unlike the loggers'."""
    times: list[datetime] = []
    pressures: list[float] = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            times.append(datetime.strptime(row["time_utc"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC))
            pressures.append(float(row["pressure_kpa"]))
    return Barometer(times, pressures)


def water_column(reading: Reading, barometer: Barometer, casing_top_m: float) -> float | None:
    """Return the metres of water above the sensor, or None where either pressure is missing.

    The temperature of the water decides its density; without one, 10 °C is taken, the field's yearly mean.
    """
    air = barometer.at(reading.time, casing_top_m)
    if reading.pressure_kpa is None or air is None:
        return None
    density = water_density(10.0 if reading.temp_c is None else reading.temp_c)
    return (reading.pressure_kpa - air) * 1000.0 / (density * GRAVITY)
