"""From an export to the database in one go: `python -m wellwatch.pipeline data`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wellwatch.alarms import RULES, evaluate_all
from wellwatch.barometer import Barometer, read_barometer, water_column
from wellwatch.checks import Flag, flag_columns, tally
from wellwatch.drift import Dip, DriftCurve, correct, fit_drift
from wellwatch.levels import DailyLevel, daily_means, fill_gaps
from wellwatch.readings import Reading, by_well, read_export, tidy
from wellwatch.sites import Well, load_wells
from wellwatch.store import dips_of, levels_of, opened, put_levels, put_wells


@dataclass(frozen=True)
class WellRun:
    """What became of one well's readings: daily levels, a count of flags by name, the drift that was taken out."""

    well: str
    levels: list[DailyLevel]
    flags: dict[str, int]
    drift: DriftCurve


def run_well(well: Well, readings: Sequence[Reading], barometer: Barometer, dips: Sequence[Dip]) -> WellRun:
    """Take one well from raw readings to daily levels."""
    columns = [water_column(reading, barometer, well.casing_top_m) for reading in readings]
    flags = flag_columns(columns, [reading.pressure_kpa for reading in readings])
    heads = [
        (reading.time, well.head_from_column(column))
        for reading, column, flag in zip(readings, columns, flags, strict=True)
        if flag is Flag.OK and column is not None
    ]
    drift = fit_drift(dips, well.casing_top_m, heads)
    levels = fill_gaps(daily_means(well.id, correct(heads, drift)))
    return WellRun(well.id, levels, tally(flags), drift)


def run(folder: Path) -> list[WellRun]:
    """Process `logger_export.csv` in a folder against its barometer and dips, and store the daily levels."""
    wells = load_wells(folder / "wells.csv")
    barometer = read_barometer(folder / "barometer.csv")
    groups = by_well(tidy(read_export(folder / "logger_export.csv")).readings)
    runs = []
    with opened(folder / "wells.sqlite") as connection:
        put_wells(connection, wells.values())
        for name, readings in groups.items():
            runs.append(run_well(wells[name], readings, barometer, dips_of(connection, name)))
            put_levels(connection, runs[-1].levels)
    return runs


def report(runs: Sequence[WellRun]) -> str:
    """Return one line a well: days, readings set aside, drift."""
    lines = []
    for one in runs:
        aside = sum(count for name, count in one.flags.items() if name != Flag.OK.value)
        lines.append(
            f"{one.well}: {len(one.levels)} days, {aside} readings set aside, "
            f"drift {one.drift.rate_mm_per_day():+.2f} mm/day, {len(one.drift.rejected)} dips rejected"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Run over a folder, `data` unless one is named, and print the report and the alarms on record."""
    folder = Path(arguments[0]) if arguments else Path("data")
    runs = run(folder)
    print(report(runs))
    with opened(folder / "wells.sqlite") as connection:
        levels = [level for one in runs for level in levels_of(connection, one.well)]
    for alarm in evaluate_all(RULES, levels):
        until = alarm.cleared or "still on"
        rule = alarm.rule
        print(f"{rule.side.value} alarm at {rule.well}: {alarm.raised} to {until}, worst {alarm.worst_m:.2f} m")


if __name__ == "__main__":
    main(sys.argv[1:])
