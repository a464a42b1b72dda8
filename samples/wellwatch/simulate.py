"""The data of this project: a well field that behaves like Tarnholm's, with the faults that real loggers have.

`python -m wellwatch.simulate data` writes the barometer, the logger export and the database anew. The same
seed gives the same files, so that a change in the pipeline shows up as a change in its results.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from wellwatch.barometer import GRAVITY, Barometer, water_density
from wellwatch.drift import Dip
from wellwatch.levels import DailyLevel
from wellwatch.readings import LOGGER_ZONE, NO_VALUE
from wellwatch.sites import Well, load_wells
from wellwatch.store import Weather, opened, put_dips, put_levels, put_weather, put_wells

SEED = 16
FIRST = date(2022, 7, 1)
LAST = date(2024, 3, 31)
EXPORT_FROM = date(2024, 2, 1)
READING_HOURS = (2, 8, 14, 20)


@dataclass(frozen=True)
class Response:
    """How a well answers: metres of rise per metre of recharge, days to fall to 1/e, share of the river's stage."""

    base_m: float
    gain: float
    tau_days: float
    river_share: float
    drift_mm_per_day: float = 0.0


RESPONSES = {
    "BH-01": Response(209.78, 3.0, 9.0, 0.72),
    "BH-02": Response(210.05, 5.0, 24.0, 0.31, drift_mm_per_day=0.55),
    "BH-03": Response(209.20, 7.5, 61.0, 0.0, drift_mm_per_day=-0.12),
    "BH-04": Response(208.55, 5.2, 30.0, 0.18),
    "BH-05": Response(210.60, 6.1, 74.0, 0.0),
}

WETTING_MM = 1.5

DRAWDOWN_M = 0.42
"""How far the gravel works' pump lowers BH-04 once it has run for some days."""


def _days(first: date, last: date) -> Iterator[date]:
    for step in range((last - first).days + 1):
        yield first + timedelta(days=step)


def make_weather(random: Random) -> list[Weather]:
    """Return rain and river stage by day: wet spells feed on themselves, the river rises fast and falls slowly."""
    weather: list[Weather] = []
    wet, stage = False, 0.4
    for day in _days(FIRST, LAST):
        winter = 0.5 + 0.5 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 15) / 365.25)
        wet = random.random() < (0.68 if wet else 0.20 + 0.13 * winter)
        rain = round(random.gammavariate(0.9, 6.2), 1) if wet else 0.0
        stage = stage * 0.83 + rain * (0.010 + 0.016 * winter) + 0.035
        weather.append(Weather(day, rain, round(209.55 + stage, 2)))
    return weather


def make_heads(random: Random, response: Response, weather: Sequence[Weather], pumped: bool) -> list[float]:
    """Return one well's true daily heads: a reservoir fed through the soil, plus the river, minus the pump.

    The rain at the well is not the rain at the gauge, and the soil keeps the first WETTING_MM of a day for itself.
    """
    heads: list[float] = []
    storage, soil, drawdown = 0.08 * response.gain / 3.0, 0.0, 0.0
    for one in weather:
        winter = 0.5 + 0.5 * math.cos(2 * math.pi * (one.day.timetuple().tm_yday - 15) / 365.25)
        local_mm = max(0.0, one.rain_mm * random.lognormvariate(0.0, 0.45) - WETTING_MM)
        soil += local_mm / 1000.0 * (0.15 + 0.65 * winter)
        recharge = 0.4 * soil
        soil -= recharge
        storage = storage * math.exp(-1.0 / response.tau_days) + response.gain * recharge
        pump_on = pumped and 3 <= one.day.month <= 10 and one.day.weekday() < 5
        drawdown += ((DRAWDOWN_M if pump_on else 0.0) - drawdown) * 0.35
        heads.append(response.base_m + storage + response.river_share * (one.river_m - 209.9) - drawdown)
    return heads


def make_barometer(random: Random) -> Barometer:
    """Return three-hourly air pressure at the pump house: a slow wander with fronts in it."""
    start = datetime(EXPORT_FROM.year, EXPORT_FROM.month, EXPORT_FROM.day, tzinfo=UTC) - timedelta(hours=3)
    steps = ((LAST - EXPORT_FROM).days + 1) * 8 + 2
    times, pressures = [], []
    pressure, speed = 99.1, 0.0
    for step in range(steps):
        speed = 0.86 * speed + random.gauss(0.0, 0.065)
        pressure += speed - 0.012 * (pressure - 99.0)
        times.append(start + timedelta(hours=3 * step))
        pressures.append(round(pressure, 3))
    return Barometer(times, pressures)


def _between(heads: dict[date, float], time: datetime) -> float:
    """Return the head at a time; daily heads stand for noon."""
    noon = time.replace(hour=12, minute=0)
    other = time.date() + timedelta(days=1 if time >= noon else -1)
    share = abs((time - noon) / timedelta(days=1))
    here = heads[time.date()]
    return here + share * (heads.get(other, here) - here)


