"""Water levels as the gauges send them: one line an hour, in centimetres, with holes and nonsense."""

import csv
from datetime import datetime, timedelta
from io import StringIO

LONGEST_HOLE = 6
"""Hours. What is missing for longer is left missing: the river can rise and fall in the meantime."""


def read_levels(text):
    """Return (time, level) pairs of a file; a level that is no number is None."""
    rows = []
    for row in csv.reader(StringIO(text), delimiter=";"):
        try:
            level = float(row[1].replace(",", "."))
        except (IndexError, ValueError):
            level = None
        rows.append((datetime.fromisoformat(row[0]), level))
    return rows


def clean(rows):
    """Drop what a gauge cannot have seen: below its foot, or a jump of more than two metres in one hour."""
    kept, last = [], None
    for time, level in rows:
        if level is not None and (level < 0 or (last is not None and abs(level - last) > 200)):
            level = None
        if level is not None:
            last = level
        kept.append((time, level))
    return kept


def fill_gaps(rows):
    """Draw a straight line between the values on either side of a hole, where that is short enough."""
    known = [place for place, (_, level) in enumerate(rows) if level is not None]
    filled = list(rows)
    for left, right in zip(known, known[1:], strict=False):
        if 1 < right - left <= LONGEST_HOLE:
            step = (rows[right][1] - rows[left][1]) / (right - left)
            for nth in range(1, right - left):
                filled[left + nth] = (rows[left + nth][0], rows[left][1] + nth * step)
    return filled


def crest(rows):
    """Return the hour at which the water stood highest; of several the first."""
    return max((row for row in rows if row[1] is not None), key=lambda row: (row[1], -row[0].timestamp()))


def travel_time(upper, lower):
    """Return how long a wave took from one place to the other, by their crests."""
    return max(crest(lower)[0] - crest(upper)[0], timedelta(0))
