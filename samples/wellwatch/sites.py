"""The wells: where they are, how deep the loggers hang, and the datum that heads are given in."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

DATUM = "NHN 2016"
"""Vertical datum of every elevation in this project."""

SURVEY_ERROR_M = 0.008
"""Closing error of the 2021 levelling loop; heads of two wells cannot be compared more finely than this."""


@dataclass(frozen=True)
class Well:
    """One observation well; elevations in metres above the datum, depths in metres below the casing's top."""

    id: str
    name: str
    casing_top_m: float
    hang_depth_m: float | None
    screen_top_m: float
    screen_bottom_m: float
    river_distance_m: int
    installed: date

    @property
    def has_logger(self) -> bool:
        """Whether a pressure logger hangs in the well; the others are only dipped by hand."""
        return self.hang_depth_m is not None

    def head(self, depth_to_water_m: float) -> float:
        """Turn a depth below the casing's top into an elevation."""
        return self.casing_top_m - depth_to_water_m

    def head_from_column(self, column_m: float) -> float:
        """Turn the water column above the sensor into an elevation.

        Raises ValueError for a well without a logger.
        """
        if self.hang_depth_m is None:
            raise ValueError(f"{self.id} has no logger: only dips can be turned into heads")
        return self.casing_top_m - self.hang_depth_m + column_m

    def screened_at(self, head_m: float) -> bool:
        """Whether the water table stands within the screen, so that the head can be trusted as unconfined."""
        depth = self.casing_top_m - head_m
        return self.screen_top_m <= depth <= self.screen_bottom_m


def _well(row: dict[str, str]) -> Well:
    return Well(
        id=row["well"],
        name=row["name"],
        casing_top_m=float(row["casing_top_m"]),
        hang_depth_m=float(row["hang_depth_m"]) if row["hang_depth_m"] else None,
        screen_top_m=float(row["screen_top_m"]),
        screen_bottom_m=float(row["screen_bottom_m"]),
        river_distance_m=int(row["river_distance_m"]),
        installed=date.fromisoformat(row["installed"]),
    )


def load_wells(path: Path) -> dict[str, Well]:
    """Read `wells.csv` into wells by id.

    Raises ValueError when a sensor would hang below the bottom of its screen, which has twice been a typing error.
    """
    with path.open(newline="", encoding="utf-8") as file:
        wells = {well.id: well for well in map(_well, csv.DictReader(file))}
    for well in wells.values():
        if well.hang_depth_m is not None and well.hang_depth_m > well.screen_bottom_m:
            raise ValueError(f"{well.id}: the sensor hangs at {well.hang_depth_m} m, below the screen")
    return wells