def make_readings(random: Random, well: Well, heads: dict[date, float], barometer: Barometer) -> list[list[str]]:
    """Return a well's rows as the export program writes them, before faults."""
    rows = []
    drift = RESPONSES[well.id].drift_mm_per_day / 1000.0
    for day in _days(EXPORT_FROM, LAST):
        for hour in READING_HOURS:
            time = datetime(day.year, day.month, day.day, hour, tzinfo=LOGGER_ZONE)
            temp = 9.9 + 0.6 * math.sin((day - FIRST).days / 58.0) + random.gauss(0.0, 0.02)
            wander = drift * (day - EXPORT_FROM).days
            column = _between(heads, time) + wander + random.gauss(0.0, 0.002)
            column -= well.casing_top_m - (well.hang_depth_m or 0.0)
            air = barometer.at(time, well.casing_top_m) or 0.0
            pressure = air + column * water_density(temp) * GRAVITY / 1000.0
            rows.append([well.id, f"{time:%Y-%m-%d %H:%M}", f"{pressure:.3f}", f"{temp:.2f}"])
    return rows


def add_faults(random: Random, rows: dict[str, list[list[str]]]) -> list[list[str]]:
    """Put in what happened that spring, and return the export's rows in the order of the downloads."""
    for well in rows.values():
        for row in random.sample(well, 5):
            row[2] = row[3] = f"{NO_VALUE}"
    _pull_and_shake(random, rows)
    _stick_and_swap(rows)
    export: list[list[str]] = []
    for name, well in rows.items():
        export.extend(well)
        if name in {"BH-01", "BH-03"}:
            export.extend(row for row in well if "2024-02-13" <= row[1] < "2024-02-19")
    return export


def _pull_and_shake(random: Random, rows: dict[str, list[list[str]]]) -> None:
    for row in rows["BH-01"]:
        if row[1] in {"2024-02-19 14:00", "2024-03-21 14:00"}:
            row[2:] = ["98.712", "7.85"]  # pulled for the download
    for row in rows["BH-03"]:
        if row[1] in {"2024-02-11 02:00", "2024-03-05 20:00", "2024-03-06 14:00"}:
            row[2] = f"{float(row[2]) + random.choice((-1, 1)) * random.uniform(3.4, 6.0):.3f}"


def _stick_and_swap(rows: dict[str, list[list[str]]]) -> None:
    stuck = next(row[2] for row in rows["BH-02"] if row[1] == "2024-03-17 08:00")
    for row in rows["BH-02"]:
        if "2024-03-17 08:00" <= row[1] <= "2024-03-22 02:00":
            row[2] = stuck
    for row in rows["BH-04"]:
        if row[1] >= "2024-02-27" and float(row[2]) != NO_VALUE:
            row[2] = f"{float(row[2]) * 10.0:.2f}"  # the replacement logger was set up in millibar


def make_dips(random: Random, wells: dict[str, Well], heads: dict[str, dict[date, float]]) -> list[Dip]:
    """Return the monthly rounds: all wells in one afternoon, and one slip of the pen."""
    dips = []
    months = sorted({one.replace(day=1) for one in _days(FIRST, LAST)})
    for month in months:
        day = month + timedelta(days=random.randint(2, 24))
        observer = random.choice(("K. Aalto", "K. Aalto", "R. Okafor"))
        for order, well in enumerate(wells.values()):
            time = datetime(day.year, day.month, day.day, 13, 10, tzinfo=LOGGER_ZONE) + timedelta(minutes=25 * order)
            depth = well.casing_top_m - _between(heads[well.id], time) + random.gauss(0.0, 0.004)
            if (well.id, day.year, day.month) == ("BH-03", 2024, 2):
                depth += 1.0
            dips.append(Dip(well.id, time, round(depth, 3), observer, "tape" if well.id == "BH-05" else "sounder"))
    return dips


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def simulate(folder: Path, seed: int = SEED) -> None:
    """Write `barometer.csv`, `logger_export.csv` and `wells.sqlite` into a folder that has `wells.csv`."""
    random = Random(seed)
    wells = load_wells(folder / "wells.csv")
    weather = make_weather(random)
    heads = {
        name: {
            one.day: head
            for one, head in zip(weather, make_heads(random, RESPONSES[name], weather, name == "BH-04"), strict=True)
        }
        for name in wells
    }
    barometer = make_barometer(random)
    pairs = zip(barometer.times, barometer.pressures_kpa, strict=True)
    air = [[f"{time:%Y-%m-%d %H:%M}", f"{kpa:.3f}"] for time, kpa in pairs]
    write_rows(folder / "barometer.csv", ["time_utc", "pressure_kpa"], air)
    logged = [well for well in wells.values() if well.has_logger]
    rows = {well.id: make_readings(random, well, heads[well.id], barometer) for well in logged}
    write_rows(folder / "logger_export.csv", ["well", "time", "pressure", "temp_c"], add_faults(random, rows))
    past = [
        DailyLevel(well.id, day, head + random.gauss(0.0, 0.003), 4)
        for well in logged
        for day, head in heads[well.id].items()
        if day < EXPORT_FROM
    ]
    (folder / "wells.sqlite").unlink(missing_ok=True)
    with opened(folder / "wells.sqlite") as connection:
        put_wells(connection, wells.values())
        put_weather(connection, weather)
        put_dips(connection, make_dips(random, wells, heads))
        put_levels(connection, past)


if __name__ == "__main__":
    simulate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data"))
