"""Records of a table that is no text: a few of them as lines, and what the columns of all of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_daemon.index.loaders.encoding import printable
from lorebook_daemon.index.loaders.table import LONGEST_VALUE, MOST_COLUMNS, WHOLE_ROWS, describe

SAMPLE_ROWS = 20
"""Rows of a table that are shown; all of them up to WHOLE_ROWS."""
MOST_SCANNED = 20_000
"""Rows that are looked at for the columns' ranges."""
LONGEST_SHOWN = LONGEST_VALUE * 5
"""Characters of one value."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`lines` show a table's records, none where it is empty; `context` says what they are of."""

    lines: tuple[str, ...]
    context: tuple[str, str]


def sample(name: str, header: Sequence[str], records: Sequence[Sequence[str]], total: int) -> Sample:
    """Return what stands for a table of `total` rows, `records` being the first of them, at most MOST_SCANNED."""
    _, columns = describe(list(header), map(list, records))
    kept = records if len(records) <= WHOLE_ROWS else records[:SAMPLE_ROWS]
    scanned = f" (of the first {len(records):,} rows)" if total > len(records) else ""
    note = f", the first {len(kept)} shown" if len(kept) < total else ""
    more = f"; {len(header) - MOST_COLUMNS:,} more columns" if len(header) > MOST_COLUMNS else ""
    lines = (" | ".join(header), *(" | ".join(record) for record in kept)) if kept else ()
    return Sample(lines, (f"{name}, {total:,} rows{note}", f"columns{scanned}: {', '.join(columns)}{more}"))


def shown(value: object) -> str:
    """Return one value as a line of text; nothing for None, of bytes only how many, of a long text its start."""
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value):,} bytes]"
    text = " ".join(printable(str(value)).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
