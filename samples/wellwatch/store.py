"""The database: dips, daily levels, weather and wells in one SQLite file that can be mailed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from wellwatch.drift import Dip
from wellwatch.levels import DailyLevel
from wellwatch.readings import LOGGER_ZONE
from wellwatch.sites import Well

SCHEMA = """
CREATE TABLE IF NOT EXISTS dips (
    well TEXT NOT NULL REFERENCES wells (well),
    time TEXT NOT NULL,
    depth_m REAL NOT NULL CHECK (depth_m BETWEEN 0 AND 20),
    observer TEXT NOT NULL,
    method TEXT NOT NULL DEFAULT 'sounder' CHECK (method IN ('sounder', 'tape')),
    PRIMARY KEY (well, time)
);
CREATE TABLE IF NOT EXISTS levels (
    well TEXT NOT NULL REFERENCES wells (well),
    day TEXT NOT NULL,
    head_m REAL NOT NULL,
    n_readings INTEGER NOT NULL,
    PRIMARY KEY (well, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS weather (
    day TEXT PRIMARY KEY,
    rain_mm REAL NOT NULL,
    river_m REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wells (
    well TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    casing_top_m REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Weather:
    """One day at the Tarnholm gauge: rain in mm, river stage in metres above the datum."""

    day: date
    rain_mm: float
    river_m: float


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, making its tables when they are not there; commit at the end, roll back on an error."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA foreign_keys = ON")
    try:
        connection.executescript(SCHEMA)
        with connection:
            yield connection
    finally:
        connection.close()


def put_wells(connection: sqlite3.Connection, wells: Iterable[Well]) -> None:
    """Store the wells, replacing what was known of them."""
    connection.executemany(
        "INSERT INTO wells VALUES (?, ?, ?) ON CONFLICT (well) DO UPDATE SET "
        "name = excluded.name, casing_top_m = excluded.casing_top_m",
        [(well.id, well.name, well.casing_top_m) for well in wells],
    )


def put_dips(connection: sqlite3.Connection, dips: Iterable[Dip]) -> None:
    """Store dips; one that is already there is kept, because a dip is never edited, only repeated."""
    connection.executemany(
        "INSERT INTO dips VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(dip.well, f"{dip.time:%Y-%m-%d %H:%M}", dip.depth_m, dip.observer, dip.method) for dip in dips],
    )


def put_levels(connection: sqlite3.Connection, levels: Iterable[DailyLevel]) -> None:
    """Store daily levels to the millimetre. A measured day replaces a filled one, never the other way round."""
    connection.executemany(
        "INSERT INTO levels VALUES (?, ?, ?, ?) ON CONFLICT (well, day) DO UPDATE SET "
        "head_m = excluded.head_m, n_readings = excluded.n_readings "
        "WHERE excluded.n_readings > 0 OR levels.n_readings = 0",
        [(level.well, level.day.isoformat(), round(level.head_m, 3), level.n_readings) for level in levels],
    )


def put_weather(connection: sqlite3.Connection, days: Iterable[Weather]) -> None:
    """Store days of weather, replacing what was there."""
    connection.executemany(
        "INSERT OR REPLACE INTO weather VALUES (?, ?, ?)",
        [(one.day.isoformat(), one.rain_mm, one.river_m) for one in days],
    )


def dips_of(connection: sqlite3.Connection, well: str) -> list[Dip]:
    """Return a well's dips, oldest first."""
    rows = connection.execute("SELECT * FROM dips WHERE well = ? ORDER BY time", (well,))
    return [
        Dip(name, datetime.fromisoformat(time).replace(tzinfo=LOGGER_ZONE), depth, observer, method)
        for name, time, depth, observer, method in rows
    ]


def levels_of(connection: sqlite3.Connection, well: str) -> list[DailyLevel]:
    """Return a well's daily levels, oldest first."""
    rows = connection.execute("SELECT * FROM levels WHERE well = ? ORDER BY day", (well,))
    return [DailyLevel(name, date.fromisoformat(day), head, count) for name, day, head, count in rows]


def rain_by_day(connection: sqlite3.Connection) -> dict[date, float]:
    """Return the rain in mm of every day on record."""
    rows = connection.execute("SELECT day, rain_mm FROM weather ORDER BY day")
    return {date.fromisoformat(day): rain for day, rain in rows}
