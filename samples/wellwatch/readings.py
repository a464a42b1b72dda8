"""Logger exports: one row a reading, absolute pressure and water temperature, four readings a day."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

LOGGER_ZONE = timezone(timedelta(hours=1))
"""The loggers' clocks stay on UTC+1 all year; see docs/design.md, "Clocks"."""

NO_VALUE = -999.9
"""What the export program writes when the logger's memory page was damaged."""

MILLIBAR_FROM = 300.0
"""Above this an absolute pressure can only be millibar: 300 kPa would be 20 m of water."""

READINGS_PER_DAY = 4


@dataclass(frozen=True)
class Reading:
    """One line of an export; `pressure_kpa` is absolute, None where the logger gave no value."""

    well: str
    time: datetime
    pressure_kpa: float | None
    temp_c: float | None


@dataclass(frozen=True)
class Tidied:
    """What `tidy` returns: the readings that remain and a count of what was done to get there."""

    readings: list[Reading]
    duplicates: int
    missing: int
    converted: int


def _value(text: str) -> float | None:
    number = float(text)
    return None if number == NO_VALUE else number


def read_export(path: Path) -> Iterator[Reading]:
    """Yield the rows of a logger export as they stand, oldest first within each well.

    Raises ValueError, naming the line, for a row that does not parse: the export program has been
    known to stop in the middle of a line when the cable comes loose.
    """
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                yield Reading(
                    well=row["well"],
                    time=datetime.strptime(row["time"], "%Y-%m-%d %H:%M").replace(tzinfo=LOGGER_ZONE),
                    pressure_kpa=_value(row["pressure"]),
                    temp_c=_value(row["temp_c"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path.name}, line {number}: not a reading ({error})") from error


def to_kilopascal(reading: Reading) -> Reading:
    """Return the reading in kPa; loggers set up with the newer handset write millibar."""
    if reading.pressure_kpa is None or reading.pressure_kpa <= MILLIBAR_FROM:
        return reading
    return replace(reading, pressure_kpa=reading.pressure_kpa / 10.0)


def tidy(readings: Iterable[Reading]) -> Tidied:
    """Bring readings to one unit, drop repeats, and sort them by well and time.

    Two downloads that overlap give the same reading twice. The later row wins, because a download that was
    broken off and repeated leaves its damaged half first.
    """
    latest: dict[tuple[str, datetime], Reading] = {}
    rows = converted = 0
    for reading in readings:
        rows += 1
        fixed = to_kilopascal(reading)
        converted += fixed is not reading
        latest[reading.well, reading.time] = fixed
    kept = [latest[key] for key in sorted(latest)]
    return Tidied(
        readings=kept,
        duplicates=rows - len(kept),
        missing=sum(reading.pressure_kpa is None for reading in kept),
        converted=converted,
    )


def by_well(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Group readings by well, keeping their order."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.well, []).append(reading)
    return groups
