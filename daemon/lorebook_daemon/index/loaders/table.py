"""Tables in text (CSV, TSV): what the columns hold, and the first rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import decode
from lorebook_daemon.index.passage import Unit

WHOLE_ROWS = 100
"""Tables up to this many rows are indexed whole."""
SAMPLE_ROWS = 20
"""Of longer ones, so many rows are."""
MOST_COLUMNS = 60
"""Columns that the summary describes."""
MOST_VALUES = 6
"""Different texts in a column that the summary names."""
LONGEST_VALUE = 40
SNIFFED = 8_192

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:?\d\d)?)?$")


@dataclass
class Column:
    """What one column holds, as far as its values have been seen."""

    name: str
    filled: int = 0
    numbers: int = 0
    dates: int = 0
    low: tuple[float, str] | None = None
    high: tuple[float, str] | None = None
    first: str = ""
    last: str = ""
    values: dict[str, None] = field(default_factory=dict)

    def see(self, value: str) -> None:
        """Take one value into account; an empty one counts as missing."""
        value = value.strip()
        if not value:
            return
        self.filled += 1
        if len(self.values) <= MOST_VALUES:
            self.values[value[:LONGEST_VALUE]] = None
        if _NUMBER.match(value):
            self.numbers += 1
            pair = (float(value), value)
            self.low = min(self.low or pair, pair)
            self.high = max(self.high or pair, pair)
        elif _DATE.match(value):
            self.dates += 1
            self.first, self.last = min(self.first or value, value), max(self.last, value)

    def summary(self, rows: int) -> str:
        """Return the column in a phrase: `price (number, 0.5 to 9.9, 3 missing)`."""
        missing = f", {rows - self.filled:,} missing" if self.filled < rows else ""
        return f"{self.name} ({self._kind()}{missing})"

    def _kind(self) -> str:
        if not self.filled:
            return "empty"
        if self.numbers == self.filled and self.low and self.high:
            return f"number, {self.low[1]} to {self.high[1]}"
        if self.dates == self.filled:
            return f"date, {self.first} to {self.last}"
        named = list(self.values)[:MOST_VALUES]
        return f"text: {', '.join(named)}{', …' if len(self.values) > MOST_VALUES else ''}"


def load_table(path: Path, data: bytes) -> list[Unit]:
    """Return one unit: the table's first lines as they stand in the file, under a summary of all of it.

    The summary (rows; columns with their type, range or values) is context. What cannot be read as a table is
    taken as lines, and the context says so. Raises Unreadable for binary data.
    """
    text = decode(data)
    if not text.strip():
        return []
    rows = text.split("\n")
    try:
        context, shown = _summary(rows, _dialect(path, text))
    except csv.Error as error:
        context, shown = (f"not readable as a table: {error}",), WHOLE_ROWS
    return [Unit("\n".join(rows[:shown]), "data", context=context)]


def describe(header: list[str], records: Iterable[list[str]]) -> tuple[int, tuple[str, ...]]:
    """Return how many records there are, and a phrase for each of the first columns."""
    columns = [Column(name.strip() or f"column {number}") for number, name in enumerate(header[:MOST_COLUMNS], 1)]
    count = 0
    for record in records:
        count += 1
        for column, value in zip(columns, record, strict=False):
            column.see(value)
    return count, tuple(column.summary(count) for column in columns)


def _summary(rows: list[str], dialect: type[csv.Dialect]) -> tuple[tuple[str, ...], int]:
    """Return the table's summary, and how many of the file's lines stand for it."""
    reader = csv.reader((f"{row}\n" for row in rows), dialect)
    first = next(reader, [])
    names = [f"column {number}" for number in range(1, len(first) + 1)] if _is_record(first) else first
    ends: list[int] = []
    count, columns = describe(names, _ended([first] if names is not first else [], reader, ends))
    left_out = f"; {len(first) - MOST_COLUMNS:,} more columns" if len(first) > MOST_COLUMNS else ""
    sampled = count > WHOLE_ROWS
    shown = ends[SAMPLE_ROWS - 1] if sampled else len(rows)
    note = f", the first {SAMPLE_ROWS} shown" if sampled else ""
    return (f"table of {count:,} rows{note}", f"columns: {', '.join(columns)}{left_out}"), shown


def _ended(first: list[list[str]], reader: Iterator[list[str]], ends: list[int]) -> Iterator[list[str]]:
    """Yield the records that are not empty, noting at which line of the file each ends."""
    for record in first:
        ends.append(1)
        yield record
    for record in reader:
        if record:
            ends.append(reader.line_num)  # type: ignore[attr-defined]
            yield record


def _is_record(first: list[str]) -> bool:
    """Return whether the first line is data rather than names: nothing but numbers."""
    return bool(first) and all(_NUMBER.match(value.strip()) for value in first)


def _dialect(path: Path, text: str) -> type[csv.Dialect]:
    if path.suffix.lower() == ".tsv":
        return csv.excel_tab
    try:
        return csv.Sniffer().sniff(text[:SNIFFED], delimiters=",;\t|")
    except csv.Error:  # one column, or none of these delimiters: commas it is
        return csv.excel
